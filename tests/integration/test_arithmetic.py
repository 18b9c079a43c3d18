"""The real command with ``--arithmetic fast``: what it says, and what is exact whatever is set."""

from pathlib import Path

import pytest
import torch
from command import SMALL, STEPS, UNTRACKED, bench, results

from benchmark.privacy.arithmetic import has_bf16

SWEEP = ["run", "--generator", "dp-wgan", "--epsilon", "5", "--no-bookends", "--noise", "seeded"]
SWEEP += [*STEPS, *SMALL, *UNTRACKED]


def swept(cohort: Path, cwd: Path, *more: str) -> tuple[str, dict]:
    cwd.mkdir()
    done = bench(*SWEEP, "--data", str(cohort), *more, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = results(cwd)
    return " ".join(done.stdout.split()), result


@pytest.mark.skipif(not has_bf16("cpu"), reason="this CPU has no bf16 arithmetic")
def test_a_fast_sweep_says_so_and_has_keys_of_its_own(tested_cohort: Path, tmp_path: Path) -> None:
    said, exact = swept(tested_cohort, tmp_path / "exact")
    assert "bf16" not in said
    assert "arithmetic" not in exact["spec"]["segmenter"]["settings"]
    said, fast = swept(tested_cohort, tmp_path / "fast", "--arithmetic", "fast")
    assert "In bf16, not exactly: unet." in said
    assert "Not in exact arithmetic: unet (bf16)." in said
    assert fast["run_key"] != exact["run_key"]
    assert fast["spec"]["segmenter"]["settings"]["arithmetic"] == "bf16"
    assert fast["guarantee"] == exact["guarantee"]
    explained = bench("explain", fast["run_key"], cwd=tmp_path / "fast").stdout
    assert "the segmenter unet (bf16) learnt from those alone" in " ".join(explained.split())


def test_a_cell_is_exact_under_a_callers_autocast(tested_cohort: Path, tmp_path: Path) -> None:
    """All of it: the generator's own steps and the judge, besides what is private."""
    _, expected = swept(tested_cohort, tmp_path / "plain")
    with torch.autocast("cpu", torch.bfloat16):
        _, found = swept(tested_cohort, tmp_path / "autocast")
    for part in ("run_key", "guarantee", "test_sets"):
        assert found[part] == expected[part]
