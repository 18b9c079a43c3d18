"""The ε of the Poisson-subsampled Gaussian mechanism, always an upper bound and never an estimate.

A private step draws each unit with probability q (``sampling_rate``), clips what each drawn unit
contributes to norm C and adds N(0, σ²C²) to the sum (σ is ``noise_multiplier``). Zeroing out one
unit makes T ``steps`` no easier to tell apart than T draws of

    P = (1 - q) N(0, σ²) + q N(1, σ²)    from    Q = N(0, σ²), in either direction.

Three accountants bound that:

* ``prv`` (Gopi, Lee and Wutschitz 2021, arXiv:2106.02848): Opacus's, its own error added. It
  composes P against Q alone; Q against P never came out larger (the tests take both by ``pld``);
* ``pld`` (Doroshenko et al. 2022, arXiv:2207.04380): dp-accounting's "connect the dots", both ways;
* ``rdp`` (Mironov, Talwar and Zhang 2019, arXiv:1908.10530): Opacus's, as in the paper.

And where every unit is in every step (q = 1), T steps are one Gaussian mechanism of μ = √T / σ:

* ``gaussian`` (Balle and Wang 2018, arXiv:1805.06530, theorem 8): the closed form.

Opacus's PRV has zones where it answers ``inf``, raises, or reports little but its own error. There
another accountant answers, and :class:`Spent` says which.

Below ``least_delta`` the rounding of FFTs is no longer far below δ. So closed forms alone answer,
whichever accountant was asked. One is ``rdp`` at whole orders, whose moments are sums of positive
terms. The other is ``gaussian`` at q = 1, which bounds every smaller q: P is a mixture of Q and of
the P of q = 1, and the hockey-stick divergence is convex in either argument. The smaller of the two
counts.

The libraries are slow to import, so the functions that need them import them.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from benchmark.core.errors import UsageError

PLD_MARGIN = 0.999  # of δ; without, rounding put ε some 1e-6 below the closed form at δ = 1e-9
PLD_INTERVAL = 1e-4
LEAST_DELTA = 1e-10  # of few steps: below, the rounding of FFTs is no longer far below δ

_PRV_ERROR = (0.002, 0.01)  # the finest and the coarsest additive error asked of PRV
_PRV_POINTS = 400_000  # of its mesh, while its error may still grow
_PRV_MOST_POINTS = 2_000_000  # above, it takes seconds, then gigabytes
_PRV_LARGEST_LOSS = 700.0  # above, Opacus computes exp(loss) = inf and answers inf
_PRV_LEAST_EPSILON = 0.1  # below, it would report mostly its own error
_PLD_POINTS = 50_000  # of one step: dp-accounting visits them one by one
_PLD_COMPOSED_POINTS = 1_000_000
# Opacus takes seconds for fractional orders when q is near ½, and their series alternate.
_WHOLE_ORDERS = (*range(2, 64), 128, 256, 512)
_RDP_ROUNDING = 1e-11  # of a step's RDP, absolute and relative; Opacus was seen to be off by 2e-12
_FFT_ROUNDING = 2e-17  # of δ, for each composed step; measured: 1e-17 (T = 1,000), 5e-18 (30,000)
_ULP = 2.0**-51  # four units in the last place
_TAIL_ERROR = 1e-12  # relative, of scipy's ndtr and log_ndtr; measured: 4e-14


class Spent(NamedTuple):
    """An upper bound on ε, and the name of the accountant that computed it."""

    epsilon: float
    accountant: str


class Run(NamedTuple):
    """The numbers that decide ε: σ, q, T and δ."""

    noise_multiplier: float
    sampling_rate: float
    steps: int
    delta: float


class NoAnswerError(ArithmeticError):
    """An accountant cannot give a finite bound for these numbers."""


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
        accountant: ``prv``, ``pld``, ``rdp`` or ``gaussian``: the one to ask first.

    Returns:
        The bound and the accountant that gave it. That is another one than ``accountant`` where the
        latter has no answer.

    Raises:
        UsageError: For a number outside its range, or an unknown accountant.
    """
    run = checked_run(noise_multiplier, sampling_rate, steps, delta)
    check_name(accountant)
    if run.steps == 0 or run.noise_multiplier == 0:
        return Spent(0.0 if run.steps == 0 else math.inf, accountant)
    return spent_in(run, accountant)


