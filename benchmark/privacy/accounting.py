"""The ε of the Poisson-subsampled Gaussian mechanism, always an upper bound and never an estimate.

One private step draws each unit with probability q (``sampling_rate``), clips what each drawn unit
contributes to norm C, and adds N(0, σ²C²) to the sum (σ is ``noise_multiplier``). Zeroing out one
unit makes a step no easier to tell apart than the pair

    P = (1 - q) N(0, σ²) + q N(1, σ²),    Q = N(0, σ²),

in either direction, and T ``steps`` than the T-fold product of that pair.

Three accountants compose it:

* ``prv`` (Gopi, Lee and Wutschitz 2021, arXiv:2106.02848), Opacus's, with its own error added;
* ``pld`` (Doroshenko et al. 2022, arXiv:2207.04380), dp-accounting's "connect the dots", whose
  discretisation only ever moves mass to larger losses;
* ``rdp`` (Mironov, Talwar and Zhang 2019, arXiv:1908.10530), Opacus's with its default orders.

Opacus's PRV has zones where it overflows to ``inf``, raises, or reports little but its own error.
There the next accountant answers, and :class:`Spent` says which one did.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from benchmark.core.errors import UsageError

_PRV_ERROR = (0.002, 0.01)  # the finest and the coarsest additive error asked of PRV
_PRV_POINTS = 400_000  # the mesh that PRV gets when its error may still grow
_PRV_MOST_POINTS = 2_000_000  # above, PRV takes seconds and then gigabytes
_PRV_LARGEST_LOSS = 700.0  # above, Opacus computes exp(loss) = inf and answers ε = inf
_PRV_LEAST_EPSILON = 0.1  # below, PRV would report mostly its own error
_PLD_INTERVAL = 1e-4
_PLD_POINTS = 50_000  # of one step; dp-accounting visits them one by one
_PLD_COMPOSED_POINTS = 1_000_000
_ROUGH_ORDERS = (1.1, 1.5, *range(2, 64), 128, 256, 512)
_NOISE_RANGE = (1e-3, 1e6)


class Spent(NamedTuple):
    """An upper bound on ε, and the accountant that vouches for it."""

    epsilon: float
    accountant: str


class _Run(NamedTuple):
    """What decides ε: σ, q, T and δ."""

    noise_multiplier: float
    sampling_rate: float
    steps: int
    delta: float


def epsilon_spent(
    *,
    noise_multiplier: float,
    sampling_rate: float,
    steps: int,
    delta: float,
    accountant: str = "prv",
) -> float:
    """Returns the ε of :func:`account`, for callers who report the accountant elsewhere."""
    return account(
        noise_multiplier=noise_multiplier,
        sampling_rate=sampling_rate,
        steps=steps,
        delta=delta,
        accountant=accountant,
    ).epsilon


def account(
    *,
    noise_multiplier: float,
    sampling_rate: float,
    steps: int,
    delta: float,
    accountant: str = "prv",
) -> Spent:
    """Bounds what ``steps`` private steps have spent.

    Args:
        noise_multiplier: σ, the noise's standard deviation over the clip norm; 0 gives ε = inf.
        sampling_rate: q in (0, 1]; 1 is the plain Gaussian mechanism.
        steps: T, 0 or more; 0 gives ε = 0 whatever σ is.
        delta: δ in (0, 1).
        accountant: ``prv``, ``pld`` or ``rdp``: the one to ask first.

    Returns:
        The smallest bound that the accountant can vouch for, with the accountant's name: another
        name than the one asked for means that the latter had no answer.

    Raises:
        UsageError: For a number outside its range, or an unknown accountant.
    """
    _check(sampling_rate, steps, delta, accountant)
    if not 0 <= noise_multiplier < math.inf:
        raise UsageError(f"Expected noise_multiplier in [0, inf), got {noise_multiplier}.")
    if steps == 0:
        return Spent(0.0, accountant)
    if noise_multiplier == 0:
        return Spent(math.inf, accountant)
    run = _Run(float(noise_multiplier), float(sampling_rate), int(steps), float(delta))
    return _account(run, accountant)


@lru_cache(maxsize=256)
def calibrate(
    *,
    epsilon: float,
    delta: float,
    sampling_rate: float,
    steps: int,
    accountant: str = "prv",
) -> float:
    """Finds the smallest noise multiplier that keeps ``steps`` steps within ``epsilon``.

    Args:
        epsilon: The target, above 0; inf gives 0.
        delta: δ in (0, 1).
        sampling_rate: q in (0, 1].
        steps: T, at least 1.
        accountant: As in :func:`account`.

    Returns:
        σ with four significant digits, some 0.1 % too large at most and never too small: its
        ``epsilon_spent`` does not exceed ``epsilon``. No less than 0.001, where ε is in the
        hundreds of thousands for a unit that is drawn.

    Raises:
        UsageError: For a number outside its range, or when no σ up to 1e6 is enough.
    """
    _check(sampling_rate, steps, delta, accountant)
    if not epsilon > 0:
        raise UsageError(f"Expected epsilon in (0, inf], got {epsilon}.")
    if steps == 0:
        raise UsageError("Expected steps of at least 1 to calibrate noise for, got 0.")
    if epsilon == math.inf:
        return 0.0
    run = _Run(0.0, float(sampling_rate), int(steps), float(delta))
    if _probability_drawn(run) <= delta:
        raise UsageError(
            f"delta = {delta:g} would allow publishing every drawn unit without noise, as a unit "
            f"is drawn with no larger probability; choose a delta far below {_probability_drawn(run):g}."
        )
    return _smallest_noise(epsilon, run, accountant)


def _check(sampling_rate: float, steps: int, delta: float, accountant: str) -> None:
    """Raises a sentence for the first argument that cannot be meant."""
    if not 0 < sampling_rate <= 1:
        raise UsageError(f"Expected sampling_rate in (0, 1], got {sampling_rate}.")
    if steps != int(steps) or steps < 0:
        raise UsageError(f"Expected steps to be a whole number of 0 or more, got {steps}.")
    if not 0 < delta < 1:
        raise UsageError(f"Expected delta in (0, 1), got {delta}.")
    if accountant not in _ACCOUNTANTS:
        names = ", ".join(_ACCOUNTANTS)
        raise UsageError(f"No accountant is called {accountant!r}; there are: {names}.")


def _probability_drawn(run: _Run) -> float:
    """Returns 1 - (1 - q)^T, the probability that a unit is drawn at all."""
    if run.sampling_rate == 1:
        return 1.0
    return -math.expm1(run.steps * math.log1p(-run.sampling_rate))


class _NoAnswer(ArithmeticError):
    """An accountant cannot vouch for a finite bound here."""


def _account(run: _Run, accountant: str) -> Spent:
    """Asks ``accountant``, then the others; infinity is the bound when none has an answer."""
    for name in dict.fromkeys((accountant, *_ACCOUNTANTS)):
        try:
            epsilon = _ACCOUNTANTS[name](run)
        except _NoAnswer:
            continue
        return Spent(epsilon, name)
    return Spent(math.inf, accountant)


def _quietly(bound: Callable[[], float]) -> float:
    """Calls a library without its floating-point chatter; what it cannot bound is no answer."""
    import numpy as np

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            epsilon = float(bound())
    except (ArithmeticError, ValueError, RuntimeError, MemoryError) as error:
        raise _NoAnswer from error
    if not math.isfinite(epsilon):
        raise _NoAnswer
    return max(0.0, epsilon)


@lru_cache(maxsize=1024)
def _prv(run: _Run) -> float:
    """Opacus's PRV upper bound, with an error between 0.002 and 0.01, as fine as is cheap."""
    from opacus.accountants import PRVAccountant

    rough = _rough(run)
    # The domain and the mesh that Opacus will choose (Gopi et al. 2021, remark 5.6).
    domain = 3 + max(
        _rough(run._replace(delta=run.delta / 4e3)),
        _rough(run._replace(delta=run.delta / 8e3 / run.steps, steps=1)),
    )
    points_times_error = 2 * domain * math.sqrt(run.steps * math.log(12e3 / run.delta) / 2)
    finest, coarsest = _PRV_ERROR
    error = min(coarsest, max(finest, points_times_error / _PRV_POINTS))
    too_many = points_times_error / error > _PRV_MOST_POINTS
    if rough < _PRV_LEAST_EPSILON or domain > _PRV_LARGEST_LOSS or too_many:
        raise _NoAnswer
    accountant = PRVAccountant()
    accountant.history = [(run.noise_multiplier, run.sampling_rate, run.steps)]
    epsilon = _quietly(lambda: accountant.get_epsilon(run.delta, eps_error=error))
    if epsilon > rough + 2 * error:
        raise _NoAnswer
    return epsilon


