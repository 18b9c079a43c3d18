"""Shares of what `real` has: exact where they must be, and covered by their intervals."""

import numpy as np
import pytest

from benchmark.metrics.crossed import Crossed, Grid, Means, OneDraw
from benchmark.metrics.gains import share

PATIENTS = tuple(f"sub-{number}" for number in range(20))


def row(values: np.ndarray, *, first: int = 0, certain: bool = False) -> Grid:
    seeds = tuple(range(first, first + len(values)))
    return Grid(seeds=seeds, patients=PATIENTS, values=values, is_certain=certain)


def drawn(
    rng: np.random.Generator, mean: float, patients: np.ndarray, seeds: int = 5, sd: float = 0.02
) -> np.ndarray:
    """Scores whose patients are alike for all rows, in part, and whose seeds are not."""
    own = 0.02 * rng.standard_normal(len(PATIENTS))
    rest = 0.02 * rng.standard_normal((seeds, len(PATIENTS)))
    return mean + patients + own + sd * rng.standard_normal((seeds, 1)) + rest


def study(rng: np.random.Generator, seeds: int, certain: bool) -> tuple[Grid, Grid, Grid]:
    """A row, `real` and the free row, with a gain of 0.6 in the population."""
    patients = 0.05 * rng.standard_normal(len(PATIENTS))
    free = drawn(rng, 0.5, patients, 1, sd=0) if certain else drawn(rng, 0.5, patients, seeds)
    return (
        row(drawn(rng, 0.62, patients, seeds)),
        row(drawn(rng, 0.7, patients, seeds)),
        row(free, certain=certain),
    )


@pytest.mark.parametrize("seeds", [2, 5, 10])
@pytest.mark.parametrize("certain", [False, True])
def test_an_interval_covers_the_gain_of_the_population(seeds: int, certain: bool) -> None:
    """To first order, which suffices where `real` is ten standard errors above the free row."""
    rng = np.random.default_rng(seeds)
    inside, studies = 0, 400
    for _ in range(studies):
        found = share(*study(rng, seeds, certain))
        assert isinstance(found, Crossed)
        inside += found.low <= 0.6 <= found.high
    assert inside / studies >= 0.92


def test_an_interval_is_no_wider_than_it_must_be() -> None:
    rng = np.random.default_rng(1)
    made = [share(*study(rng, 5, certain=False)) for _ in range(200)]
    widths = [one.high - one.low for one in made if isinstance(one, Crossed)]
    spread = np.std([one.mean for one in made if one])
    assert np.median(widths) < 6.5 * spread


def test_of_the_bookends_themselves_the_share_is_exact() -> None:
    _, real, free = study(np.random.default_rng(0), 5, certain=False)
    for one, expected in ((real, 1.0), (free, 0.0)):
        found = share(one, real, free)
        assert isinstance(found, Crossed)
        assert (found.low, found.mean, found.high) == pytest.approx((expected,) * 3)


def test_without_a_free_row_it_is_the_share_of_real() -> None:
    one, real, _ = study(np.random.default_rng(0), 5, certain=False)
    found = share(one, real)
    assert isinstance(found, Crossed)
    assert found.mean == pytest.approx(one.values.mean() / real.values.mean())
    assert found.low < found.mean < found.high


def test_other_seeds_are_paired_by_patient_alone() -> None:
    one, real, free = study(np.random.default_rng(0), 5, certain=False)
    found = share(row(one.values, first=7), real, free)
    assert isinstance(found, Crossed)
    assert found.mean == pytest.approx(0.6, abs=0.2)


def test_of_bookends_that_share_some_seeds_these_count() -> None:
    one, real, free = study(np.random.default_rng(0), 5, certain=False)
    assert isinstance(share(one, real, row(free.values, first=3)), Crossed)
    assert share(one, real, row(free.values, first=5)) is None


def test_one_draw_stays_one_draw() -> None:
    one, real, free = study(np.random.default_rng(0), 5, certain=False)
    found = share(row(one.values[:1]), real, free)
    assert isinstance(found, OneDraw)
    assert found.mean == pytest.approx(
        (one.values[0].mean() - free.values.mean()) / (real.values.mean() - free.values.mean())
    )


def test_there_is_none_where_real_has_nothing_more() -> None:
    one, real, free = study(np.random.default_rng(0), 5, certain=False)
    assert share(one, free, real) is None


def test_where_patients_are_withheld_a_share_of_real_has_an_interval_and_a_gain_none() -> None:
    one, real, free = study(np.random.default_rng(0), 5, certain=False)

    def means(grid: Grid) -> Means:
        values = grid.values.mean(axis=1)
        return Means(seeds=grid.seeds, values=values, errors=np.full(5, 0.01), patients=20)

    assert isinstance(share(means(one), means(real)), Crossed)
    assert share(means(one), means(real), means(free)) is None