def epsilon_spent(
    *,
    noise_multiplier: float,
    sampling_rate: float,
    steps: int,
    delta: float,
    accountant: str = "prv",
) -> float:
    """Return the ε of ``account`` alone; the arguments are the same."""
    return account(
        noise_multiplier=noise_multiplier,
        sampling_rate=sampling_rate,
        steps=steps,
        delta=delta,
        accountant=accountant,
    ).epsilon


def checked_run(noise_multiplier: float, sampling_rate: float, steps: int, delta: float) -> Run:
    """Check the numbers of a run and collect them.

    Args:
        noise_multiplier: σ in [0, inf).
        sampling_rate: q in (0, 1].
        steps: T, a whole number of 0 or more.
        delta: δ in (0, 1).

    Raises:
        UsageError: For the first number that is outside its range.
    """
    if not 0 <= noise_multiplier < math.inf:
        raise UsageError(f"Expected noise_multiplier in [0, inf), got {noise_multiplier}.")
    if not 0 < sampling_rate <= 1:
        raise UsageError(f"Expected sampling_rate in (0, 1], got {sampling_rate}.")
    if not (0 <= steps < math.inf and steps == math.floor(steps)):
        raise UsageError(f"Expected steps to be a whole number of 0 or more, got {steps}.")
    if not 0 < delta < 1:
        raise UsageError(f"Expected delta in (0, 1), got {delta}.")
    return Run(float(noise_multiplier), float(sampling_rate), int(steps), float(delta))


def check_name(accountant: str) -> None:
    """Refuse an unknown accountant.

    Raises:
        UsageError: Naming the accountants that exist.
    """
    if accountant not in _ACCOUNTANTS:
        names = ", ".join(_ACCOUNTANTS)
        raise UsageError(f"No accountant is called {accountant!r}; there are: {names}.")


def spent_in(run: Run, accountant: str) -> Spent:
    """Ask ``accountant`` for a bound, and then the others, until one has an answer.

    Below ``least_delta`` the closed forms answer, whichever accountant is asked. If none has an
    answer, the bound is infinity.
    """
    if run.delta < least_delta(run.steps):
        return _in_closed_form(run)
    for name in dict.fromkeys((accountant, *_ACCOUNTANTS)):
        try:
            return Spent(_ACCOUNTANTS[name](run), name)
        except NoAnswerError:
            continue
    return Spent(math.inf, accountant)


def least_delta(steps: int) -> float:
    """Return the least δ at which accountants that use FFTs may answer.

    At this δ, the rounding of that many steps' FFTs takes less than the margin.

    Args:
        steps: T, the number of composed steps.

    Examples:
        >>> least_delta(2000), least_delta(1_000_000)
        (1e-10, 2e-08)
    """
    return max(LEAST_DELTA, float(f"{_FFT_ROUNDING * steps / (1 - PLD_MARGIN):.3g}"))


def _in_closed_form(run: Run) -> Spent:
    """The smaller of the bounds that need no FFT."""
    always = run._replace(sampling_rate=1.0)
    plain = Spent(_gaussian(always), "gaussian")
    try:
        return min(plain, Spent(_rough(run), "rdp"))
    except NoAnswerError:
        return plain


