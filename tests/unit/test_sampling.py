"""Poisson sampling over the public number of units."""

import numpy as np
import pytest
import scipy.stats

from benchmark.core.patches import Patches
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.sampling import PoissonSampler

PATIENTS, SLOTS, DRAWS = 8, 50, 400


def patches(of_patient: list[int]) -> Patches:
    owner = np.repeat(np.arange(len(of_patient)), of_patient)
    shape = (len(owner), 1, 4, 4)
    return Patches(
        images=np.zeros(shape, np.float32),
        masks=np.zeros(shape, np.uint8),
        patient=owner,
        patients=len(of_patient),
        patches_per_patient=SLOTS,
    )


def sampler(unit: str, rate: float, of_patient: list[int] | None = None) -> PoissonSampler:
    return PoissonSampler(
        patches(of_patient or [SLOTS] * PATIENTS),
        unit=unit,
        rate=rate,
        patches_per_draw=6,
        noise=SeededNoise(0, unit),
        seed=0,
    )


@pytest.mark.parametrize(("unit", "units"), [("patch", PATIENTS * SLOTS), ("patient", PATIENTS)])
def test_batch_sizes_follow_the_binomial_law(unit: str, units: int) -> None:
    draw = sampler(unit, 0.1)
    sizes = [len(np.unique(draw.draw()[1])) for _ in range(DRAWS)]
    law = scipy.stats.binom(units, 0.1)
    edges = [-1, *law.ppf([0.2, 0.4, 0.6, 0.8]), units]
    edges = np.unique(edges)
    seen = np.histogram(sizes, np.array(edges) + 0.5)[0]
    expected = DRAWS * np.diff(law.cdf(edges))
    assert scipy.stats.chisquare(seen, expected).pvalue > 1e-4
    assert np.std(sizes) == pytest.approx(law.std(), rel=0.2)


def test_every_draw_is_a_fresh_batch() -> None:
    draw = sampler("patch", 0.1)
    one, two = (set(draw.draw()[0]) for _ in range(2))
    share = len(one & two) / len(one)
    assert share < 0.3


def test_every_unit_is_drawn_at_the_rate() -> None:
    draw = sampler("patch", 0.2)
    counts = np.zeros(PATIENTS * SLOTS)
    for _ in range(DRAWS):
        counts[draw.draw()[0]] += 1
    spread = np.sqrt(0.2 * 0.8 / DRAWS)
    assert abs(counts.mean() / DRAWS - 0.2) < 5 * spread / np.sqrt(len(counts))
    assert np.abs(counts / DRAWS - 0.2).max() < 5.5 * spread


def test_a_sampled_patient_brings_some_of_their_own_patches_and_no_others() -> None:
    draw = sampler("patient", 0.5)
    indices, owners = draw.draw()
    assert (indices // SLOTS == owners).all()
    assert set(np.unique(owners, return_counts=True)[1]) == {6}


def test_the_rate_does_not_depend_on_what_patients_hold() -> None:
    full, sparse = sampler("patch", 0.3), sampler("patch", 0.3, [SLOTS, 10, *[SLOTS] * 6])
    kept = [i for p in range(8) for i in range(p * 50, p * 50 + (10 if p == 1 else 50))]
    for _ in range(20):
        there = set(full.draw()[0])
        assert [i for i in kept if i in there] == [kept[j] for j in sparse.draw()[0]]


def test_what_one_patient_holds_moves_no_other_patients_patches() -> None:
    full, without = sampler("patient", 0.5), sampler("patient", 0.5, [0, *[SLOTS] * 7])
    for _ in range(20):
        (here, owners), (there, _) = full.draw(), without.draw()
        assert (here[owners > 0] - SLOTS == there).all()


def test_a_sampler_goes_on_where_another_stood() -> None:
    one, two = sampler("patient", 1.0), sampler("patient", 1.0)
    first, second = one.draw()[0], one.draw()[0]
    assert not np.array_equal(first, second)
    two.draws = 1
    assert np.array_equal(two.draw()[0], second)


def test_an_empty_batch_is_a_batch() -> None:
    for unit in ("patch", "patient"):
        indices, owners = sampler(unit, 1e-9).draw()
        assert indices.shape == owners.shape == (0,)
        assert indices.dtype == np.int64


def test_patches_of_no_patient_cannot_be_sampled() -> None:
    plain = patches([SLOTS])
    with pytest.raises(ValueError, match="no known patient"):
        PoissonSampler(
            Patches(images=plain.images, masks=plain.masks),
            unit="patch",
            rate=0.1,
            patches_per_draw=1,
            noise=SeededNoise(0, "x"),
            seed=0,
        )
