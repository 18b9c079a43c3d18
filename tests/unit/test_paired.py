"""Two rows set against each other, ranks, and trends over ε."""

import math

import numpy as np
import pytest
import scipy.stats

from benchmark.metrics.crossed import Crossed, Grid, Means, OneDraw, estimate, grid
from benchmark.metrics.paired import chance, difference, p_of_pairs
from benchmark.metrics.ranking import Rank, holm, holm_of_pairs, ranks
from benchmark.metrics.trend import trend

SEED_SD, PATIENT_SD, REST_SD = 0.05, 0.1, 0.03


def row(at: float, seeds: tuple[int, ...] = (0, 1, 2), patients: int = 6, *, rng: int = 0) -> Grid:
    draw = np.random.default_rng([rng, *seeds])
    shared = np.random.default_rng(99).normal(0, PATIENT_SD, patients)
    values = at + draw.normal(0, SEED_SD, (len(seeds), 1)) + shared
    values = values + draw.normal(0, REST_SD, values.shape)
    return Grid(seeds=seeds, patients=tuple(f"sub-{p}" for p in range(patients)), values=values)


def test_rows_of_the_same_seeds_are_paired_by_seed_and_patient() -> None:
    one, other = row(0.8, rng=1), row(0.6, rng=2)
    found, paired = difference(one, other)
    assert paired == "seed and patient"
    assert found == estimate(
        Grid(seeds=one.seeds, patients=one.patients, values=one.values - other.values)
    )


def test_rows_of_other_seeds_are_paired_by_patient_alone() -> None:
    one, other = row(0.8, rng=1), row(0.6, (5, 6, 7, 8), rng=2)
    found, paired = difference(one, other)
    assert paired == "patient"
    assert isinstance(found, Crossed)
    assert found.mean == pytest.approx(one.values.mean() - other.values.mean())
    assert found.seeds == 3
    alone = estimate(one)
    assert isinstance(alone, Crossed)
    assert found.error < alone.error, "patients' own part has gone"


def test_a_row_without_randomness_is_paired_with_every_seed() -> None:
    one = row(0.8)
    sure = Grid(seeds=(7,), patients=one.patients, values=row(0.6).values[:1], is_certain=True)
    for found, paired in (difference(one, sure), difference(sure, one)):
        assert paired == "seed and patient"
        assert isinstance(found, Crossed)
        assert found.seeds == 3
    both, _ = difference(sure, sure)
    assert isinstance(both, Crossed)
    assert (both.low, both.high, both.p) == (0, 0, 1)


def test_of_means_alone_nothing_is_paired() -> None:
    one = Means(
        seeds=(0, 1, 2), values=np.array([0.7, 0.8, 0.75]), errors=np.full(3, 0.02), patients=9
    )
    other = row(0.5)
    found, paired = difference(one, other)
    assert paired == "nothing"
    assert isinstance(found, Crossed)
    assert found.patients == 6
    assert found.mean == pytest.approx(0.75 - other.values.mean())


def test_means_without_randomness_need_one_seed() -> None:
    sure = Means(
        seeds=(0,), values=np.array([0.7]), errors=np.array([0.02]), patients=9, is_certain=True
    )
    found, _ = difference(sure, sure)
    assert isinstance(found, Crossed)
    assert found.low < 0 < found.high
    assert chance(sure, sure) is not None


def test_of_means_without_chance_in_both_rows_patients_alone_vary() -> None:
    sure = Means(
        seeds=(0,), values=np.array([0.7]), errors=np.array([0.02]), patients=9, is_certain=True
    )
    found, paired = difference(sure, sure)
    assert paired == "nothing"
    assert isinstance(found, Crossed)
    assert (found.mean, found.seeds) == (0, 1)


def test_one_draw_is_told_apart_from_nothing() -> None:
    one, other = row(0.9, (0,)), row(0.1)
    found, _ = difference(one, other)
    assert isinstance(found, OneDraw)
    assert chance(one, other) is None
    assert p_of_pairs([one, other]).tolist() == [[1, 1], [1, 1]]


def test_of_rows_of_other_patients_those_that_both_have_count() -> None:
    one = row(0.8)
    other = Grid(seeds=(0, 1, 2), patients=tuple("abcdef"), values=one.values - 0.1)
    found, paired = difference(one, other)
    assert paired == "nothing"
    assert found.mean == pytest.approx(0.1)
    some = Grid(seeds=(0, 1, 2), patients=("sub-1", "x"), values=one.values[:, :2])
    assert isinstance(difference(one, some)[0], OneDraw), "one shared patient"


