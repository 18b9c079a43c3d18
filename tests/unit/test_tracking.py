"""What MLflow is told of a cell and of a study, and what it is not."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from made import entry, spec

from benchmark.core.files import write_json
from benchmark.core.registry import generators, segmenters
from benchmark.core.segmenter import PrivateSegmenter
from benchmark.results.disclosure import without_few
from benchmark.results.spec import RunSpec
from benchmark.results.spec_parts import TunedBy
from benchmark.results.store import CURVES, RESULT, Store, read_result, write_result
from benchmark.sweep.request import is_bookend
from benchmark.sweep.tracking.mlflow_runs import STUDY, Tracker, default_uri
from benchmark.sweep.tracking.pages import pages
from benchmark.sweep.tracking.parents import Parent

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy
LEAKY = TunedBy(epsilon=5.0, study="a study", on="private", selection="not accounted")
MARKS = {"selection": "not accounted", "tuned_on": "private"}
ENDED = 1_700_000_000.5
PRIVATE, FREE, TUNED, TRIAL, FAILED = (f"dp-wgan ε=5 patch seed {seed}" for seed in range(5))


def finished(out: Path, made: RunSpec, *, private: bool) -> Path:
    folder = Store(out).folder(made)
    folder.mkdir(parents=True)
    skipped = ("sub-99: /secret/place has no vessels",) if private else ()
    result = entry(made, out / "cache").told
    write_result(folder, result.but(private_data=private, skipped=skipped))
    write_json(folder / CURVES, [["critic", 1, 0.5]])
    os.utime(folder / RESULT, (ENDED, ENDED))
    return folder


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep, and after it a study, in one store, as making one takes seconds."""
    out = tmp_path_factory.mktemp("runs")
    sweep = Tracker(default_uri(out), out, Parent("0", "sweep", ""), pytest.fail)
    sweep.cell(finished(out, spec(), private=True))
    sweep.cell(finished(out, spec(first_seed=1), private=False))
    sweep.cell(finished(out, replace(spec(first_seed=2), tuned=LEAKY), private=True))
    sweep.close(failed=False)
    parent = Parent(f"{STUDY}1", "study, on private data", "a note", {**MARKS, "epsilon": "5"})
    study = Tracker(default_uri(out), out, parent, pytest.fail)
    trial = finished(out, replace(spec(first_seed=3), tuned=LEAKY), private=True)
    study.cell(trial, "trial 1: ")
    study.failed(spec(first_seed=4), "trial 2: ")
    study.best({"best_dice": 0.9}, {"batch": 64})
    study.best({"best_dice": 0.8}, {"batch": 32})
    study.close(failed=False)
    Tracker(default_uri(out), out, parent, pytest.fail).cell(trial, "trial 1: ")
    return out


@pytest.fixture(scope="module")
def runs(logged: Path) -> dict[str, Any]:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(default_uri(logged))
    experiment = client.get_experiment_by_name("angiobench").experiment_id
    found = client.search_runs([experiment])
    named = {run.info.run_name: run for run in found}
    assert len(named) == len(found), "none is logged twice"
    return named


@pytest.mark.parametrize(("name", "private"), [(PRIVATE, True), (FREE, False)])
def test_mlflow_gets_no_patient_no_path_and_no_curve_unless_they_are_phantoms(
    name: str, private: bool, runs: dict[str, Any]
) -> None:
    run = runs[name]
    told = (Path(urlparse(run.info.artifact_uri).path) / RESULT).read_text()
    told += json.dumps([run.data.tags, run.data.params, run.data.metrics])
    assert ("sub-" in told) is not private
    assert "/secret" not in told
    assert ("critic" in run.data.metrics) is not private
    assert run.data.metrics["dice_test"] > 0


@pytest.mark.parametrize(("name", "private"), [(PRIVATE, True), (FREE, False)])
def test_of_patients_no_time_tells_how_long_a_cell_took(
    name: str, private: bool, runs: dict[str, Any]
) -> None:
    info = runs[name].info
    assert (info.end_time == int(1000 * ENDED)) is not private
    seconds = (info.end_time - info.start_time) / 1000
    assert seconds == pytest.approx(50.0, abs=0.01)


def test_a_server_elsewhere_gets_no_mean_over_few_patients(tmp_path: Path) -> None:
    folder = finished(tmp_path, spec(), private=True)
    kept = read_result(folder)
    test, shifted = kept.test_sets
    few = kept.but(test_sets=(test.but(patients=test.patients[:2]), shifted))
    assert [test.name for test in without_few(few).test_sets] == ["shifted"]
    for uri, here in (("sqlite:///x.db", True), ("runs", True), ("http://h:5000", False)):
        tracker = Tracker("none", tmp_path, Parent("0", "sweep", ""), pytest.fail)
        tracker._uri = uri
        assert tracker._is_here is here


@pytest.mark.parametrize(
    ("name", "expected"), [(PRIVATE, {}), (TUNED, MARKS), (f"trial 1: {TRIAL}", MARKS)]
)
def test_settings_that_patients_chose_are_marked_in_mlflow(
    name: str, expected: Mapping[str, str], runs: dict[str, Any]
) -> None:
    for said in (runs[name].data.tags, runs[name].data.params):
        assert {mark: said[mark] for mark in MARKS if mark in said} == expected


def test_a_study_tells_its_mode_its_best_and_its_failures(runs: dict[str, Any]) -> None:
    study = runs["study, on private data"]
    assert study.data.params == {**MARKS, "epsilon": "5"}
    assert MARKS.items() <= study.data.tags.items()
    assert (study.data.tags["best.batch"], study.data.metrics["best_dice"]) == ("32", 0.8)
    assert runs[f"trial 1: {TRIAL}"].info.status == "FINISHED"
    assert runs[f"trial 2: {FAILED}"].info.status == "FAILED"


def test_a_study_is_not_opened_as_the_newest_sweep(logged: Path, runs: dict[str, Any]) -> None:
    _, compared = pages(default_uri(logged))
    assert compared is not None
    opened = {name for name, run in runs.items() if run.info.run_id in compared}
    assert opened == {PRIVATE, FREE, TUNED}


def test_a_sweep_says_in_mlflow_what_is_no_rival_in_it() -> None:
    note = Parent.of_sweep([spec()]).note
    direct = [n for n in segmenters.names() if issubclass(segmenters.get(n), PrivateSegmenter)]
    for name in [*direct, *(name for name in generators.names() if is_bookend(name))]:
        assert f"`{name}`" in note
