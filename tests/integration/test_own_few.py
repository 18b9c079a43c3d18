"""The real command beside own patients: one fit, several segmenters, and a curve."""

import csv
import json
from pathlib import Path

import pytest
from command import SMALL, STEPS, UNTRACKED, bench, results, rows

ASK = ["run", "--generator", "dp-wgan", "--epsilon", "5", "--data", "cohort", *UNTRACKED]
ASK += [*SMALL, *STEPS, "--set", "unet.iterations=3", "--noise", "seeded"]
OWN = ["--own-patients", "0,1,2"]
EPS = "5"


@pytest.fixture(scope="module")
def swept(module_cohort: Path) -> Path:
    folder = module_cohort.parent
    done = bench(*ASK, *OWN, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


def with_synthetic(folder: Path) -> list[dict]:
    """The results of cells whose segmenter learnt from synthetic patches."""
    return [r for r in results(folder) if r["spec"]["generator"] != r["spec"]["segmenter"]]


def test_a_cell_is_fitted_once_and_judged_beside_every_number(swept: Path) -> None:
    assert len(with_synthetic(swept)) == 2
    for result in with_synthetic(swept):
        assert [one["patients"] for one in result["own"]] == [1, 2]
        assert result["spec"]["own"] == {"patients": [1, 2], "mixture": "half"}
        assert all(one[kind] for one in result["own"] for kind in ("test_sets", "alone"))
    assert len(list(swept.glob("runs/dp-wgan/*/result.json"))) == 1


def test_the_guarantee_and_the_ledger_are_of_the_fitted_patients(swept: Path) -> None:
    assert {result["guarantee"]["patients"] for result in results(swept)} == {1}
    assert "1 patients have paid" in bench("ledger", "show", cwd=swept).stdout


def test_own_alone_is_the_same_beside_every_generator(swept: Path) -> None:
    told = [[one["alone"] for one in result["own"]] for result in with_synthetic(swept)]
    assert told[0] == told[1]


def test_the_curve_is_a_file_a_picture_and_a_table(swept: Path) -> None:
    with (swept / "runs" / "own-patients.csv").open() as lines:
        points = {(r["generator"], r["epsilon"], r["own_patients"]) for r in csv.DictReader(lines)}
    lines = {("dp-wgan", EPS), ("simulator", "0")}
    alone = {("own patients alone", "", many) for many in "12"}
    assert points == {(*line, many) for line in lines for many in "012"} | alone
    assert (swept / "runs" / "own-patients.png").is_file()
    said = " ".join((swept / "said.txt").read_text().split())
    for text in ("0 own", "2 own", "own patients alone", "so N = 1", "stays with their owner"):
        assert text in said


def test_the_summary_is_of_synthetic_patches_alone(swept: Path) -> None:
    tests = {result["run_key"]: result["test_sets"][0] for result in results(swept)}
    for row in rows(swept):
        assert float(row["dice"]) == pytest.approx(tests[row["run_key"]]["dice"]["mean"], abs=1e-6)


def test_explain_says_that_no_epsilon_is_claimed_for_own_patients(swept: Path) -> None:
    (cell,) = swept.glob("runs/dp-wgan/*/result.json")
    said = " ".join(bench("explain", str(cell.parent), cwd=swept).stdout.split())
    assert "And the own patients?" in said
    assert "is not private with respect to them, and stays with their owner" in said


def test_cells_beside_own_patients_are_not_published_among_others(swept: Path) -> None:
    (cell,) = swept.glob("runs/dp-wgan/*")
    done = bench("leaderboard", "submit", str(cell), "--to", "sent", cwd=swept)
    assert done.returncode != 0
    assert "--own-patients withheld" in " ".join((done.stdout + done.stderr).split())


def test_the_same_command_computes_nothing_twice(swept: Path) -> None:
    files = {f: f.stat().st_mtime_ns for f in swept.glob("runs/*/*/result.json")}
    done = bench(*ASK, *OWN, cwd=swept)
    assert f"{len(results(swept))} of them done before" in done.stdout
    assert {f: f.stat().st_mtime_ns for f in files} == files
    spec = json.loads(next(swept.glob("runs/simulator/*/spec.json")).read_text())
    assert spec["own"]["patients"] == [1, 2]


def test_asking_for_all_patients_is_refused_in_a_sentence(swept: Path) -> None:
    done = bench(*ASK, "--own-patients", "3", "--out", "none", cwd=swept)
    assert done.returncode == 2
    assert "ask for at most 2, or give a larger cohort" in " ".join(done.stderr.split())
    assert not list(swept.glob("none/*/*"))
