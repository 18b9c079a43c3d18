"""``bench score`` judges a generator at the pixel size of its own patches."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from command import bench

import generators.checks as checks
from benchmark.core.budget import Budget
from benchmark.core.errors import DataError
from benchmark.core.generator import FitContext
from benchmark.privacy.randomness import SeededNoise
from benchmark.sweep.saved_generator import spacing_in
from generators.simulator import Simulator

FEDERATED = {"generator": "simulator", "schedule": {}}


def left_by(folder: Path, said: dict[str, Any], file: str = "spec.json") -> Path:
    """The folder of a run: a generator, and what it was fitted on."""
    made = Simulator(Simulator.smoke)
    budget = Budget(epsilon=math.inf, delta=1e-3, unit="patch")
    context = FitContext(seed=0, noise=SeededNoise(0), charge=lambda charged: None)
    made.fit(checks.patches(), made.plan(checks.PUBLIC, budget), context)
    (folder / "generator").mkdir(parents=True)
    made.save(folder / "generator")
    (folder / file).write_text(json.dumps(said))
    return folder


def cell(folder: Path, **protocol: Any) -> Path:
    return left_by(folder, {"generator": {"name": "simulator"}, "protocol": protocol})


def deployment(folder: Path, **job: Any) -> Path:
    return left_by(folder, {"job": {**FEDERATED, **job}}, "federation.json")


def scores(run: Path, cohort: Path, *more: str) -> list[str]:
    """The rows of the patients, as the command prints them."""
    done = bench("score", str(run), "--data", str(cohort), "--segmenter", "frangi", *more, cwd=run)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "sub-0" in line]


def test_the_pixel_size_is_the_runs_whatever_the_edition(
    module_cohort: Path, tmp_path: Path
) -> None:
    """Frangi's filter learns nothing, so pixels alone decide its scores."""
    native = cell(tmp_path / "native", spacing_mm=0.0)
    coarse = cell(tmp_path / "coarse", spacing_mm=1.4, edition="2026-2")
    own = scores(native, module_cohort, "--protocol", "2026-1")
    assert scores(native, module_cohort) == own, "the present edition has 0.8 mm"
    assert scores(coarse, module_cohort) != own
    assert scores(coarse, module_cohort) == scores(coarse, module_cohort, "--protocol", "2026-1")
    assert scores(deployment(tmp_path / "deployed", spacing_mm=1.4), module_cohort) == scores(
        coarse, module_cohort
    )


def test_a_run_says_its_pixels_or_is_refused(tmp_path: Path) -> None:
    assert spacing_in(cell(tmp_path / "first")) == 0, "the first edition named none"
    assert spacing_in(deployment(tmp_path / "old")) == 0
    assert spacing_in(deployment(tmp_path / "fine", spacing_mm=0.6)) == 0.6
    for number, wrong in enumerate(("x", 0.01, 9, -1, None, [], True)):
        with pytest.raises(DataError, match=r"spec.json: Expected spacing_mm to be 0, or from"):
            spacing_in(cell(tmp_path / f"{number}", spacing_mm=wrong))
    with pytest.raises(DataError, match="does not say how patches were taken"):
        spacing_in(left_by(tmp_path / "none", {"generator": "simulator"}))
