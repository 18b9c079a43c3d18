"""What further segmenters cost: whole sweeps of one fit, judged by one segmenter or by three.

Each round is a sweep in this process, into an empty folder, on a tiny cohort whose patches are
cached and whose noise is calibrated.
"""

from itertools import count
from pathlib import Path

import pytest

import angiobench

JUDGES = ("unet", "frangi", "threshold")
MEASURED = 2


@pytest.mark.parametrize("number", [1, 3])
def test_segmenters(
    benchmark, number: int, module_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    rounds = count()

    def sweep() -> int:
        found = angiobench.run(
            "dp-wgan",
            epsilon=[5.0],
            segmenters=JUDGES[:number],
            settings={
                "protocol.patches_per_patient": 40,
                "protocol.samples": 64,
                "protocol.fid_n": 16,
                "dp-wgan.generator_steps": 40,
                "unet.iterations": 10,
                "unet.attempts": 0,
            },
            data=module_cohort,
            bookends=False,
            tracking_uri="none",
            jobs=0,
            out=tmp_path / f"runs-{next(rounds)}",
        )
        assert not found.failed
        return len(found.entries)

    benchmark.group = "segmenters of one fit"
    assert benchmark.pedantic(sweep, rounds=MEASURED, warmup_rounds=1) == number
