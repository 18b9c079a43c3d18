"""Where δ is near the rounding errors of FFTs: no bound on ε is below the truth.

The reference is exact for whole tests: {Σ x > t} tells T draws of one pair apart with chances that
are sums over a binomial law of normal tails, so that ε ≥ ln((P(S) - δ) / Q(S)) for every t.
"""

from __future__ import annotations

import math
import random
from functools import lru_cache

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import gammaln, log_ndtr, logsumexp

from benchmark.privacy.accounting import units
from benchmark.privacy.accounting.calibration import calibrate
from benchmark.privacy.accounting.subsampled_gaussian import (
    ACCOUNTANTS,
    LEAST_DELTA,
    account,
    epsilon_spent,
    gaussian_delta,
)
from benchmark.privacy.accounting.units import (
    patch_epsilon_of_patient_run,
    patient_epsilon_of_patch_run,
)

RATES = (0.01, 0.5, 0.99, 0.9999, 0.999999, 1.0)
NOISES = ((0.8, 1), (5.0, 100), (60.0, 3000))
DELTAS = (9.9e-11, 1e-12, 1e-14, 1e-15)
SMALL = [(q, sigma, steps, delta) for q in RATES for sigma, steps in NOISES for delta in DELTAS]
NEAR = [(q, *noise, 1e-9) for q in (0.01, 0.9999, 0.999999) for noise in NOISES]
"""Where FFTs still answer."""

MANY_STEPS = (0.999999, 40.0, 30_000, 1.01e-10)
"""Where dp-accounting's FFT was found 8e-6 below the truth."""


def mechanism(q: float, sigma: float, steps: int, delta: float) -> dict:
    return {"sampling_rate": q, "noise_multiplier": sigma, "steps": steps, "delta": delta}


@lru_cache
def drawn(q: float, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often a unit is drawn, and the logarithms of the chances."""
    if q == 1:
        return np.array([float(steps)]), np.zeros(1)
    k = np.arange(steps + 1.0)
    ways = gammaln(steps + 1) - gammaln(k + 1) - gammaln(steps - k + 1)
    return k, ways + k * np.log(q) + (steps - k) * np.log1p(-q)


@lru_cache
def least_truth(q: float, sigma: float, steps: int, delta: float, *, replaced: bool) -> float:
    """What ε exceeds at least: zeroing out a unit, or replacing it by its opposite."""
    k, chances = drawn(q, steps)
    deviation = sigma * math.sqrt(steps)
    wide = math.hypot(deviation, math.sqrt(steps * q * (1 - q)))
    t = (np.linspace(-1, 10, 400) * wide + q * steps)[:, None]
    with_unit = logsumexp(chances + log_ndtr((k - t) / deviation), axis=1)
    opposite = logsumexp(chances + log_ndtr((-k - t) / deviation), axis=1)
    without = opposite if replaced else log_ndtr(-t[:, 0] / deviation)
    told = with_unit > math.log(delta)
    found = np.log(np.exp(with_unit[told]) - delta) - without[told]
    return max(0.0, float(found.max()))


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
def test_no_accountant_answers_below_what_a_test_can_tell(accountant: str) -> None:
    for run in (*NEAR, *(SMALL if accountant == "prv" else ())):  # below, all answer alike
        spent = epsilon_spent(**mechanism(*run), accountant=accountant)
        assert spent >= least_truth(*run, replaced=False) * (1 - 1e-9), run


def test_no_bound_for_the_other_unit_is_below_what_a_test_can_tell() -> None:
    for run in (*SMALL, MANY_STEPS, (0.9999, 5.0, 100, 1e-9), (0.999999, 60.0, 3000, 1e-9)):
        patch = patch_epsilon_of_patient_run(**mechanism(*run))
        assert patch >= least_truth(*run, replaced=True) * (1 - 1e-9), run
        patient = patient_epsilon_of_patch_run(**mechanism(*run), patches_per_patient=1)
        assert patient >= least_truth(*run, replaced=False) * (1 - 1e-9), run


def test_the_case_that_was_measured_is_bounded() -> None:
    """A patch of a patient run with q near 1 at δ = 1e-14."""
    run = (0.999999, 60.0, 3000, 1e-14)
    assert least_truth(*run, replaced=True) >= 15.24
    assert 15.242 <= patch_epsilon_of_patient_run(**mechanism(*run)) <= 15.25
    for accountant in ACCOUNTANTS:
        said = account(**mechanism(*run), accountant=accountant)
        assert said.accountant == "gaussian"
        assert 7.13 <= said.epsilon <= 7.14


@pytest.mark.parametrize("delta", [9.9e-11, 1e-12, 1e-15])
def test_below_the_least_delta_no_fft_is_asked(
    delta: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise AssertionError("an FFT was asked")

    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution
    from opacus.accountants import PRVAccountant

    monkeypatch.setattr(PRVAccountant, "get_epsilon", refuses)
    monkeypatch.setattr(PrivacyLossDistribution, "self_compose", refuses)
    units._epsilon_of_replacement.cache_clear()
    units._epsilon_of_mixture.cache_clear()
    assert delta < LEAST_DELTA
    for accountant in ACCOUNTANTS:
        said = account(**mechanism(0.02, 0.9, 50, delta), accountant=accountant)
        assert said.accountant in {"rdp", "gaussian"}
    assert math.isfinite(patch_epsilon_of_patient_run(**mechanism(0.02, 0.9, 50, delta)))
    of_patient = patient_epsilon_of_patch_run(
        **mechanism(0.02, 0.9, 50, delta), patches_per_patient=7
    )
    assert math.isfinite(of_patient)


def test_closed_forms_fall_with_delta_where_they_take_over() -> None:
    run = (0.999999, 60.0, 3000)
    series = [epsilon_spent(**mechanism(*run, d)) for d in (2e-10, 1e-10, 5e-11, 1e-12, 1e-14)]
    assert series == sorted(series)


def test_the_gaussian_closed_form_is_never_below_the_truth_and_close_to_it() -> None:
    rng = random.Random(1)
    with mpmath.workdps(60):
        for _ in range(1500):
            mu = 10 ** rng.uniform(-13, 6)
            near = max(0.0, mu * mu / 2 + mu * rng.uniform(-2, 12))
            epsilon = rng.choice([0.0, mu * 10 ** rng.uniform(-2, 1.2), near])
            m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
            exact = mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m)
            found = gaussian_delta(epsilon, mu)
            assert found >= exact * (1 - mpmath.mpf(10) ** -15), (epsilon, mu)
            assert found <= exact * 1.001 + 1e-11, (epsilon, mu)


@pytest.mark.parametrize("q", [0.02, 0.999999])
def test_noise_calibrated_at_a_small_delta_is_enough(q: float) -> None:
    noise = calibrate(epsilon=2.0, delta=1e-13, sampling_rate=q, steps=100)
    assert least_truth(q, noise, 100, 1e-13, replaced=False) <= 2.0
    assert epsilon_spent(**mechanism(q, noise, 100, 1e-13)) <= 2.0
