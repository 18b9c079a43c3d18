"""From a real sweep to its report, to a published file, and back to a page."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import SMALL, STEPS, UNTRACKED, bench, results, rows
from test_page import view_in

from benchmark.core.editions import DEFAULT, EDITIONS
from benchmark.data.phantom import DEFAULT_SEED
from benchmark.results.disclosure import SCORES_RULE

SWEEP = ["run", "--generator", "real,dp-wgan", "--epsilon", "5", "--data", "cohort"]
SWEEP += ["--seeds", "2"]
SWEEP += [*SMALL, *STEPS, *UNTRACKED]


@pytest.fixture(scope="module", autouse=True)
def _own_cache_of_tiny_phantoms(
    tmp_path_factory: pytest.TempPathFactory,
    write_tiny_phantoms: Callable[[Path], None],
    cache_with_plans: Callable[[Path], Path],
) -> Iterator[None]:
    """Whom published patients are compared with."""
    cache = cache_with_plans(tmp_path_factory.mktemp("cache"))
    write_tiny_phantoms(cache / f"phantom-v{EDITIONS[DEFAULT].phantoms}-seed{DEFAULT_SEED}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANGIOBENCH_CACHE", str(cache))
        yield


@pytest.fixture(scope="module")
def swept(tested_cohort: Path) -> Path:
    folder = tested_cohort.parent
    done = bench(*SWEEP, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runs/report.html" in done.stdout.replace("\n", "")
    return folder


def test_every_run_leaves_a_page_and_markdown_of_its_own_cells(swept: Path) -> None:
    text = (swept / "runs" / "report.md").read_text()
    assert "8 of 8 cells are finished: 5 rows of up to 2 seeds." in text
    mine = [row for row in rows(swept) if row["generator"] == "dp-wgan"]
    mean = sum(float(row["dice"]) for row in mine) / 2
    shown = re.search(r"\| dp-wgan \| 5 \| patch \| (0\.\d{3}) \[", text)
    assert shown
    assert float(shown[1]) == pytest.approx(mean, abs=6e-4)
    page = (swept / "runs" / "report.html").read_text()
    assert "<title>AngioBench: real, simulator, threshold, frangi, dp-wgan</title>" in page
    view = view_in(page)
    assert view["tables"][0]["rows"][1]["tests"]["test"]["dice"][0] == pytest.approx(mean, abs=1e-4)
    assert not [word for word in ("sub-", str(swept)) if word in json.dumps(view) + text]


def test_a_report_can_be_made_again_of_a_sweep_and_of_one_run(swept: Path) -> None:
    before = (swept / "runs" / "report.html").read_bytes()
    assert bench("report", "runs", cwd=swept).returncode == 0
    assert (swept / "runs" / "report.html").read_bytes() == before
    key = results(swept)[0]["run_key"]
    done = bench("report", key, cwd=swept)
    assert done.returncode == 0, done.stderr
    (file,) = swept.glob(f"runs/*/{key}/report.md")
    assert "1 of 1 cells are finished" in file.read_text()


def test_what_is_published_of_patients_adds_up_and_names_none(swept: Path) -> None:
    done = bench("leaderboard", "submit", "runs", "--to", "published", cwd=swept)
    assert done.returncode == 0, done.stderr
    assert SCORES_RULE in done.stdout
    files = sorted((swept / "published").glob("*.json"))
    assert len(files) == 8
    assert not [file for file in files if "sub-" in file.read_text()]
    checked = bench("leaderboard", "verify", "published", cwd=swept)
    assert checked.returncode == 0, checked.stdout
    assert "8 of 8 results add up." in checked.stdout
    assert "not recomputed: the intervals" in checked.stdout
    built = bench("leaderboard", "build", "published", "--out", "site", cwd=swept)
    assert "Rows: 5; tables: 1." in built.stdout
    first = (swept / "site" / "report.md").read_text().splitlines()
    assert [line for line in first if line.startswith("| dp-wgan | 5 |")]


def test_a_changed_file_is_refused(swept: Path, tmp_path: Path) -> None:
    bench("leaderboard", "submit", "runs", "--to", str(tmp_path), cwd=swept)
    file = next(tmp_path.glob("dp-wgan-*.json"))
    said = json.loads(file.read_text())
    said["result"]["guarantee"]["epsilon"] = 1.0
    file.write_text(json.dumps(said))
    done = bench("leaderboard", "verify", str(file), cwd=swept)
    assert done.returncode == 1
    assert "epsilon is 1.0, and its mechanism's numbers give" in done.stdout
    assert "0 of 1 results add up." in done.stdout


def test_two_runs_are_compared_patient_by_patient(swept: Path) -> None:
    by_name = {r["spec"]["generator"]["name"]: r for r in results(swept) if not r["spec"]["seed"]}
    keys = [by_name[name]["run_key"] for name in ("simulator", "real")]
    done = bench("compare", *keys, cwd=swept)
    assert done.returncode == 0, done.stderr
    assert re.search(r"generator\.name +simulator +real", done.stdout)
    left, right = (by_name[name]["test_sets"][0]["dice"]["mean"] for name in ("simulator", "real"))
    found = re.search(r"dice, test +(0\.\d{3}) +(0\.\d{3}) +([+-]0\.\d{3})", done.stdout)
    assert found
    expected = [f"{left:.3f}", f"{right:.3f}", f"{right - left:+.3f}"]
    assert list(found.groups()) == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compare", "one", "other"], "one: there is no finished run of this name"),
        (["report", "nothing"], "nothing: there is no finished run of this name"),
        (["leaderboard", "build"], "give the folders of your results"),
        (["leaderboard", "build", "."], "no result is here"),
        (["leaderboard", "verify"], "there is no published result here"),
    ],
)
def test_what_is_not_there_gets_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    done = bench(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
