"""What keeps a sweep of many cells quick gives what reading everything again would give."""

from dataclasses import replace
from pathlib import Path

import pytest
from cells import SPEC
from made import entry, spec

from benchmark.core.files import write_json
from benchmark.results.bookends import METHODS, UPPER, references_of
from benchmark.results.read_once import ReadOnce
from benchmark.results.spec import RunSpec
from benchmark.results.spec_parts import PlugIn
from benchmark.results.store import RESULT, Store, write_result
from benchmark.results.store import SPEC as SPEC_FILE
from benchmark.sweep.tracking import children
from benchmark.sweep.tracking.mlflow_runs import Tracker, default_uri
from benchmark.sweep.tracking.parents import Parent
from leaderboard.entries import entry_of
from leaderboard.lazily import Files, Lazily

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy


def written(out: Path, made: RunSpec) -> Path:
    folder = Store(out).folder(made)
    folder.mkdir(parents=True)
    write_json(folder / SPEC_FILE, made.as_dict())
    write_result(folder, entry(made, out / "cache").told)
    return folder


def test_a_kept_result_is_read_once_and_a_missing_one_is_looked_for_again(tmp_path: Path) -> None:
    store, made = ReadOnce(tmp_path), spec()
    assert store.result(made) is None
    folder = written(tmp_path, made)
    first = store.result(made)
    (folder / RESULT).unlink()
    assert store.result(made) is first
    assert entry_of(folder, store).result is first
    store.keep(False)
    assert store.result(made) is None


def test_while_cells_run_nothing_is_kept(tmp_path: Path) -> None:
    store, made = ReadOnce(tmp_path), spec()
    folder = written(tmp_path, made)
    store.keep(False)
    assert store.result(made) is not None
    (folder / RESULT).unlink()
    assert store.result(made) is None


def named(name: str, seed: int, segmenter: str = "unet") -> RunSpec:
    plug_in = PlugIn(name=name, version=1, settings={})
    judge = plug_in if name in (*METHODS, "dp-segmenter") else replace(plug_in, name=segmenter)
    return replace(SPEC, generator=plug_in, segmenter=judge, seed=seed)


def nearest_real(one: RunSpec, specs: list[RunSpec]) -> RunSpec | None:
    """The law, in full: the first `real` cell of its seed and segmenter."""
    for other in specs:
        is_real = other.generator.name == UPPER != one.generator.name
        if (
            is_real
            and (other.seed == one.seed or one.generator.name in METHODS)
            and (one.is_direct or other.segmenter == one.segmenter)
        ):
            return other
    return None


def test_references_found_together_are_those_of_the_law() -> None:
    names = (UPPER, "simulator", *METHODS, "dp-wgan", "dp-segmenter")
    judges = ("unet", "frangi")
    specs = [named(n, seed, judge) for judge in judges for seed in (0, 1) for n in names]
    found = references_of(specs, specs)
    assert found == {one.key: nearest_real(one, specs) for one in specs}
    assert found[named("dp-wgan", 1, "frangi").key] == named(UPPER, 1, "frangi")
    assert references_of([named("dp-wgan", 2)], specs) == {named("dp-wgan", 2).key: None}


def test_the_child_runs_that_sqlite_has_are_those_that_mlflow_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, uri = tmp_path, default_uri(tmp_path)
    tracker = Tracker(uri, out, Parent("0", "sweep", ""), pytest.fail)
    for seed in range(3):
        tracker.cell(written(out, spec(first_seed=seed)))
    tracker.failed(spec(first_seed=3), "")
    other = Tracker(uri, out, Parent("1", "another sweep", ""), pytest.fail)
    other.cell(written(out, spec(first_seed=4)))
    asked = (tracker._client, uri, tracker._experiment, tracker._parent, ["dice_test", "seconds"])
    read = children.children_of(*asked)
    assert {one.run_key for one in read} == {spec(first_seed=seed).key for seed in range(4)}
    monkeypatch.setattr(children, "PAGE", 2)
    monkeypatch.setattr(children, "_sqlite_file", lambda _: None)
    assert sorted(children.children_of(*asked)) == sorted(read)
    assert {one.status for one in read} == {"FINISHED", "FAILED"}
    assert all(set(one.metrics) == {"dice_test", "seconds"} for one in read if one.metrics)
    assert sum(bool(one.metrics) for one in read) == 3
    tracker._client.delete_run(read[0].identity)
    monkeypatch.undo()
    assert len(children.children_of(*asked)) == 3


def test_pictures_and_curves_are_read_when_they_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    files = Files({"samples": tmp_path / "a.png"})
    (tmp_path / "a.png").write_bytes(b"2")
    assert dict(files) == {"samples": b"2"}
    made: list[int] = []
    lazy = Lazily(lambda: made.append(1) or {"curve": 3})
    assert not made
    assert (lazy["curve"], len(lazy), list(lazy)) == (3, 1, ["curve"])
    assert made == [1]
