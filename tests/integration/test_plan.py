"""``bench plan``: a table from public numbers, with no cohort, ledger or phantom touched."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import bench

from benchmark.results.variance_parts import shipped

PLAN = ["plan", "--patients", "41", "--unit", "patient"]
WATCHED = """
import json, sys
seen = []
def hook(event, arguments):
    if event in ("open", "os.listdir", "os.scandir", "os.mkdir", "sqlite3.connect"):
        seen.append(str(arguments[0]))
sys.addaudithook(hook)
from benchmark.cli.main import main
sys.argv = ["bench", *json.loads(sys.argv[1])]
try:
    main()
finally:
    json.dump(seen, open("seen.json", "w"))
"""


def test_a_plan_reads_no_cohort_and_leaves_no_state(
    tiny_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "ANGIOBENCH_CACHE", "ANGIOBENCH_STATE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    command = [sys.executable, "-c", WATCHED, json.dumps([*PLAN, "--epsilon", "2"])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "dp-wgan" in done.stdout
    seen = json.loads((tmp_path / "seen.json").read_text())
    mine = [Path(place) for place in seen if str(tmp_path) in place or not place.startswith("/")]
    plans = tmp_path / "ANGIOBENCH_CACHE" / "plans"
    assert any(plans in place.parents for place in mine), "the watch sees nothing"
    forbidden = (tiny_cohort, tmp_path / "ANGIOBENCH_STATE")
    assert not [place for place in mine if any(place.is_relative_to(f) for f in forbidden)]
    assert not [place for place in seen if ".nii" in place or "ledger.db" in place]
    assert not (tmp_path / "ANGIOBENCH_STATE").exists()
    assert [folder.name for folder in plans.parent.iterdir()] == ["plans"]


def test_a_piped_table_has_every_column_whole(tmp_path: Path) -> None:
    done = bench(*PLAN, "--epsilon", "2,7.4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    heading = next(line for line in done.stdout.splitlines() if "noise / signal" in line)
    names = ("generator", "unit", "ε asked", "spent, patch", "spent, patient", "δ", "σ", "q", "T")
    assert all(name in heading for name in (*names, "C", "verdict"))
    assert "…" not in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(" dp-wgan")]
    assert [(row[1], row[2], row[-1]) for row in rows] == [
        ("patient", "2", "hopeless"),
        ("patient", "7.4", "hopeless"),
    ]
    assert all(len(row) == len((*names, "C", "noise / signal", "verdict")) for row in rows)
    assert "not private" in done.stdout
    assert "free: ε = 0" in done.stdout
    assert "it promises nothing" in " ".join(done.stdout.split())
    assert not list(tmp_path.iterdir())


def test_a_plan_says_what_seeds_and_test_patients_can_show(tmp_path: Path) -> None:
    asked = ["--epsilon", "2", "--generator", "dp-wgan,simulator"]
    said = " ".join(bench(*PLAN, *asked, cwd=tmp_path).stdout.split())
    assert "that 3 seeds and 20 test patients show: 0." in said
    assert "A difference of 0.03 takes" in said
    assert f"the board's phantoms under protocol {shipped().edition}" in said
    asked += ["--seeds", "10", "--test-patients", "40"]
    said = " ".join(bench(*PLAN, *asked, cwd=tmp_path).stdout.split())
    assert "that 10 seeds and 40 test patients show: 0." in said
    said = " ".join(bench(*PLAN, *asked, "--seeds", "1", cwd=tmp_path).stdout.split())
    assert "One seed is one draw" in said


def test_a_generator_that_has_no_plan_fails_alone(tmp_path: Path) -> None:
    odd = ["--set", "protocol.patch_size=33", "--epsilon", "inf", "--generator", "wgan,real"]
    done = bench(*PLAN, *odd, cwd=tmp_path)
    assert done.returncode == 1
    assert "failed" in done.stdout
    assert "wgan, ε = inf: wgan with levels=3 makes patches whose side is a" in done.stdout
    assert " real " in done.stdout


def test_a_plan_across_sites_says_the_noise_and_who_could_see_what(tmp_path: Path) -> None:
    asked = ["--epsilon", "2", "--sites", "3", "--generator", "dp-simulator,simulator"]
    done = bench(*PLAN, *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "×1.73, 0.12, doubtful  ×1.22, 0.084, workable  ×1.00, 0.069, workable" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if "secure sums, t = 1  " in line]
    assert [row[-5:] for row in rows[1:]] == [["1.596", "1.999", "1.596", "1.999", "2.952"]]
    said = " ".join(done.stdout.split())
    assert "3 sites of 14, 14, 13 patients." in said
    assert "Recommended at ε = 2: dp-simulator with secure sums sized for one curious site" in said
    assert "workable), which is `--secure-sum t=1`; with local noise it is 0.12" in said
    assert not list(tmp_path.iterdir())


def test_a_plan_without_sites_says_nothing_of_them(tmp_path: Path) -> None:
    done = bench(*PLAN, "--epsilon", "2", "--generator", "dp-simulator", cwd=tmp_path)
    assert "secure sums" not in done.stdout
    assert "Recommended" not in done.stdout


def test_where_no_generator_can_be_trained_across_sites_it_is_said(tmp_path: Path) -> None:
    asked = ["--epsilon", "2", "--sites", "3", "--generator", "wgan,real"]
    done = bench(*PLAN, *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "No generator here has a finite ε and can be trained across sites." in done.stdout


@pytest.mark.parametrize(
    ("options", "law"),
    [
        (["--sites", "1"], "Expected --sites in [2, 1000], got 1."),
        (["--sites", "1000000000"], "Expected --sites in [2, 1000], got 1000000000."),
        (["--sites", "42"], "41 patients cannot be split over 42 sites; every site needs one."),
        (["--sites", "3", "--partition", "size-skew:2,0,1"], "expected numbers above 0"),
        (["--sites", "3", "--partition", "size-skew:2,1"], "one for each of the 3 sites"),
        (["--sites", "3", "--partition", "site"], "as there is no cohort yet; got 'site'."),
        (["--sites", "3", "--partition", "equl"], "Expected --partition to be equal, size-skew:"),
        (["--partition", "equal"], "--partition equal needs --sites."),
    ],
)
def test_sites_that_cannot_be_meant_are_refused_in_one_sentence(
    options: list[str], law: str, tmp_path: Path
) -> None:
    done = bench(*PLAN, "--epsilon", "2", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert law in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
