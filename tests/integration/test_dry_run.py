"""``bench run --dry-run``: what it says comes true, and it leaves, fits and charges nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command import SMALL, UNTRACKED, bench, results

import angiobench
from benchmark.core.editions import DEFAULT, EDITIONS
from benchmark.core.folders import LEDGER, cache_folder, state_folder
from benchmark.data.phantom import DEFAULT_SEED
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.sweep import sweep
from benchmark.sweep.forecast.record import FILE
from benchmark.terminal.forecast import sentences

CORES = os.cpu_count() or 1
ASK = ["run", "--generator", "dp-simulator", "--epsilon", "1,2", "--unit", "patient"]
ASK += ["--data", "cohort", *SMALL, *UNTRACKED]


def said(done) -> str:
    return " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def foretold(module_cohort: Path) -> tuple[Path, str, float]:
    """A cohort's folder, what was said before its first sweep, and the ε then of its patients."""
    folder = module_cohort.parent
    (cache_folder() / FILE).unlink(missing_ok=True)
    done = bench(*ASK, "--dry-run", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["cohort"]
    assert not (state_folder() / LEDGER).exists()
    found = forecast(folder)
    assert bench(*ASK, cwd=folder).returncode == 0
    return folder, said(done), found.charges[0].after


def forecast(folder: Path, **more):
    settings = dict(text.split("=") for text in SMALL if "=" in text)
    return angiobench.forecast(
        **{
            "generators": "dp-simulator",
            "epsilon": [1, 2],
            "unit": "patient",
            "data": folder / "cohort",
            "settings": settings,
            "out": folder / "runs",
            "jobs": 2,
            **more,
        }
    )


def test_it_says_cells_hours_memory_the_charge_and_what_shows(foretold) -> None:
    _, words, _ = foretold
    assert "5 cells, 0 of them done: about" in words
    assert "of computing." in words
    assert "dp-simulator 2 0" in words
    assert "all 3 2 0 0 2.30" in words
    assert "Nothing is charged." in words
    assert "One seed is one draw" in words
    assert "measured here" not in words.split("seconds are")[0]


def test_the_ledger_says_afterwards_what_was_foretold(foretold) -> None:
    _, _, after = foretold
    (total,) = ledger_in(state_folder()).totals()
    assert total.epsilon == pytest.approx(after, rel=1e-9)


def test_a_finished_sweep_has_nothing_left_and_further_seeds_are_measured(foretold) -> None:
    folder, _, after = foretold
    done = forecast(folder)
    assert (done.done, len(done.pending), done.seconds, done.wall_s) == (5, 0, 0, 0)
    assert done.charges[0].before == pytest.approx(after, rel=1e-9)
    assert done.charges[0].after == done.charges[0].before
    more = forecast(folder, seeds=3)
    assert len(more.pending) == 6, "the two methods have no seed"
    assert {source for cell in more.cells for source in cell.sources} == {"measured"}
    taken = [r["seconds"]["total"] for r in results(folder) if r["spec"]["epsilon"] == 2]
    (foreseen,) = {
        cell.seconds
        for spec, cell in zip(more.pending, more.cells, strict=True)
        if spec.epsilon == 2
    }
    assert taken[0] <= 2 * foreseen, "stages of private data are rounded up, each by itself"
    assert more.charges[0].after > after


def test_a_fit_that_cells_share_is_foretold_and_charged_once(foretold) -> None:
    folder, _, _ = foretold
    asked = {"noise": "system", "epsilon": 2, "bookends": False, "first_seed": 7}
    found = forecast(folder, segmenters=["unet", "frangi"], **asked)
    stages = [{one.stage for one in cell.stages} for cell in found.cells]
    assert [{"patches", "fit"} <= names for names in stages] == [True, False]
    assert all({"sample", "train", "score"} <= names for names in stages)
    alone = forecast(folder, **asked)
    assert found.charges == alone.charges


def test_sites_pay_apart(foretold) -> None:
    folder, _, _ = foretold
    found = forecast(folder, sites=2, noise="system")
    assert [(one.group, one.patients, one.fits) for one in found.charges] == [
        ("a", 2, 2),
        ("b", 1, 2),
    ]


def test_a_cap_that_would_refuse_the_sweep_is_said_as_the_sweep_would(foretold) -> None:
    folder, _, after = foretold
    assert bench("ledger", "cap", f"{1.01 * after:.4f}", cwd=folder).returncode == 0
    asked = [*ASK, "--seeds", "3"]
    before = ledger_in(state_folder()).entries()
    dry, run = bench(*asked, "--dry-run", cwd=folder), bench(*asked, cwd=folder)
    assert (dry.returncode, run.returncode) == (2, 2)
    assert dry.stderr == run.stderr
    assert "above the cap of" in dry.stderr
    assert "9 cells" not in dry.stderr
    assert "MiB a cell" in dry.stdout, "what it would take is said all the same"
    assert ledger_in(state_folder()).entries() == before


def test_of_a_cluster_nothing_is_said_for_this_machine(
    foretold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No cell is sent, so the cluster need not answer; that it does is ``check_cluster``'s part."""
    folder, _, _ = foretold
    monkeypatch.setattr(sweep, "check_cluster", lambda cluster: None)
    asked = {"seeds": 10, "slurm": "partition=cells", "device": "cuda"}
    here, free = forecast(folder, seeds=10, jobs=64), forecast(folder, **asked, jobs=None)
    many = forecast(folder, **asked, jobs=64)
    assert len(many.cells) == len(free.cells) == len(here.cells) > CORES
    assert many.wall_s < here.wall_s * CORES / min(64, len(here.cells)) * 1.5
    assert "with --jobs 64 on the cluster" in sentences(many)[0]
    assert (free.jobs, free.wall_s) == (None, None)
    assert "about" not in sentences(free)[0]
    assert "The cluster decides how many run at a time" in sentences(free)[1]
    for found in (many, free):
        assert found.mib == max(cell.mib for cell in found.cells)
        said = " ".join(sentences(found))
        assert "Memory of a cell on its node: about" in said
        assert "nodes as fast as this machine" in said
        assert "nothing else uses the machine" not in said


def test_of_phantoms_no_cap_is_said(
    write_tiny_phantoms: Callable[[Path], None],
    cache_with_plans: Callable[[Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = cache_with_plans(tmp_path / "cache")
    write_tiny_phantoms(cache / f"phantom-v{EDITIONS[DEFAULT].phantoms}-seed{DEFAULT_SEED}")
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(cache))
    settings = dict(text.split("=") for text in SMALL if "=" in text)
    found = angiobench.forecast("dp-simulator", epsilon=2, seeds="auto", settings=settings)
    (charge,) = found.charges
    assert not charge.private
    assert 2 < charge.after < 1e6
    assert "20 seeds, the most that --seeds auto may reach" in " ".join(found.notes)
