"""AngioBench from Python: the command line's own results, in a notebook's words."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import FEW_PATCHES, STEPS, UNTRACKED, bench

import angiobench
from benchmark.results.summary import SummaryRow

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "protocol.patches_per_patient": 40,
    "protocol.samples": 64,
    "protocol.fid_n": 16,
    "unet.iterations": 30,
    "unet.attempts": 0,
    "dp-wgan.generator_steps": 3,
}
LIGHT = ("torch", "mlflow", "optuna", "numpy", "pydantic", "benchmark")
TIMES = ("seconds", "peak_mib")


@pytest.fixture(scope="module")
def results(module_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> angiobench.Results:
    return angiobench.run(
        "dp-wgan",
        epsilon=[2, math.inf],
        data=str(module_cohort),
        settings=SETTINGS,
        noise="seeded",
        jobs=0,
        out=tmp_path_factory.mktemp("front"),
        tracking_uri="none",
    )


def test_the_command_line_gives_the_same(
    results: angiobench.Results, module_cohort: Path, tmp_path: Path
) -> None:
    asked = ["run", "--generator", "dp-wgan", "--epsilon", "2,inf", "--data", str(module_cohort)]
    few = [*FEW_PATCHES, *STEPS, "--set", "unet.iterations=30", "--set", "unet.attempts=0"]
    done = bench(*asked, *few, "--noise", "seeded", *UNTRACKED, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    typed = angiobench.load_results(tmp_path / "runs", last=True)
    assert decided(typed) == decided(results)
    assert len(typed.rows) == len(results.rows)


def decided(results: angiobench.Results) -> dict[str, Any]:
    """All that cells say but how long they took."""
    return {
        entry.spec.key: {n: v for n, v in entry.told.as_dict().items() if n not in TIMES}
        for entry in results.entries
    }


def test_a_frame_has_the_columns_of_the_summary(results: angiobench.Results) -> None:
    frame = results.to_frame()
    assert [*frame.columns] == SummaryRow.names()
    assert len(frame) == len(results.rows)
    assert {*frame["generator"]} == {"dp-wgan", "simulator", "threshold", "frangi"}
    assert results.failed == {}
    assert any("seed" in note for note in results.notes)


def test_the_best_is_told_with_its_ties_and_for_what_was_spent(
    results: angiobench.Results,
) -> None:
    answer = results.best(epsilon=2)
    assert (answer.generator, answer.epsilon) == ("dp-wgan", 2)
    assert answer.low is answer.high is None, "one seed is one draw"
    assert "one draw" in str(answer)
    with pytest.raises(angiobench.UsageError, match="spends ε = 1 or less"):
        results.best(epsilon=1)
    with pytest.raises(angiobench.UsageError, match="No test set is called 'tset'"):
        results.best(epsilon=2, test_set="tset")
    with pytest.raises(angiobench.UsageError, match="No cell protects that unit"):
        results.best(epsilon=2, unit="patient")


def test_a_chart_has_a_panel_for_each_test_set(results: angiobench.Results) -> None:
    said = json.dumps(results.plot().to_dict())
    assert "Dice" in said
    with pytest.raises(angiobench.UsageError, match="nothing to draw"):
        angiobench.Results([]).plot()


def test_a_misspelt_option_is_named_with_the_nearest() -> None:
    with pytest.raises(angiobench.UsageError, match="Did you mean 'epsilon'"):
        angiobench.run("dp-wgan", epsilonn=2)
    with pytest.raises(angiobench.UsageError, match=r"Expected a setting as PLUGIN\.NAME"):
        angiobench.run("dp-wgan", settings={"clip_norm": 1})
    with pytest.raises(AttributeError, match="angiobench has no 'rnu'"):
        _ = angiobench.rnu


def test_what_a_generator_would_face_is_planned_from_public_numbers() -> None:
    (one,) = angiobench.plan("dp-simulator", patients=41, epsilon=2, unit="patient")
    assert one.plan is not None
    assert one.plan.epsilon <= 2
    assert one.plan.patients == 41


def test_a_plan_across_sites_is_that_of_the_command(tmp_path: Path) -> None:
    found = angiobench.plan("dp-simulator", patients=42, epsilon=2, unit="patient", sites=3)
    (across,) = found.across_sites
    assert [one.generator for one in found] == [across.generator] == ["dp-simulator"]
    assert "Recommended at ε = 2: dp-simulator" in found.recommendations[0]
    asked = ["plan", "--patients", "42", "--epsilon", "2", "--unit", "patient", "--sites", "3"]
    done = bench(*asked, "--generator", "dp-simulator", cwd=tmp_path)
    assert found.recommendations[0] in " ".join(done.stdout.split())
    assert f"×{across.ways['local noise'].noise:.2f}" in done.stdout
    with pytest.raises(angiobench.UsageError, match=r"Expected --sites in \[2, 1000\], got 1"):
        angiobench.plan("dp-simulator", patients=42, epsilon=2, sites=1)
    with pytest.raises(angiobench.UsageError, match="needs --sites"):
        angiobench.plan("dp-simulator", patients=42, epsilon=2, partition="equal")
    assert not angiobench.plan("simulator", patients=42, epsilon=2).across_sites


def test_a_cohort_is_inspected(module_cohort: Path, tmp_path: Path) -> None:
    assert not angiobench.inspect(module_cohort).every_fault
    with pytest.raises(angiobench.DataError):
        angiobench.inspect(tmp_path / "nowhere")


def test_the_notebook_runs(
    module_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Its own cells in its own order, on a small cohort with few patches."""
    small = {name: value for name, value in SETTINGS.items() if not name.startswith("dp-wgan")}
    here = {"data": module_cohort, "settings": small, "jobs": 0, "tracking_uri": "none"}
    real = angiobench.run
    monkeypatch.setattr(
        angiobench,
        "run",
        lambda names, **given: real(names, **{**given, **here, "noise": "seeded"}),
        raising=False,
    )
    monkeypatch.chdir(tmp_path)
    book = json.loads((ROOT / "examples" / "first_sweep.ipynb").read_text())
    names: dict[str, Any] = {}
    for cell in (cell for cell in book["cells"] if cell["cell_type"] == "code"):
        exec("".join(cell["source"]), names)  # noqa: S102
    assert "dp-simulator workable" in capsys.readouterr().out
    assert {*names["frame"]["generator"]} >= {"dp-simulator", "private-evolution"}


def test_importing_the_package_loads_nothing_of_weight() -> None:
    said = f"import sys, angiobench; print(*sorted({{*sys.modules}} & set({LIGHT!r})))"
    assert python(said).stdout.strip() == ""


@pytest.mark.parametrize("name", ["generators", "federation"])
def test_another_distributions_package_of_our_name_is_named_at_start(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    done = python("from angiobench.command import main; main()", first=tmp_path, code=2)
    assert f"The package '{name}' is found at {tmp_path / name}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    done = python("import angiobench; angiobench.run", first=tmp_path, code=1)
    assert "install AngioBench in an environment of its own" in done.stderr


def python(
    statement: str, *, first: Path | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """A fresh Python, in which a folder may come first on the path."""
    path = os.pathsep.join(map(str, [first, ROOT] if first else [ROOT]))
    done = subprocess.run(
        [sys.executable, "-c", statement],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=first or ROOT,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done
