"""The real command with the segmenter itself trained privately: what it leaves and says."""

import json
from pathlib import Path

import pytest
from command import SMALL, STEPS, UNTRAINED, bench, results, rows, stamps_of

ASKED = ["run", "--generator", "real,dp-wgan", "--epsilon", "5", "--data", "cohort"]
ASKED += ["--dp-segmenter", *STEPS]
ASKED += ["--set", "dp-segmenter.steps=4", "--set", "dp-segmenter.batch=16"]
SWEEP = [*ASKED, *SMALL]
NAME = "dp-segmenter"


@pytest.fixture(scope="module")
def swept(tested_cohort: Path) -> Path:
    folder = tested_cohort.parent
    done = bench(*SWEEP, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{NAME}, ε = 5, seed 0: done" in done.stdout
    assert f"{NAME}: the segmenter itself is private; nothing synthetic." in " ".join(
        done.stdout.split()
    )
    return folder


def of_segmenter(folder: Path) -> dict:
    (found,) = [one for one in results(folder) if one["spec"]["generator"]["name"] == NAME]
    return found


def test_it_is_a_cell_beside_the_others_at_the_same_epsilon(swept: Path) -> None:
    table = rows(swept)
    assert [(row["generator"], row["segmenter"], row["epsilon"]) for row in table] == [
        ("real", "unet", "inf"),
        ("simulator", "unet", "0"),
        ("threshold", "threshold", "0"),
        ("frangi", "frangi", "0"),
        ("dp-wgan", "unet", "5"),
        (NAME, NAME, "5"),
    ]
    wgan, mine = table[4], table[5]
    assert (mine["status"], mine["unit"], mine["delta"]) == ("done", wgan["unit"], wgan["delta"])
    assert float(mine["epsilon_patch"]) <= 5 < float(mine["epsilon_patient"])
    assert mine["fid"] == mine["offline_distance"] == ""
    assert float(mine["fraction_of_real"]) == pytest.approx(
        float(mine["dice"]) / float(table[0]["dice"]), rel=1e-3
    )


def test_what_was_protected_is_said_and_no_patch_is_stored(swept: Path) -> None:
    result = of_segmenter(swept)
    assert result["guarantee"]["covers"] == "fit of the segmenter"
    assert result["guarantee"]["steps"] == 4
    assert "no synthetic patches" in result["test_sets"][0]["fid"]["reason"]
    folder = swept / "runs" / NAME / result["run_key"]
    left = {file.name for file in folder.iterdir()} - {".lock"}
    assert left == {"spec.json", "charge.json", "curves.json", "result.json"}
    assert json.loads((folder / "curves.json").read_text()) == []
    said = bench("explain", result["run_key"], cwd=swept).stdout
    assert said.startswith("What was done?\nThe segmenter dp-segmenter itself was fitted on 3")


def test_its_fit_is_in_the_ledger_once_and_in_what_all_fits_cost_together(swept: Path) -> None:
    shown = bench("ledger", "show", cwd=swept).stdout
    key = of_segmenter(swept)["run_key"]
    before = stamps_of(swept / "runs" / NAME / key)
    assert len([line for line in shown.splitlines() if NAME in line and key in line]) == 1
    again = bench(*SWEEP, cwd=swept)
    assert "6 cells, 6 of them done before." in again.stdout
    assert "Composed over the 2 private fits: ε =" in again.stdout
    assert len(bench("ledger", "show", cwd=swept).stdout.splitlines()) == len(shown.splitlines())
    assert stamps_of(swept / "runs" / NAME / key) == before, "nothing is computed twice"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own use of SQLAlchemy
def test_the_reports_and_mlflow_have_it_under_its_name(swept: Path) -> None:
    text = (swept / "runs" / "report.md").read_text()
    assert "| dp-segmenter | 5 | patch |" in text
    assert "6 of 6 cells are finished: 6 rows of 1 seed." in text
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{swept / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("angiobench")
    found = client.search_runs([experiment.experiment_id], f"tags.generator = '{NAME}'")
    (run,) = found
    assert run.info.run_name == f"{NAME} ε=5 patch seed 0"
    assert run.data.params["guarantee.covers"] == "fit of the segmenter"
    assert "offline_distance" not in run.data.metrics


def test_across_sites_it_is_left_out_with_its_reason(swept: Path) -> None:
    arguments = [*ASKED, *UNTRAINED, "--sites", "2", "--no-bookends", "--rounds", "1"]
    arguments += ["--out", "across"]
    done = bench(*arguments, cwd=swept)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dp-segmenter is left out: no federation trains a segmenter" in done.stdout
    assert not (swept / "across" / NAME).exists()
