"""How many seeds ``--seeds auto`` adds, when it stops, and what it says of every row."""

import math
from pathlib import Path

import pytest
from made import entry, specs

from benchmark.core.errors import UsageError
from benchmark.core.files import write_json
from benchmark.metrics.crossed import Parts
from benchmark.metrics.power import half_width
from benchmark.results.outcome import Outcome
from benchmark.results.store import RESULT, Store, write_result
from benchmark.results.summary import rows
from benchmark.sweep.more_seeds import Width, next_seeds, verdict, wide, widths
from benchmark.sweep.request import Precision

SEEDS_ALONE = Parts(0.05, 0.0, 0.0)
PATIENTS_ALONE = Parts(0.0, 0.1, 0.0)
CLOSE = Precision(reach=0.03, most_seeds=20)


def row(parts: Parts, seeds: int, patients: int = 20) -> Width:
    alone = half_width(Parts(0, parts.patients, 0), 3, patients)
    return Width("a row", half_width(parts, seeds, patients), alone, parts, patients)


def stored(folder: Path, **asked: object) -> tuple[list[Outcome], Store]:
    store = Store(folder / "runs")
    outcomes = [Outcome(spec, "done") for spec in specs(**asked)]
    for number, outcome in enumerate(outcomes):
        made = entry(outcome.spec, folder / "cache", dice=0.6 + 0.02 * number)
        write_json(store.begin(outcome.spec) / RESULT, made.told.as_dict())
    return outcomes, store


def test_as_many_seeds_are_added_as_promise_the_precision() -> None:
    needed = next(s for s in range(2, 50) if half_width(SEEDS_ALONE, s, 20) <= CLOSE.reach)
    seeds, steps = 3, []
    while more := next_seeds([row(SEEDS_ALONE, seeds)], CLOSE, seeds):
        seeds = more
        steps.append(seeds)
    assert steps == [6, 12, needed]


def test_no_round_more_than_doubles_the_seeds_or_exceeds_the_most() -> None:
    far = Parts(0.5, 0.0, 0.0)
    assert next_seeds([row(far, 3)], CLOSE, 3) == 6
    assert next_seeds([row(far, 3)], Precision(reach=0.03, most_seeds=5), 3) == 5
    assert next_seeds([row(far, 20)], CLOSE, 20) is None


def test_the_widest_row_decides_for_all() -> None:
    narrow, needy = row(Parts(0.001, 0, 0), 6), row(SEEDS_ALONE, 6)
    assert next_seeds([narrow, needy], CLOSE, 6) == next_seeds([needy], CLOSE, 6)
    assert next_seeds([narrow], CLOSE, 6) is None


def test_nobody_waits_for_a_row_whose_patients_alone_leave_more() -> None:
    hopeless = row(PATIENTS_ALONE, 3, patients=6)
    assert wide([hopeless], CLOSE) == ([], [hopeless])
    assert next_seeds([hopeless], CLOSE, 3) is None
    assert "by the patients alone, whatever the seeds: a row (±" in verdict([hopeless], CLOSE, 3)


def test_the_verdict_says_whether_the_precision_was_reached_and_by_which_rows_not() -> None:
    narrow, needy = row(Parts(0.001, 0, 0), 3), row(SEEDS_ALONE, 3)
    reached = "3 seeds: the precision ± 0.03 is reached in every finished row."
    assert verdict([narrow], CLOSE, 3) == reached
    said = verdict([narrow, needy], CLOSE, 3)
    assert said.startswith("3 seeds: the precision ± 0.03 is not reached. Too wide: a row (± 0.1")
    assert "--max-seeds" not in said
    assert verdict([needy], CLOSE, 20).endswith("--max-seeds allows no more.")


def test_a_reach_is_never_told_as_less_than_it_is() -> None:
    assert row(Parts(0, 0, 0), 3)._replace(reach=0.0301).words == "a row (± 0.031)"
    assert row(Parts(0, 0, 0), 3)._replace(reach=math.inf).words == "a row (no interval)"


def test_a_rows_width_is_that_of_the_interval_in_the_table(tmp_path: Path) -> None:
    outcomes, store = stored(tmp_path, seeds=3, epsilons=(2.0, 5.0))
    found = widths(outcomes, store)
    table = [r for r in rows(outcomes, {}, store) if r.test_set == "test" and r.seed == 0]
    assert [one.row for one in found] == [f"dp-wgan, ε = {r.epsilon:g}, unet" for r in table]
    for one, told in zip(found, table, strict=True):
        assert told.dice_mean is not None
        assert told.dice_mean_low is not None
        assert told.dice_mean_high is not None
        ends = told.dice_mean_high - told.dice_mean, told.dice_mean - told.dice_mean_low
        assert one.reach == pytest.approx(max(ends))
        assert one.patients == 6


def test_a_row_without_a_finished_cell_is_no_row(tmp_path: Path) -> None:
    outcomes, _ = stored(tmp_path, seeds=3)
    assert not widths(outcomes, Store(tmp_path / "elsewhere"))
    assert verdict([], CLOSE, 3) == "3 seeds: no row is finished."


def test_a_row_of_one_draw_has_no_interval_and_is_never_waited_for(tmp_path: Path) -> None:
    (found,) = widths(*stored(tmp_path, seeds=1))
    assert found.words.endswith("(no interval)")
    assert next_seeds([found], CLOSE, 3) is None


def test_where_single_patients_are_not_told_a_row_has_a_width_all_the_same(tmp_path: Path) -> None:
    outcomes, store = stored(tmp_path, seeds=3)
    (told,) = widths(outcomes, store)
    for outcome in outcomes:
        result = store.result(outcome.spec)
        untold = result.with_tests(lambda test: test.but("patients", n=len(test.patients)))
        write_result(store.folder(outcome.spec), untold)
    (untold,) = widths(outcomes, store)
    assert untold.patients == told.patients
    assert untold.reach > 0.8 * told.reach


@pytest.mark.parametrize("reach", [0.0, -0.1, 1.0, math.nan, math.inf])
def test_a_precision_lies_between_0_and_1(reach: float) -> None:
    with pytest.raises(UsageError, match="Expected --precision above 0 and below 1"):
        Precision(reach=reach)


@pytest.mark.parametrize("most", [-1, 0, 2])
def test_the_most_seeds_are_no_fewer_than_the_first(most: int) -> None:
    with pytest.raises(UsageError, match="Expected --max-seeds of at least 3"):
        Precision(most_seeds=most)


def test_a_row_of_one_finished_cell_is_one_draw_and_not_called_hopeless() -> None:
    once = Width("a row", math.inf, math.inf, Parts(0, 0, 0), 6)
    said = verdict([once], CLOSE, 3)
    assert "One draw alone is finished: a row (no interval)." in said
    assert "whatever the seeds" not in said