def test_differences_that_are_none_are_found_in_one_of_twenty() -> None:
    found = [difference(row(0.7, rng=2 * k), row(0.7, rng=2 * k + 1))[0] for k in range(600)]
    wrong = sum(isinstance(one, Crossed) and one.p < 0.05 for one in found)
    assert 0.02 < wrong / len(found) < 0.08
    apart = [difference(row(0.7, rng=k), row(0.7, (5, 6, 7), rng=k))[0] for k in range(600)]
    wrong = sum(isinstance(one, Crossed) and one.p < 0.05 for one in apart)
    assert 0.01 < wrong / len(apart) < 0.08


def test_the_chance_that_a_fresh_fit_is_better_is_in_its_interval() -> None:
    """95 % nominally; by Monte Carlo within 3 %, and with three seeds too wide rather than not."""
    for gap in (0.0, 0.05, 0.1):
        true = scipy.stats.norm.cdf(gap / (SEED_SD * math.sqrt(2)))
        hits = 0
        for k in range(300):
            found = chance(row(0.7 + gap, rng=2 * k), row(0.7, rng=2 * k + 1))
            assert found is not None
            hits += found.low <= true <= found.high
        assert hits / 300 > 0.92


def test_chances_of_both_sides_add_up_and_a_row_is_as_good_as_itself() -> None:
    one, other = row(0.75, rng=1), row(0.7, rng=2)
    there, back = chance(one, other), chance(other, one)
    assert there is not None
    assert back is not None
    assert there.mean + back.mean == pytest.approx(1)
    same = chance(one, one)
    assert same is not None
    assert same.mean == 0.5


def test_pairs_at_once_are_as_pair_by_pair() -> None:
    made = [row(0.8, rng=1), row(0.7, (0, 1, 2, 3), rng=2), row(0.75, rng=3), row(0.7, rng=4)]
    found = p_of_pairs([*made])
    assert np.array_equal(found, found.T)
    for i, one in enumerate(made):
        for j, other in enumerate(made):
            if i != j:
                apart, _ = difference(one, other)
                assert isinstance(apart, Crossed)
                assert found[i, j] == pytest.approx(apart.p)


def test_holm_is_statsmodels_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]).tolist() == []
    assert holm([0.6, 0.9]).tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"p-values in \[0, 1\]"):
        holm([math.nan])
    with pytest.raises(ValueError, match=r"p-values in \[0, 1\]"):
        holm([1.2])


def test_ranks_are_those_of_rows_told_apart() -> None:
    p = np.ones((3, 3))
    assert ranks([3, 2, 1], p) == [Rank(1, 3)] * 3
    p[0, 2] = p[2, 0] = 0.01
    assert ranks([3, 2, 1], p) == [Rank(1, 2), Rank(1, 3), Rank(2, 3)]
    assert ranks([], np.ones((0, 0))) == []


def test_the_correction_is_over_all_pairs() -> None:
    p = np.full((3, 3), 0.02)
    assert holm_of_pairs(p)[0, 1] == pytest.approx(0.06)
    assert holm_of_pairs(np.ones((1, 1))).tolist() == [[1]]


def test_the_trend_is_pages_test_exactly() -> None:
    rng = np.random.default_rng(4)
    for seeds, levels in ((2, 3), (3, 5), (5, 6)):
        values = rng.standard_normal((seeds, levels)) + 0.3 * np.arange(levels)
        theirs = scipy.stats.page_trend_test(values, method="exact").pvalue
        assert trend(values).p == pytest.approx(theirs)
    many = rng.standard_normal((4, 9))
    theirs = scipy.stats.page_trend_test(many, method="asymptotic").pvalue
    assert trend(many).p == pytest.approx(theirs)


def test_ties_are_no_trend_and_a_perfect_order_has_the_smallest_p() -> None:
    assert trend(np.ones((3, 4))) == (0, 1, 3, 4)
    found = trend([[1, 2, 3], [4, 5, 6]])
    assert (found.rho, found.p) == pytest.approx((1, 1 / 36))
    assert trend([[3, 2, 1], [6, 5, 4]]).p == 1


def test_without_a_trend_its_p_is_below_five_percent_in_one_of_twenty() -> None:
    rng = np.random.default_rng(6)
    found = [trend(rng.standard_normal((3, 4))).p < 0.05 for _ in range(2000)]
    assert np.mean(found) < 0.06


@pytest.mark.parametrize("scores", [[], [[1, 2]], [1, 2, 3], [[1, 2, math.nan]]])
def test_a_trend_needs_a_seed_and_three_levels(scores: list) -> None:
    with pytest.raises(ValueError, match="three levels or more"):
        trend(scores)


def test_a_grid_of_one_seed_is_compared_with_none() -> None:
    one = grid({0: {"a": 0.5, "b": 0.7}})
    assert p_of_pairs([one, one]).min() == 1
