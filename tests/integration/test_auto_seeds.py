"""``bench run --seeds auto``: seeds are added until intervals are narrow, a cap stops, or nothing
is left to add; the same command goes on."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from command import SMALL, STEPS, UNTRACKED, bench, plug_in, results, rows

from benchmark.core.folders import LEDGER, machine_secret, state_folder
from benchmark.privacy.ledger.ledger import Ledger
from benchmark.results.outcome import Outcome
from benchmark.results.spec import spec_from
from benchmark.results.store import RESULT, Store
from benchmark.sweep.more_seeds import widths

ASK = ["run", "--generator", "dp-wgan,simulator,threshold", "--epsilon", "2", "--unit", "patient"]
ASK += [*SMALL, *STEPS, "--no-bookends", "--data", "cohort"]
AUTO = [*ASK, "--seeds", "auto"]


@pytest.fixture(scope="module")
def begun(tested_cohort: Path) -> Path:
    folder = tested_cohort.parent
    done = bench(*AUTO, "--precision", "0.98", *UNTRACKED, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


def seeds_of(folder: Path, generator: str) -> list[int]:
    specs = [result["spec"] for result in results(folder)]
    return sorted(spec["seed"] for spec in specs if spec["generator"]["name"] == generator)


def out_of_reach(folder: Path) -> str:
    """A precision that the widest row has not, and that its patients alone would allow."""
    outcomes = [Outcome(spec_from(result["spec"]), "kept") for result in results(folder)]
    widest = max(widths(outcomes, Store(folder / "runs")), key=lambda row: row.reach - row.alone)
    assert widest.reach > widest.alone
    return f"{(widest.reach + widest.alone) / 2:.4f}"


def test_a_precision_that_three_seeds_have_needs_no_more(begun: Path) -> None:
    said = " ".join((begun / "said.txt").read_text().split())
    assert "7 cells, 0 of them done before." in said
    assert "3 seeds: the precision ± 0.98 is reached in every finished row." in said
    assert "20 seeds and 5 test patients show" in said
    assert seeds_of(begun, "dp-wgan") == seeds_of(begun, "simulator") == [0, 1, 2]
    assert seeds_of(begun, "threshold") == [0], "nothing of it is drawn"
    assert {row["seeds"] for row in rows(begun)} == {"1", "3"}


def test_the_ledgers_cap_ends_the_rounds_and_a_higher_one_lets_them_go_on(begun: Path) -> None:
    state, keys = state_folder(), [result["run_key"] for result in results(begun)]
    paid = Ledger(state / LEDGER, machine_secret(state)).total_of(keys, unit="patient")
    assert bench("ledger", "cap", f"{1.01 * paid:.4f}", cwd=begun).returncode == 0
    asked = [*AUTO, "--precision", out_of_reach(begun)]
    before = {file: file.stat().st_mtime_ns for file in begun.glob(f"runs/*/*/{RESULT}")}
    capped = bench(*asked, "--max-seeds", "5", *UNTRACKED, cwd=begun)
    said = " ".join(capped.stdout.split())
    assert capped.returncode == 0, capped.stderr
    assert "No seeds are added: simulator, dp-wgan would take a patient's total to" in said
    assert "is not reached" in said
    assert len(rows(begun)) == len(before) == len(results(begun)) == 7
    assert bench("ledger", "cap", "inf", cwd=begun).returncode == 0

    more = bench(*asked, "--max-seeds", "4", cwd=begun)
    said = " ".join(more.stdout.split())
    assert more.returncode == 0, more.stderr
    assert "7 cells, 7 of them done before." in said
    assert "Seeds 3 to 3 are added." in said
    assert "9 cells, 7 of them done before." in said
    assert "4 seeds: the precision" in said
    assert seeds_of(begun, "dp-wgan") == seeds_of(begun, "simulator") == [0, 1, 2, 3]
    assert {row["seeds"] for row in rows(begun)} == {"1", "4"}
    assert parents_of(begun) == [9], "one sweep of MLflow's has the cells of all rounds"

    file = next(f for f in begun.glob(f"runs/simulator/*/{RESULT}") if f not in before)
    file.unlink()
    resumed = bench(*asked, "--max-seeds", "4", *UNTRACKED, cwd=begun)
    assert "9 cells, 8 of them done before." in " ".join(resumed.stdout.split())
    assert file.is_file()
    assert {f: f.stat().st_mtime_ns for f in before} == before


def parents_of(folder: Path) -> list[int]:
    """How many cells each of MLflow's sweeps has."""
    asked = "select count(*) from tags where key = 'mlflow.parentRunId' group by value"
    with closing(sqlite3.connect(folder / "runs" / "mlflow.db")) as database:
        return [many for (many,) in database.execute(asked)]


def test_a_single_test_patient_is_refused_before_anything_runs(tiny_cohort: Path) -> None:
    listed = tiny_cohort / "participants.tsv"
    listed.write_text(listed.read_text().replace("sub-06\tb\ttest", "sub-06\tb\ttrain"))
    done = bench(*AUTO, *UNTRACKED, cwd=tiny_cohort.parent)
    assert done.returncode == 2
    assert "--seeds auto needs two test patients or more" in done.stderr
    assert not results(tiny_cohort.parent)


def test_a_failed_cell_ends_the_rounds(tested_cohort: Path, tmp_path: Path) -> None:
    path = plug_in(tmp_path, "generators", "broken", "Broken", "raise RuntimeError('no')")
    asked = ["run", "--generator", "broken", "--seeds", "auto", "--no-bookends", *UNTRACKED]
    done = bench(*asked, "--data", str(tested_cohort), cwd=tmp_path, path=path)
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stdout.split())
    assert "3 cells, 0 of them done before." in said
    assert "no row is finished. No seeds are added while a cell has failed" in said
    assert "are added" not in said.replace("No seeds are added", "")
