"""What is foretold of a sweep: what is measured is told apart from estimates, and stays coarse."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cells import SPEC
from hypothesis import given
from hypothesis import strategies as st
from made import entry, spec

from benchmark.core.coarse import coarse
from benchmark.results.spec_parts import PlugIn
from benchmark.sweep.forecast.calibration import calibrate
from benchmark.sweep.forecast.predict import wall_seconds
from benchmark.sweep.forecast.record import FILE, MOST, NOTHING, Record, note
from benchmark.sweep.forecast.reference import scaled, shipped
from benchmark.sweep.forecast.work import FIT, SCORE, TRAIN, Work

UNET = PlugIn(name="unet", version=1, settings={"iterations": 1000, "width": 8})


def work(**changed) -> Work:
    said = {"stage": TRAIN, "plug_in": UNET, "patches": 4096, "side": 32, "patients": 0, "more": {}}
    return Work(**{**said, **changed})


def test_a_measured_stage_has_the_mean_and_the_spread_of_its_cells(tmp_path: Path) -> None:
    result, stage = entry(spec(), tmp_path / "cache").told, work()
    for seconds in (10.0, 14.0):
        note(tmp_path, result.but(seconds={TRAIN: seconds, "total": 20.0}), [stage], None)
    found = Record(tmp_path).of(stage.key)
    assert found is not None
    assert (found.cells, found.mean, found.spread) == (2, 12.0, 2.0)
    assert Record(tmp_path).of(work(side=64).key) is None


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=8))
def test_of_patients_no_number_finer_than_a_power_of_two_is_kept(seconds: list[float]) -> None:
    found = NOTHING
    for each in seconds:
        found = found.with_one(coarse(each), coarse=True)
    assert found.mean == coarse(found.mean)
    assert found.square == found.mean**2


def test_the_record_of_private_cells_is_coarse_and_names_nobody(tmp_path: Path) -> None:
    result = entry(spec(), tmp_path / "cache").told.but(private_data=True)
    for seconds in (8.0, 16.0, 4.0):
        told = result.but(seconds={TRAIN: seconds, "total": 64.0}, peak_mib=1024.0)
        note(tmp_path, told, [work()], "memory")
    said = json.loads((tmp_path / FILE).read_text())
    assert said == {
        work().key: {"cells": 3, "mean": 16.0, "square": 256.0, "coarse": True},
        "memory": {"cells": 3, "mean": 1024.0, "square": 1024.0**2, "coarse": True},
    }


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        '{"a": 1}',
        '{"a": {"cells": 1, "mean": -1, "square": 1, "coarse": false}}',
        '{"a": {"cells": 1, "mean": "x", "square": 1, "coarse": false}}',
        '{"a": {"cells": 1, "mean": NaN, "square": 1, "coarse": false}}',
        '{"a": {"cells": 1, "mean": 1, "square": 1, "coarse": false, "more": 1}}',
    ],
)
def test_a_damaged_record_is_measured_anew(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    assert Record(tmp_path).of("a") is None
    result = entry(spec(), tmp_path / "cache").told.but(seconds={TRAIN: 1.0, "total": 1.0})
    note(tmp_path, result, [work()], None)
    assert list(json.loads((tmp_path / FILE).read_text())) == [work().key]


def test_the_record_stays_small(tmp_path: Path) -> None:
    one = {"cells": 1, "mean": 1, "square": 1, "coarse": False}
    (tmp_path / FILE).write_text(json.dumps({str(i): one for i in range(MOST)}))
    result = entry(spec(), tmp_path / "cache").told.but(seconds={TRAIN: 1.0, "total": 1.0})
    note(tmp_path, result, [work()], None)
    kept = json.loads((tmp_path / FILE).read_text())
    assert len(kept) == MOST
    assert "0" not in kept
    assert work().key in kept


def test_a_machine_that_got_faster_is_believed_after_some_cells() -> None:
    found = NOTHING
    for seconds in [100.0] * 30 + [10.0] * 60:
        found = found.with_one(seconds, coarse=False)
    assert found.mean == pytest.approx(10.0, rel=0.5)


def of_the_board(stage: str, plug_in: str) -> Work:
    one = next(s for s in shipped().stages if (s.stage, s.plug_in) == (stage, plug_in))
    return Work(
        stage=stage,
        plug_in=PlugIn(name=plug_in, version=1, settings=one.settings),
        private=one.private,
        patches=one.patches,
        side=one.side,
        patients=one.patients,
        more={},
    )


def test_the_boards_own_sizes_have_its_own_seconds_and_others_are_rough() -> None:
    board, fit = shipped(), of_the_board(FIT, "dp-merf")
    seconds = next(s.seconds for s in board.stages if (s.stage, s.plug_in) == (FIT, "dp-merf"))
    found = scaled(fit, board)
    assert found == (seconds, False)
    larger = scaled(replace(fit, side=64), board)
    assert larger == (4 * seconds, True)
    steps = {**fit.plug_in.settings, "steps": 2 * fit.plug_in.settings["steps"]}
    longer = scaled(replace(fit, plug_in=replace(fit.plug_in, settings=steps)), board)
    assert longer == (2 * seconds, True)
    score = of_the_board(SCORE, "unet")
    double = scaled(replace(score, patients=2 * score.patients), board)
    assert double == (2 * scaled(score, board).seconds, True)


def test_what_nobody_timed_is_unknown() -> None:
    assert scaled(work(plug_in=PlugIn(name="new", version=1, settings={})), shipped()) is None


def test_settings_and_the_device_decide_a_stage() -> None:
    changed = replace(SPEC.generator, settings={"batch": 9})
    assert work(plug_in=SPEC.generator).key != work(plug_in=changed).key
    assert work(more={"device": "cuda"}).key != work(more={"device": "cpu"}).key


def test_waiting_cells_begin_when_a_worker_is_free() -> None:
    assert wall_seconds([5, 1, 1, 1, 1], 2) == 5
    assert wall_seconds([1, 1, 1, 1, 5], 2) == 7
    assert wall_seconds([2, 3], 1) == 5
    assert wall_seconds([], 4) == 0


def test_the_calibration_is_short_and_moves_no_draw() -> None:
    ticks = iter(range(1000))
    before = torch.random.get_rng_state()
    assert calibrate("cpu", clock=lambda: next(ticks)) == 1
    assert torch.equal(before, torch.random.get_rng_state())
