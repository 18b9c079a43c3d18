"""What training together is worth, by the rows of a table; docs/federation.md shows it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made import entry, specs

from benchmark.metrics.paired import difference
from benchmark.results.spec import RunSpec
from benchmark.sweep.sites import Federation
from leaderboard.board import tables_of
from leaderboard.federated import Together, lines_of, together

SPLIT = Federation(sites=3, partition="size-skew:1,1,1", baselines=True)


def found(dice: Callable[[RunSpec], float], cache: Path, **how: object) -> Together:
    federation = replace(SPLIT, **how)
    asked = {"generators": ("dp-simulator",), "unit": "patient", "seeds": 3}
    cells = [
        entry(one, cache, dice=dice(one) + 0.01 * (one.seed % 3 - 1) * one.is_federated)
        for one in specs(**asked, federation=federation)
    ]
    (table,) = tables_of(cells)
    (only,) = together(table, "test")
    return only


@pytest.mark.parametrize("curious", [None, 1])
def test_a_federated_row_has_its_pooled_fit_and_its_sites(curious: int | None, cache: Path) -> None:
    def dice(one: RunSpec) -> float:
        if one.is_federated:
            return 0.8
        return 0.81 if one.alone_at is None else 0.6

    one = found(dice, cache, curious=curious)
    assert {*one.alone} == {"site-1", "site-2", "site-3"}
    over = one.over_pooled("test")
    assert over is not None
    assert over.mean == pytest.approx(-0.01)
    best = one.over_best_alone("test")
    assert best is not None
    assert best.mean == pytest.approx(0.2)
    p = one.p_no_better("test")
    assert p is not None
    assert p < 0.05


def test_a_site_that_is_better_alone_is_not_beaten(cache: Path) -> None:
    def dice(one: RunSpec) -> float:
        return 0.9 if one.alone_at == "site-2" else 0.8

    one = found(dice, cache)
    p = one.p_no_better("test")
    assert p is not None
    assert p > 0.95
    best = one.over_best_alone("test")
    assert best is not None
    assert best.mean == pytest.approx(-0.1)


def test_without_baselines_nothing_is_said_of_them(cache: Path) -> None:
    one = found(lambda _: 0.8, cache, baselines=False)
    assert one.pooled is None
    assert not one.alone
    assert one.over_pooled("test") is one.over_best_alone("test") is None
    assert one.p_no_better("test") is None


def test_a_fit_must_beat_every_site_and_need_not_pay_for_their_number(cache: Path) -> None:
    """The p-value is that of the site that is beaten least, one-sided and uncorrected."""
    one = found(lambda spec: 0.8 if spec.is_federated else 0.78, cache)
    each = [
        difference(one.row.tests["test"].told, row.tests["test"].told)[0]
        for row in one.alone.values()
    ]
    assert one.p_no_better("test") == pytest.approx(max(gap.p for gap in each) / 2)


def test_a_site_that_was_not_run_leaves_nothing_to_say_of_the_sites(cache: Path) -> None:
    asked = {"generators": ("dp-simulator",), "unit": "patient", "seeds": 3}
    made = [one for one in specs(**asked, federation=SPLIT) if one.alone_at != "site-3"]
    (table,) = tables_of([entry(one, cache) for one in made])
    (one,) = together(table, "test")
    assert one.pooled is not None
    assert not one.alone
    assert one.p_no_better("test") is None


def test_sites_alone_belong_to_the_split_that_they_are_of(cache: Path) -> None:
    other = replace(SPLIT, partition="size-skew:8,5,3")
    asked = {"generators": ("dp-simulator",), "unit": "patient", "seeds": 3}
    made = [one for how in (SPLIT, other) for one in specs(**asked, federation=how)]
    cells = [entry(one, cache) for one in {one.key: one for one in made}.values()]
    (table,) = tables_of(cells)
    both = together(table, "test")
    assert len(both) == 2
    for one in both:
        partition = one.row.spec.federation.partition
        assert {row.spec.federation.partition for row in one.alone.values()} == {partition}


def test_the_table_says_nothing_of_what_was_not_run(cache: Path) -> None:
    federation = replace(SPLIT, baselines=False)
    asked = {"generators": ("dp-simulator",), "unit": "patient", "federation": federation}
    head, _, line = lines_of(tables_of([entry(one, cache) for one in specs(**asked)]))
    assert head.startswith("| generator")
    assert line.startswith("| dp-simulator, 3 sites | first | a patient | 5 | 1 × 6 |")
    assert line.endswith("| – | – | – |")
