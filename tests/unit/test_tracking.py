"""What MLflow is told of a cell and of a study, and what it is not."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made import entry, spec

from benchmark.core.files import write_json
from benchmark.sweep.mlflow_pages import pages
from benchmark.sweep.spec import RunSpec
from benchmark.sweep.store import CURVES, RESULT, Store
from benchmark.sweep.tracking import STUDY, Parent, Tracker, default_uri

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy
LEAKY = {"epsilon": 5.0, "study": "a study", "on": "private", "selection": "not accounted"}
MARKS = {"selection": "not accounted", "tuned_on": "private"}


def tracker(out: Path, parent: Parent) -> Tracker:
    return Tracker(default_uri(out), out, parent, pytest.fail)


def finished(out: Path, made: RunSpec, *, private: bool) -> Path:
    folder = Store(out).folder(made)
    folder.mkdir(parents=True)
    write_json(folder / RESULT, entry(made, out / "cache", private=private).result)
    write_json(folder / CURVES, [["critic", 1, 0.5]])
    return folder


def runs(out: Path) -> dict[str, Any]:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(default_uri(out))
    experiment = client.get_experiment_by_name("angiobench").experiment_id
    return {run.info.run_name: run for run in client.search_runs([experiment])}


@pytest.mark.parametrize("private", [True, False])
def test_mlflow_gets_no_patient_no_path_and_no_curve_unless_they_are_phantoms(
    private: bool, tmp_path: Path
) -> None:
    tracked = tracker(tmp_path, Parent("0", "sweep", ""))
    tracked.cell(finished(tmp_path, spec(), private=private))
    tracked.close(failed=False)
    run = runs(tmp_path)["dp-wgan ε=5 patch seed 0"]
    logged = (tmp_path / "mlflow-artifacts").rglob(RESULT)
    told = json.dumps([json.loads(file.read_text()) for file in logged])
    told += json.dumps([run.data.tags, run.data.params, run.data.metrics])
    assert ("sub-" in told) is not private
    assert "/secret" not in told
    assert ("critic" in run.data.metrics) is not private
    assert run.data.metrics["dice_test"] > 0


def marks(said: Mapping[str, str]) -> dict[str, str]:
    return {name: said[name] for name in MARKS if name in said}


def test_settings_that_patients_chose_are_marked_in_mlflow(tmp_path: Path) -> None:
    tracked = tracker(tmp_path, Parent("0", "sweep", ""))
    tracked.cell(finished(tmp_path, replace(spec(), tuned=LEAKY), private=True))
    tracked.cell(finished(tmp_path, spec(first_seed=1), private=True))
    of = runs(tmp_path)
    for said in (of["dp-wgan ε=5 patch seed 0"].data, of["dp-wgan ε=5 patch seed 1"].data):
        ours = MARKS if said.params["seed"] == "0" else {}
        assert marks(said.tags) == marks(said.params) == ours


def test_a_study_tells_its_mode_its_best_and_its_failures(tmp_path: Path) -> None:
    parent = Parent(f"{STUDY}1", "study, on private data", "a note", {**MARKS, "epsilon": "5"})
    tracked = tracker(tmp_path, parent)
    tracked.cell(finished(tmp_path, spec(), private=True), "trial 1: ")
    tracked.failed(spec(first_seed=1), "trial 2: ")
    tracked.best({"best_dice": 0.9}, {"batch": 64})
    tracked.best({"best_dice": 0.8}, {"batch": 32})
    tracked.close(failed=False)
    tracker(tmp_path, parent).cell(Store(tmp_path).folder(spec()), "trial 1: ")
    found = runs(tmp_path)
    assert set(found) == {
        "study, on private data",
        "trial 1: dp-wgan ε=5 patch seed 0",
        "trial 2: dp-wgan ε=5 patch seed 1",
    }
    study = found["study, on private data"]
    assert study.data.params == {**MARKS, "epsilon": "5"}
    assert MARKS.items() <= study.data.tags.items()
    assert (study.data.tags["best.batch"], study.data.metrics["best_dice"]) == ("32", 0.8)
    assert found["trial 2: dp-wgan ε=5 patch seed 1"].info.status == "FAILED"


def test_a_study_is_not_opened_as_the_newest_sweep(tmp_path: Path) -> None:
    cells = [finished(tmp_path, spec(first_seed=seed), private=False) for seed in range(4)]
    for key, two in (("0", cells[:2]), (f"{STUDY}1", cells[2:])):
        tracked = tracker(tmp_path, Parent(key, key, ""))
        for cell in two:
            tracked.cell(cell)
    found = runs(tmp_path)
    _, compared = pages(default_uri(tmp_path))
    assert compared is not None
    for seed in range(4):
        run = found[f"dp-wgan ε=5 patch seed {seed}"].info.run_id
        assert (run in compared) == (seed < 2)