@lru_cache(maxsize=1024)
def _pld(run: _Run) -> float:
    """Bounds ε by dp-accounting's pessimistic discretisation, in both directions."""
    from dp_accounting.pld import privacy_loss_distribution

    sigma = run.noise_multiplier
    one_step = 2 * (10.2 * sigma + 1.5) / sigma**2  # the losses within e^-50 of the noise
    interval = max(_PLD_INTERVAL, one_step / _PLD_POINTS, _rough(run) / _PLD_COMPOSED_POINTS)

    def bound() -> float:
        loss = privacy_loss_distribution.from_gaussian_mechanism(
            sigma,
            value_discretization_interval=interval,
            sampling_prob=run.sampling_rate,
            use_connect_dots=True,
        )
        return float(loss.self_compose(run.steps).get_epsilon_for_delta(run.delta))

    return _quietly(bound)


def _rdp(run: _Run, orders: Sequence[float] | None = None) -> float:
    """Bounds ε by Rényi divergences and Opacus's conversion (Balle et al. 2020, theorem 21)."""
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(run.noise_multiplier, run.sampling_rate, run.steps)]
    return _quietly(lambda: accountant.get_epsilon(run.delta, orders))


def _rough(run: _Run) -> float:
    """A looser RDP bound: Opacus takes seconds for the fractional orders when q is near ½."""
    return _rdp(run, _ROUGH_ORDERS)


