"""What SLURM says of a job that it does not take: a queue that is full, or a job that is wrong."""

import pytest

from benchmark.core.errors import UsageError
from benchmark.sweep.executors.nodes import FullError
from benchmark.sweep.executors.slurm_jobs import refusal_of

FAILED = "sbatch: error: Batch job submission failed: "
POLICY = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"


@pytest.mark.parametrize(
    "said",
    [
        f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{FAILED}{POLICY}",
        f"sbatch: error: QOSGrpSubmitJobsLimit\n{FAILED}{POLICY}",
        f"sbatch: error: AssocMaxSubmitJobLimit\n{FAILED}{POLICY}",
        f"sbatch: error: AssocGrpSubmitJobsLimit\n{FAILED}{POLICY}",
        f"{FAILED}{POLICY}",
    ],
)
def test_a_limit_on_submitted_jobs_is_a_full_queue(said: str) -> None:
    found = refusal_of(said, 60)
    assert isinstance(found, FullError)
    assert "other jobs of yours" in str(found)


@pytest.mark.parametrize(
    "said",
    [
        f"{FAILED}Requested time limit is invalid (missing or exceeds some limit)",
        f"sbatch: error: QOSMaxWallDurationPerJobLimit\n{FAILED}{POLICY}",
        f"sbatch: error: AssocMaxWallDurationPerJobLimit\n{FAILED}{POLICY}",
    ],
)
def test_a_time_that_is_too_long_is_said_as_a_time(said: str) -> None:
    found = refusal_of(said, 90)
    assert isinstance(found, UsageError)
    for words in ("a job of 90 minutes", "time=MINUTES", "sinfo", said.splitlines()[0]):
        assert words in str(found)
    assert "--jobs" not in str(found)


@pytest.mark.parametrize(
    "said",
    [
        f"sbatch: error: QOSMaxCpuPerJobLimit\n{FAILED}{POLICY}",
        f"sbatch: error: AssocMaxGRESPerJob\n{FAILED}{POLICY}",
        f"{FAILED}Memory required by task is not available",
        f"{FAILED}Invalid account or account/partition combination specified",
    ],
)
def test_a_job_that_no_wait_would_help_is_refused(said: str) -> None:
    found = refusal_of(said, 60)
    assert isinstance(found, UsageError)
    assert said.splitlines()[0] in str(found)
    assert "--jobs" not in str(found)
