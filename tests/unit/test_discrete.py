"""Noise over whole numbers: its laws, exactly, and how far it is from what is accounted."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import scipy.stats

from benchmark.privacy.mechanisms import discrete
from benchmark.privacy.mechanisms.discrete import SMALL_SCALE, Bits, Exact, Layered, distance

N = 40_000
RARE = 1e-6


def words_of(seed: int):
    return np.random.Philox(seed).random_raw


def pmf(scale: float, reach: int) -> np.ndarray:
    """The discrete Gaussian on -reach..reach."""
    weights = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2 * scale**2))
    return weights / weights.sum()


@pytest.mark.parametrize("scale", [1, 2, 7])
def test_exact_noise_has_the_discrete_gaussians_probabilities(scale: int) -> None:
    reach = 4 * scale
    drawn = np.clip(Exact(scale).draw(N, words_of(scale)), -reach, reach)
    seen = np.bincount(drawn + reach, minlength=2 * reach + 1)
    expected = N * pmf(scale, 12 * scale)[8 * scale : 16 * scale + 1]
    expected[[0, -1]] += (N - expected.sum()) / 2
    assert scipy.stats.chisquare(seen, expected, sum_check=False).pvalue > RARE


def test_exact_noise_of_a_large_scale_is_normal_but_for_rounding() -> None:
    drawn = Exact(2**31 + 12345).draw(N // 2, words_of(0)) / (2**31 + 12345)
    assert scipy.stats.kstest(drawn, "norm").pvalue > RARE


@pytest.mark.parametrize(("above", "below"), [(0, 1), (1, 3), (1, 1), (5, 2)])
def test_a_coin_falls_with_a_probability_of_exp_minus_its_odds(above: int, below: int) -> None:
    bits = Bits(words_of(1))
    heads = sum(discrete.happens(above, below, bits) for _ in range(N))
    assert scipy.stats.binomtest(heads, N, math.exp(-above / below)).pvalue > RARE


def test_uniform_integers_are_uniform_below_their_bound() -> None:
    bits = Bits(words_of(2))
    seen = np.bincount([bits.below(13) for _ in range(N)], minlength=13)
    assert len(seen) == 13
    assert scipy.stats.chisquare(seen).pvalue > RARE


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_layers_have_the_variance_of_their_scale(layers: int) -> None:
    law = Layered(100, layers)
    drawn = law.draw(N, words_of(3)) / law.scale
    assert scipy.stats.kstest(drawn, "norm").pvalue > RARE
    assert drawn.var() == pytest.approx(1, abs=5 * math.sqrt(2 / N))
    assert len(np.unique(drawn)) > 0.05 * N


def test_the_table_has_the_discrete_gaussians_probabilities() -> None:
    whole = np.array([float(Decimal(w) / 2**discrete.PRECISION) for w in discrete._table().whole])
    law = pmf(SMALL_SCALE, len(whole) - 1)[len(whole) - 1 :]
    expected = np.cumsum(np.append(law[0], 2 * law[1:]))
    np.testing.assert_allclose(whole, expected, atol=1e-12)


def test_a_word_that_does_not_decide_is_decided_by_further_bits() -> None:
    law, heads = Layered(1, 1), discrete._table().heads
    tied = np.uint64(int(heads[500]) << 1)
    drawn = {int(law.draw(1, served(tied, seed))[0]) for seed in range(64)}
    assert drawn == {500, 501}
    clear = np.uint64((int(heads[500]) + 1) << 1)
    assert {int(law.draw(1, served(clear, seed))[0]) for seed in range(16)} == {501}


def served(first: np.uint64, seed: int):
    """One word, then random ones."""
    begun: list[bool] = []

    def words(count: int) -> np.ndarray:
        found = np.random.Philox(seed).random_raw(count)
        if not begun:
            found[0] = first
            begun.append(True)
        return found

    return words


def test_the_smallest_law_of_a_scale_is_taken() -> None:
    for least in (1.0, 2.0**18, 1e6, 3e8):
        law = Layered.of_scale(least)
        assert law.scale >= least
        smaller = Layered(max(1, law.factor - 1), law.layers)
        assert law.factor == 1 or smaller.scale < least
    with pytest.raises(ValueError, match=r"factor in \[1, 1280\]"):
        Layered(1281, 2)


def exactly_apart(scale: int) -> Decimal:
    """Total variation between the discrete Gaussian and a rounded normal number, to forty digits.

    The normal one has the variance s² - 1/12; its cells are integrated by Gauss and Legendre.
    """
    with localcontext() as context:
        context.prec = 50
        nodes, weights = (
            [Decimal(float(v)) for v in row] for row in np.polynomial.legendre.leggauss(12)
        )
        tau = Decimal(scale) ** 2 - Decimal(1) / 12
        ks = range(-10 * scale, 10 * scale + 1)
        one = [(Decimal(-k * k) / (2 * Decimal(scale) ** 2)).exp() for k in ks]
        two = [
            sum(
                w * (-((k + x / 2) ** 2) / (2 * tau)).exp()
                for x, w in zip(nodes, weights, strict=True)
            )
            for k in ks
        ]
        one_total, two_total = sum(one), sum(two)
        return sum(abs(a / one_total - b / two_total) for a, b in zip(one, two, strict=True)) / 2


@pytest.mark.parametrize("scale", [16, 24, 32])
def test_a_number_is_as_close_to_a_rounded_normal_one_as_is_said(scale: int) -> None:
    found = float(exactly_apart(scale)) * scale**4
    assert found == pytest.approx(0.000486, rel=0.01)
    assert distance(1, scale) >= found / scale**4


def test_layers_are_the_discrete_gaussian_they_are_said_to_be() -> None:
    """Their distance falls as fast as Poisson's summation says, at scales that show it."""
    for small, factor in ((6, 4), (4, 3)):
        reach = 14 * small
        fine = pmf(small, reach)
        coarse = np.zeros(2 * factor * reach + 1)
        coarse[::factor] = fine
        both = np.convolve(coarse, fine)
        scale = small * math.sqrt(1 + factor**2)
        law = pmf(scale, (len(both) - 1) // 2)
        middle = np.abs(np.arange(len(both)) - len(both) // 2) < 4 * scale
        worst = np.abs(both / law - 1)[middle].max()
        b = small / math.sqrt(1 + factor**2)
        assert worst <= 6 * math.exp(-2 * math.pi**2 * b**2) + 1e-9