_ACCOUNTANTS: dict[str, Callable[[_Run], float]] = {"prv": _prv, "pld": _pld, "rdp": _rdp}


def _smallest_noise(target: float, run: _Run, accountant: str) -> float:
    """Solves ε(σ) = target in logarithms, then rounds σ up to where ε(σ) is within the target."""
    from scipy.optimize import brentq

    def excess(log_noise: float) -> float:
        spent = _account(run._replace(noise_multiplier=math.exp(log_noise)), accountant).epsilon
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
    while _account(run._replace(noise_multiplier=noise), accountant).epsilon > target:
        noise = _round_up(noise * 1.0002)
    return noise


def _bracket(excess: Callable[[float], float], guess: float) -> tuple[float, float]:
    """Widens (guess, guess) until ``excess`` changes sign in it or the range of σ ends."""
    least, most = (math.log(noise) for noise in _NOISE_RANGE)
    low = high = min(max(guess, least), most)
    stride = 0.05
    while excess(high) > 0 and high < most:
        low, high, stride = high, min(high + stride, most), 2 * stride
    while excess(low) <= 0 and low > least:
        low, high, stride = max(low - stride, least), low, 2 * stride
    return low, high


def _noise_by_central_limit(epsilon: float, run: _Run) -> float:
    """Guesses σ: T steps are about μ-GDP, μ = q √(T (e^(1/σ²) - 1)) (Bu et al. 2020, cor. 5.4)."""
    from scipy.optimize import brentq
    from scipy.special import log_ndtr, ndtr

    def excess(log_mu: float) -> float:
        mu = math.exp(log_mu)
        below = math.exp(min(0.0, epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))))
        return float(ndtr(mu / 2 - epsilon / mu)) - below - run.delta

    mu = math.exp(brentq(excess, math.log(1e-12), math.log(1e12), xtol=1e-3))
    return 1 / math.sqrt(math.log1p((mu / run.sampling_rate) ** 2 / run.steps))


def _round_up(noise: float) -> float:
    """Rounds up to four significant digits."""
    digits = 3 - math.floor(math.log10(noise))
    return round(math.ceil(round(noise * 10**digits, 6)) / 10**digits, digits)
