"""Calibration: the least noise that keeps a number of private steps within ε."""

import math
from collections.abc import Callable
from functools import lru_cache

from benchmark.core.errors import UsageError
from benchmark.privacy.accounting.subsampled_gaussian import (
    Run,
    check_name,
    checked_run,
    gaussian_delta,
    spent_in,
)

_NOISE_RANGE = (1e-3, 1e6)


@lru_cache(maxsize=256)
def calibrate(
    *, epsilon: float, delta: float, sampling_rate: float, steps: int, accountant: str = "prv"
) -> float:
    """Finds the smallest noise multiplier that keeps ``steps`` steps within ``epsilon``.

    Args:
        epsilon: The target, above 0; inf gives 0.
        delta: δ in (0, 1).
        sampling_rate: q in (0, 1].
        steps: T, at least 1.
        accountant: As in ``benchmark.privacy.accounting.subsampled_gaussian.account``.

    Returns:
        σ with four significant digits, between 0.001 and 1e6. Its ``epsilon_spent`` does not exceed
        ``epsilon``, and that of a σ smaller by 0.2 % does.

    Raises:
        UsageError: For a number outside its range, or when no σ is large enough.
    """
    run = checked_run(0.0, sampling_rate, steps, delta)
    check_name(accountant)
    if not epsilon > 0:
        raise UsageError(f"Expected epsilon in (0, inf], got {epsilon}.")
    if run.steps == 0:
        raise UsageError("Expected at least one step to calibrate noise for, got 0.")
    if epsilon == math.inf:
        return 0.0
    drawn = 1 - (1 - run.sampling_rate) ** run.steps
    if drawn <= delta:
        raise UsageError(
            f"delta = {delta:g} would allow publishing every drawn unit without noise, as a unit "
            f"is drawn with probability {drawn:.2g}; choose a delta far below that."
        )
    return _smallest_noise(epsilon, run, accountant)


def _smallest_noise(target: float, run: Run, accountant: str) -> float:
    """Solves ε(σ) = target in logarithms, then rounds σ up to where ε(σ) is within the target."""
    from scipy.optimize import brentq

    def excess(log_noise: float) -> float:
        spent = spent_in(run._replace(noise_multiplier=math.exp(log_noise)), accountant).epsilon
        return max(-50.0, min(50.0, math.log(max(spent, 1e-300) / target)))

    low, high = _bracket(excess, math.log(_noise_by_central_limit(target, run)))
    if excess(high) > 0:
        raise UsageError(
            f"No noise multiplier up to {_NOISE_RANGE[1]:g} keeps {run.steps} steps within "
            f"epsilon = {target:g} at delta = {run.delta:g} by the {accountant} accountant; "
            "raise epsilon, take fewer steps or name another accountant."
        )
    root = brentq(excess, low, high, xtol=2e-4) if excess(low) > 0 else low
    noise = _round_up(math.exp(root))
    while spent_in(run._replace(noise_multiplier=noise), accountant).epsilon > target:
        noise = _round_up(noise * 1.0002)
    return noise


def _bracket(excess: Callable[[float], float], guess: float) -> tuple[float, float]:
    """Widens (guess, guess) until ``excess`` changes its sign or the range of σ ends."""
    least, most = (math.log(noise) for noise in _NOISE_RANGE)
    low = high = min(max(guess, least), most)
    stride = 0.05
    while excess(high) > 0 and high < most:
        low, high, stride = high, min(high + stride, most), 2 * stride
    while excess(low) <= 0 and low > least:
        low, high, stride = max(low - stride, least), low, 2 * stride
    return low, high


def _noise_by_central_limit(epsilon: float, run: Run) -> float:
    """Guesses σ from μ-GDP with μ = q √(T (e^(1/σ²) - 1)) (Bu et al. 2020, arXiv:1911.11607)."""
    from scipy.optimize import brentq

    def excess(log_mu: float) -> float:
        return gaussian_delta(epsilon, math.exp(log_mu)) - run.delta

    mu = math.exp(brentq(excess, math.log(1e-12), math.log(1e12), xtol=1e-3))
    return 1 / math.sqrt(math.log1p((mu / run.sampling_rate) ** 2 / run.steps))


def _round_up(noise: float) -> float:
    """Rounds up to four significant digits."""
    digits = 3 - math.floor(math.log10(noise))
    return float(round(math.ceil(noise * 10**digits - 1e-6) / 10**digits, digits))
