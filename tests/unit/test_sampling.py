"""Poisson sampling over the public number of units."""

import numpy as np
import pytest
import scipy.stats

from benchmark.core.patches import Patches
from benchmark.privacy.dpsgd.sampling import BLANK, PoissonSampler, least_units
from benchmark.privacy.randomness import SeededNoise

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


def sampler(
    unit: str, rate: float, of_patient: list[int] | None = None, *, padded: bool = False
) -> PoissonSampler:
    return PoissonSampler(
        patches(of_patient or [SLOTS] * PATIENTS),
        unit=unit,
        rate=rate,
        patches_per_draw=6,
        noise=SeededNoise(0, unit),
        seed=0,
        padded=padded,
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
        (there, units), (here, same) = full.draw(), sparse.draw()
        assert units.tolist() == same.tolist()
        assert [i if i in kept else BLANK for i in there] == [
            BLANK if j == BLANK else kept[j] for j in here
        ]


def test_what_one_patient_holds_moves_no_other_patients_patches() -> None:
    full, without = sampler("patient", 0.5), sampler("patient", 0.5, [0, *[SLOTS] * 7])
    for _ in range(20):
        (here, owners), (there, same) = full.draw(), without.draw()
        assert (owners == same).all()
        assert (here[owners > 0] - SLOTS == there[owners > 0]).all()
        assert (there[owners == 0] == BLANK).all()


def test_a_sampler_goes_on_where_another_stood() -> None:
    one, two = sampler("patient", 1.0), sampler("patient", 1.0)
    first, second = one.draw()[0], one.draw()[0]
    assert not np.array_equal(first, second)
    two.draws = 1
    assert np.array_equal(two.draw()[0], second)


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_the_shape_of_a_batch_depends_on_the_draw_alone(unit: str) -> None:
    full, empty = sampler(unit, 0.4), sampler(unit, 0.4, [0] * PATIENTS)
    for _ in range(20):
        (_, units), (blank, same) = full.draw(), empty.draw()
        assert units.tolist() == same.tolist()
        assert (blank == BLANK).all()


@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_a_padded_batch_has_one_size_whoever_is_drawn(unit: str) -> None:
    plain, padded = sampler(unit, 0.1), sampler(unit, 0.1, padded=True)
    sizes = set()
    for _ in range(200):
        (here, units), (there, more) = plain.draw(), padded.draw()
        assert there[: len(here)].tolist() == here.tolist()
        assert more[: len(units)].tolist() == units.tolist()
        assert (there[len(here) :] == BLANK).all()
        assert (more[len(units) :] >= padded.units).all()
        sizes.add(len(there))
    assert len(sizes) == 1


def test_a_batch_outgrows_its_padding_once_in_a_million_million_draws() -> None:
    for units, rate in ((8, 0.5), (400, 0.1), (41_000, 300 / 41_000)):
        most = least_units(units, rate)
        assert scipy.stats.binom.sf(most, units, rate) <= 2.0**-40
        assert most == units or scipy.stats.binom.sf(most - 1, units, rate) > 2.0**-40


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