def quietly(bound: Callable[[], float]) -> float:
    """Call a library's accountant without its floating-point warnings.

    Args:
        bound: Computes ε.

    Returns:
        ε, at least 0.

    Raises:
        NoAnswerError: If the call fails or its result is not finite.
    """
    import numpy as np

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            epsilon = float(bound())
    except (ArithmeticError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise NoAnswerError from error
    if not math.isfinite(epsilon):
        raise NoAnswerError
    return max(0.0, epsilon)


@lru_cache(maxsize=1024)
def _prv(run: Run) -> float:
    """Opacus's PRV upper bound, with an additive error as fine as is cheap."""
    from opacus.accountants import PRVAccountant

    rough = _rough(run)
    # The domain and the mesh that Opacus will choose (Gopi et al. 2021, remark 5.6).
    tail = run.delta / 4000
    one_step = run._replace(steps=1, delta=tail / 2 / run.steps)
    domain = 3 + max(_rough(run._replace(delta=tail)), _rough(one_step))
    points_times_error = 2 * domain * math.sqrt(run.steps * math.log(3 / tail) / 2)
    error = min(max(points_times_error / _PRV_POINTS, _PRV_ERROR[0]), _PRV_ERROR[1])
    too_many = points_times_error / error > _PRV_MOST_POINTS
    if rough < _PRV_LEAST_EPSILON or domain > _PRV_LARGEST_LOSS or too_many:
        raise NoAnswerError
    accountant = PRVAccountant()
    accountant.history = [(run.noise_multiplier, run.sampling_rate, run.steps)]
    epsilon = quietly(lambda: accountant.get_epsilon(run.delta, eps_error=error))
    if epsilon > rough + 2 * error:  # both are upper bounds, and PRV's is the closer one
        raise NoAnswerError
    return epsilon


@lru_cache(maxsize=1024)
def _pld(run: Run) -> float:
    """dp-accounting's bound, looser where its grids must be coarse to stay feasible."""
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

    sigma = run.noise_multiplier
    range_of_one_step = 2 * (10.2 * sigma + 1.5) / sigma**2  # up to noise of probability e^-50
    one_step, composed = range_of_one_step / _PLD_POINTS, _rough(run) / _PLD_COMPOSED_POINTS
    interval = max(PLD_INTERVAL, one_step, composed)

    def bound() -> float:
        loss = from_gaussian_mechanism(
            sigma,
            value_discretization_interval=interval,
            sampling_prob=run.sampling_rate,
            use_connect_dots=True,
        )
        composed = loss.self_compose(run.steps)
        return least_epsilon(composed.get_delta_for_epsilon, PLD_MARGIN * run.delta)

    return quietly(bound)


def least_epsilon(delta_of: Callable[[float], float], delta: float) -> float:
    """Find the least ε with δ(ε) ≤ ``delta`` by bisection.

    dp-accounting's own search overflows where ε is about 700.

    Args:
        delta_of: δ as a decreasing function of ε. A NaN counts as too large.
        delta: The target δ.

    Returns:
        A value that is not below the least ε, and above it by one part in a million at most;
        ``inf`` if there is none.
    """
    low, high = 0.0, 1.0
    if delta_of(low) <= delta:
        return low
    while not delta_of(high) <= delta:
        low, high = high, 2 * high
        if high == math.inf:
            return high
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if delta_of(middle) <= delta else (middle, high)
    return high


def _rdp(run: Run, orders: Sequence[float] | None = None) -> float:
    """Opacus's RDP bound (converted by Balle et al. 2020, theorem 21) at its default orders."""
    from opacus.accountants import RDPAccountant
    from opacus.accountants.analysis.rdp import compute_rdp, get_privacy_spent

    taken = list(orders or RDPAccountant.DEFAULT_ALPHAS)

    def bound() -> float:
        sigma, q, steps, delta = run
        rdp = compute_rdp(q=q, noise_multiplier=sigma, steps=steps, orders=taken)
        rdp = rdp * (1 + _RDP_ROUNDING) + steps * _RDP_ROUNDING
        return float(get_privacy_spent(orders=taken, rdp=rdp, delta=delta)[0])

    return quietly(bound)


def _gaussian(run: Run) -> float:
    """The closed form of a mechanism that draws every unit in every step."""
    if run.sampling_rate < 1:
        raise NoAnswerError
    mu = math.sqrt(run.steps) / run.noise_multiplier
    return least_epsilon(lambda epsilon: gaussian_delta(epsilon, mu), PLD_MARGIN * run.delta)


def _rough(run: Run) -> float:
    """A looser and faster RDP bound, of positive terms alone."""
    return _rdp(run, _WHOLE_ORDERS)


_ACCOUNTANTS: dict[str, Callable[[Run], float]] = {
    "prv": _prv,
    "pld": _pld,
    "rdp": _rdp,
    "gaussian": _gaussian,
}
ACCOUNTANTS = tuple(_ACCOUNTANTS)


def gaussian_delta(epsilon: float, mu: float) -> float:
    """Compute δ(ε) of N(μ, 1) against N(0, 1), as an upper bound.

    δ(ε) = Φ(μ/2 - ε/μ) - e^ε Φ(-μ/2 - ε/μ) (Balle and Wang 2018, arXiv:1805.06530, theorem 8). All
    rounding errors are added to it, those of the cancellation too.

    Args:
        epsilon: ε, at least 0.
        mu: μ, above 0.
    """
    from scipy.special import log_ndtr, ndtr

    half, ratio = mu / 2, epsilon / mu
    with_unit = float(ndtr(half * (1 + _ULP) - ratio * (1 - _ULP)))
    tail = float(log_ndtr(-(half + ratio) * (1 + _ULP)))
    without = math.exp(min(0.0, epsilon + tail))
    error = _TAIL_ERROR * with_unit + (_TAIL_ERROR + _ULP * (epsilon - tail)) * without
    return with_unit - without + error
