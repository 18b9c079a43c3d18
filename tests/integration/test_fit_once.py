"""Cells that share a fit, by the real command: what they leave, what they cost, what is said."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command import FEW_PATCHES, UNTRACKED, UNTRAINED, bench, results

from benchmark.core.editions import DEFAULT, EDITIONS
from benchmark.core.errors import UsageError
from benchmark.core.folders import state_folder
from benchmark.data.phantom import DEFAULT_SEED
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.release.findings import ledger_record
from benchmark.release.source import Source
from benchmark.results.store import read_result
from benchmark.sweep.shared_fit import CellFit

JUDGES = ["--segmenter", "frangi,threshold,unet", "--set", "unet.iterations=2"]
JUDGES += ["--set", "unet.attempts=0"]
FIT = ["run", "--generator", "dp-simulator", "--epsilon", "2", "--unit", "patient"]
FIT += ["--set", "dp-simulator.populations=60", "--set", "dp-simulator.patches=4"]
FIT += ["--no-bookends", *FEW_PATCHES, *UNTRACKED]


@pytest.fixture(scope="module")
def shared(module_cohort: Path) -> Path:
    """The folder in which three segmenters judged one fit on patients, two at a time."""
    folder = module_cohort.parent
    done = bench(*FIT, *JUDGES, "--data", str(module_cohort), "--jobs", "2", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def entries() -> list[str]:
    return [str(entry.said["run"]) for entry in ledger_in(state_folder()).entries()]


def cells_in(folder: Path) -> list[Path]:
    return sorted(file.parent for file in folder.glob("runs/*/*/result.json"))


def test_three_segmenters_pay_once(shared: Path) -> None:
    found = results(shared)
    assert {one["spec"]["segmenter"]["name"] for one in found} == {"frangi", "threshold", "unet"}
    own, *others = sorted(found, key=lambda one: "fit_of" in one)
    assert own["spec"]["segmenter"]["name"] == "frangi", "the first of the sweep, at any --jobs"
    assert entries() == [own["run_key"]]
    assert {one["fit_of"] for one in others} == {own["run_key"]}
    (total,) = ledger_in(state_folder()).totals()
    assert total.entries == (1,)
    assert total.epsilon == pytest.approx(own["guarantee"]["epsilon_patient"], rel=0.01)
    for name in ("generator/settings.json", "charge.json", "samples.png"):
        assert len({(folder / name).read_bytes() for folder in cells_in(shared)}) == 1
    assert not list(shared.rglob("checkpoint.safetensors"))


def test_the_ledger_and_explain_say_whose_fit_it_is(shared: Path) -> None:
    own, other, _ = sorted(results(shared), key=lambda one: "fit_of" in one)
    shown = bench("ledger", "show", cwd=shared).stdout
    assert shown.count(own["run_key"]) == 1
    assert "the entry names the run that the fit was begun for" in shown
    said = " ".join(bench("explain", other["run_key"], cwd=shared).stdout.split())
    assert f"The fit is that of the run {own['run_key']}" in said
    assert "The fit is that of" not in bench("explain", own["run_key"], cwd=shared).stdout


def test_a_release_finds_the_entry_of_a_shared_fit(shared: Path) -> None:
    state = state_folder()
    records = []
    for folder in cells_in(shared):
        result = read_result(folder)
        assert result is not None
        records.append(ledger_record(Source(folder=folder, result=result), state))
    assert records[0] == records[1] == records[2]
    assert [entry.number for entry in records[0].entries] == [1]
    elsewhere = Source(folder=folder, result=result.but(fit_of="0" * 12))
    with pytest.raises(UsageError, match="does not have what the fit of run"):
        ledger_record(elsewhere, state)


def test_a_further_segmenter_costs_nothing_also_under_a_cap(
    shared: Path, module_cohort: Path
) -> None:
    ledger = ledger_in(state_folder())
    ledger.set_cap(1.01 * ledger.totals()[0].epsilon)
    try:
        before = len(entries_of_fits())
        more = [*FIT, "--segmenter", "unet", "--set", "unet.iterations=3"]
        more += ["--set", "unet.attempts=0", "--data", str(module_cohort), "--out", "runs"]
        done = bench(*more, cwd=shared)
        assert done.returncode == 0, done.stdout + done.stderr
        refused = bench(*more, "--set", "dp-simulator.patches=5", cwd=shared)
        assert "above the cap" in refused.stderr, "another fit"
        assert len(entries_of_fits()) == before
    finally:
        ledger.set_cap(float("inf"))


def entries_of_fits() -> list[object]:
    return [entry for entry in ledger_in(state_folder()).entries() if entry.said["kind"] == "fit"]


def test_a_fit_that_was_changed_stops_the_sweep_with_one_sentence(
    shared: Path, module_cohort: Path
) -> None:
    (record,) = shared.glob("runs/_fits/*/fit.json")
    before = record.read_text()
    record.write_text(before.replace('"epsilon": ', '"epsilon": 0', 1))
    try:
        more = [*FIT, "--segmenter", "unet", "--set", "unet.iterations=4"]
        done = bench(*more, "--data", str(module_cohort), cwd=shared)
        assert done.returncode == 2
        assert "this is not the fit that the suite kept" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    finally:
        record.write_text(before)


def test_a_shared_fit_counts_once_in_what_a_sweep_costs(
    module_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    asked = [*FIT, "--segmenter", "frangi,threshold", "--data", str(module_cohort)]
    one = bench(*asked, cwd=tmp_path)
    assert one.returncode == 0, one.stdout + one.stderr
    assert "Composed over" not in one.stdout, "there is one fit"
    two = bench(*asked, "--seeds", "2", cwd=tmp_path)
    assert "Composed over the 2 private fits" in two.stdout


MEASURED = ("seconds", "peak_mib", "seal")
ALONE = ["run", "--generator", "dp-wgan,simulator", "--epsilon", "5", "--no-bookends"]
ALONE += [*UNTRAINED, *UNTRACKED, "--set", "dp-wgan.generator_steps=3"]
ALONE += ["--set", "dp-wgan.batch=16", "--set", "dp-wgan.accountant=rdp"]


def left_in(folder: Path) -> dict[str, object]:
    """Every file of every cell, without what was measured of the run, and without claims."""
    found: dict[str, object] = {}
    for cell in cells_in(folder):
        for file in (f for f in cell.rglob("*") if f.is_file() and f.name != ".lock"):
            said: object = file.read_bytes()
            if file.suffix == ".json":
                said = json.loads(file.read_text())
            if file.name == "result.json":
                said = {n: v for n, v in said.items() if n not in MEASURED}
                said.get("rounds", {}).pop("seconds", None)
            if file.name == "charge.json":
                del said["ledger_entry"], said["claim"]
            if file.name == "curves.json":
                said = [point for point in said if "seconds" not in point[0]]
            found[str(file.relative_to(folder))] = said
    return found


@pytest.mark.parametrize("more", [[], ["--canaries", "16"], ["--sites", "2"]])
def test_a_cell_that_nobody_shares_a_fit_with_is_as_it_was(
    more: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cache_with_plans: Callable[[Path], Path],
    write_tiny_phantoms: Callable[[Path], None],
) -> None:
    cache = cache_with_plans(tmp_path / "cache")
    write_tiny_phantoms(cache / f"phantom-v{EDITIONS[DEFAULT].phantoms}-seed{DEFAULT_SEED}")
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(cache))
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    for name, shares in (("now", True), ("before", False)):
        (tmp_path / name).mkdir()
        with monkeypatch.context() as patch:
            if not shares:  # every cell fits in its own folder
                patch.setattr(CellFit, "is_shared", False)
            done = bench(*ALONE, *more, cwd=tmp_path / name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (tmp_path / name / "runs" / "_fits").exists() == shares
    now, before = left_in(tmp_path / "now"), left_in(tmp_path / "before")
    assert len(now) > 10
    assert now == before
