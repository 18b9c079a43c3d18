"""Bounds on ε for the unit that a run does not protect, and the δ that a number of units allows.

Neither bound multiplies the run's own ε: each composes, by dp-accounting's privacy loss
distributions, the pair of distributions that is worst for the other unit. Lengths are in units of
the clip norm C. A step may depend on what earlier ones released: pairs that dominate every step
dominate the whole (Zhu, Dong and Wang 2022, arXiv:2106.08567, theorem 10), if they do so for every
ε, the negative ones too.

**A patient of a patch run.** A patient has k patches, each drawn with probability q and clipped to
norm 1: B ~ Binomial(k, q) of them enter, and zeroing out the patient moves the sum by a vector of
norm at most B. That is dominated, in either direction, by

    Σ_b P(B = b) N(b, σ²)    against    N(0, σ²)

(Choquette-Choo et al. 2024, arXiv:2310.15526, corollary 4.7). B is cut off at the least m with
P(B > m) = τ ≤ δ / (1000 T). As the full mixture is at least (1 - τ) times the one given B ≤ m, an
(ε', δ')-guarantee of the latter is an (ε' - T ln(1 - τ), δ' + T τ)-guarantee of the former. Then B
is rounded up to one of 64 values: a larger B dominates, since half-lines are the best sets.

**A patch of a patient run.** Patients are drawn with probability q; the mean over a patient's
patches is clipped to norm 1. Another patch turns it from some vector u into some v, both of norm at
most 1. That is dominated by

    A = (1 - q) N(0, σ²) + q N(1, σ²)    against    A' = (1 - q) N(0, σ²) + q N(-1, σ²).

*Proof.* Write N_u for N(u, σ² I) and H_α(P ‖ Q) for sup_S P(S) - α Q(S). (1) For α ≥ 1,

    H_α((1-q) N_0 + q N_u ‖ (1-q) N_0 + q N_v) = q H_β(N_u ‖ λ N_v + (1-λ) N_0),
    β = α + (α - 1)(1 - q) / q,    λ = α / β.

Shifted by -u, that compares N_0 with λ N_(v-u) + (1-λ) N_(-u), whose likelihood ratio at a draw of
N_0 is f = λ e^X + (1-λ) e^Y with X and Y jointly normal: H_β = E max(0, 1 - β f). It grows with the
covariance of X and Y (Plackett 1954, as ∂²/∂X∂Y of a convex function of f is not negative), so it
is largest when v - u and -u are parallel. Then f is monotone along their line, the best S is a
half-line, and its value grows with ‖v - u‖ ≤ 2 and ‖u‖ ≤ 1. Lengths 2 and 1 are those of A and A'.
(2) For α < 1, H_α(P ‖ Q) = 1 - α + α H_(1/α)(Q ‖ P), and A and A' mirror each other.  ∎

Zeroing the patient out is the case v = 0, so the bound is no copy of the patient's ε: it is larger.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from benchmark.core.errors import UsageError
from benchmark.core.rounding import least_float
from benchmark.privacy.accounting.subsampled_gaussian import (
    PLD_INTERVAL,
    PLD_MARGIN,
    NoAnswerError,
    Run,
    checked_run,
    gaussian_delta,
    least_delta,
    least_epsilon,
    quietly,
)

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

_LARGEST_DELTA = 1e-5
_TAIL_SHARE = 1e-3  # of δ, for patients with more patches in a batch than m
_NOISE_REACH = 10.2  # |N(0, 1)| exceeds it with a probability of e^-50
_LENGTHS = 64  # the most values of B that are told apart
_ONE_STEP_POINTS = 4_000
_COMPOSED_POINTS = 1_000_000
_FAR_BELOW = -1e9  # the ε at which δ is a distribution's whole mass
_MASS_ERROR = 1e-6


def default_delta(units: int) -> float:
    """Return min(1e-5, 1 / (10 N)), the largest δ that N units allow.

    Args:
        units: N, at least 1.

    Raises:
        UsageError: If there is no unit.

    Examples:
        >>> default_delta(100), default_delta(41_000)
        (1e-05, 2.4390243902439023e-06)
    """
    if units < 1:
        raise UsageError(f"Expected at least one unit, got {units}.")
    return min(_LARGEST_DELTA, 1 / (10 * units))


LEAST_DELTA = 1e-15
"""The smallest δ at which the accountants were tested against the truth."""


def check_delta(delta: float, units: int) -> None:
    """Refuse a δ that is too large for the number of units.

    Args:
        delta: δ.
        units: N, at least 1.

    Raises:
        UsageError: For a δ outside (0, 1) or above ``default_delta(units)``.
    """
    largest = default_delta(units)
    if not 0 < delta < 1:
        raise UsageError(f"Expected delta in (0, 1), got {delta}.")
    if delta < LEAST_DELTA:
        raise UsageError(
            f"Expected delta of {LEAST_DELTA:g} at least, got {delta:g}: below, accountants "
            "compute with numbers that a float cannot hold."
        )
    if delta > largest:
        raise UsageError(
            f"Expected delta of at most {largest:.4g} = min(1e-5, 1 / (10 N)) for N = {units} "
            f"units, got {delta:g}; leave it out to take that."
        )


def patient_epsilon_of_patch_run(
    *,
    noise_multiplier: float,
    sampling_rate: float,
    steps: int,
    delta: float,
    patches_per_patient: int,
) -> float:
    """Bounds the ε of zeroing out a patient, of a run whose sampled and clipped units are patches.

    Args:
        noise_multiplier: σ.
        sampling_rate: q, the probability that a patch enters a step.
        steps: T.
        delta: δ, for the patient.
        patches_per_patient: k, the most patches that a patient has; at least 1.

    Returns:
        An upper bound; inf without noise, or where none can be composed.

    Raises:
        UsageError: For a number outside its range.
    """
    if not (patches_per_patient >= 1 and patches_per_patient == math.floor(patches_per_patient)):
        raise UsageError(f"Expected at least one patch per patient, got {patches_per_patient}.")
    run = checked_run(noise_multiplier, sampling_rate, steps, delta)
    return _answer(run, lambda: _epsilon_of_mixture(run, int(patches_per_patient)))


def patch_epsilon_of_patient_run(
    *, noise_multiplier: float, sampling_rate: float, steps: int, delta: float
) -> float:
    """Bounds the ε of zeroing out or changing a patch, of a run whose units are patients.

    Args:
        noise_multiplier: σ.
        sampling_rate: q, the probability that a patient enters a step.
        steps: T.
        delta: δ, for the patch.

    Returns:
        An upper bound; inf without noise, or where none can be composed.

    Raises:
        UsageError: For a number outside its range.
    """
    run = checked_run(noise_multiplier, sampling_rate, steps, delta)
    return _answer(run, lambda: _epsilon_of_replacement(run))


def _answer(run: Run, epsilon: Callable[[], float]) -> float:
    """Answers where there is nothing to compose."""
    if run.steps == 0:
        return 0.0
    return epsilon() if run.noise_multiplier > 0 else math.inf


@lru_cache(maxsize=256)
def _epsilon_of_mixture(run: Run, patches: int) -> float:
    return composed_epsilon([patient_of_patch_run(run, patches)], run.delta)


@lru_cache(maxsize=256)
def _epsilon_of_replacement(run: Run) -> float:
    return composed_epsilon([patch_of_patient_run(run)], run.delta)


class Steps(NamedTuple):
    """T steps, each dominated by one pair of distributions.

    Attributes:
        pair: Computes the pair's privacy loss distribution on a grid of the given interval.
        times: T.
        distance: A step is no easier to tell apart than N(``distance``, σ²) from N(0, σ²).
        noise_multiplier: σ.
        interval: The finest grid interval that is feasible.
        beyond: An upper bound on the probability that a step is not dominated by the pair.
        pure: ε of a step that is ε-DP at δ = 0; ``distance`` is 0 then.
    """

    pair: "Callable[[float], PrivacyLossDistribution]"
    times: int
    distance: float
    noise_multiplier: float
    interval: float
    beyond: float = 0.0
    pure: float = 0.0


def own_unit(run: Run) -> Steps:
    """Describe a run's steps for the unit that it protects.

    The pair is (1 - q) N(0, σ²) + q N(1, σ²) against N(0, σ²), in both directions.
    """
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

    def pair(interval: float) -> "PrivacyLossDistribution":
        return from_gaussian_mechanism(
            run.noise_multiplier,
            value_discretization_interval=interval,
            sampling_prob=run.sampling_rate,
            use_connect_dots=True,
        )

    interval = _interval(run, 1, run.sampling_rate)
    return Steps(pair, run.steps, 1, run.noise_multiplier, interval)


def patient_of_patch_run(run: Run, patches: int) -> Steps:
    """Describe the steps of a run whose units are patches, for a patient.

    The pair is Σ_b P(B = b) N(b, σ²) against N(0, σ²), in both directions.

    Args:
        run: σ, q, T and δ of the run.
        patches: k, the most patches that a patient has.
    """
    import numpy as np
    from dp_accounting.pld.privacy_loss_distribution import from_mixture_gaussian_mechanism
    from scipy.stats import binom

    law = binom(patches, run.sampling_rate)
    most = max(1, int(law.isf(_TAIL_SHARE * run.delta / run.steps)))
    least = int(law.ppf(_TAIL_SHARE * run.delta / run.steps))
    support = np.unique(np.linspace(least, most, _LENGTHS).round().astype(int))
    weights = np.diff(law.cdf(support), prepend=0.0)

    def pair(interval: float) -> "PrivacyLossDistribution":
        return from_mixture_gaussian_mechanism(
            run.noise_multiplier,
            support,
            weights / weights.sum(),
            value_discretization_interval=interval,
        )

    interval = _interval(run, most, law.var() + law.mean() ** 2)
    return Steps(pair, run.steps, most, run.noise_multiplier, interval, float(law.sf(most)))


def patch_of_patient_run(run: Run) -> Steps:
    """Describe the steps of a run whose units are patients, for a patch.

    The pair is (1 - q) N(0, σ²) + q N(1, σ²) against (1 - q) N(0, σ²) + q N(-1, σ²).
    """
    from dp_accounting import NeighboringRelation
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

    def pair(interval: float) -> "PrivacyLossDistribution":
        return from_gaussian_mechanism(
            run.noise_multiplier,
            value_discretization_interval=interval,
            sampling_prob=run.sampling_rate,
            use_connect_dots=True,
            neighboring_relation=NeighboringRelation.REPLACE_ONE,
        )

    interval = _interval(run, 2, 4 * run.sampling_rate)
    return Steps(pair, run.steps, 2, run.noise_multiplier, interval)


def composed_epsilon(runs: Sequence[Steps], delta: float) -> float:
    """Compose the ε of several runs, each of which may depend on the results of earlier ones.

    The smaller of two bounds counts. One composes the pairs of all steps. The other composes the
    plain Gaussians that dominate them and has a closed form. dp-accounting has no answer for losses
    beyond floating point, nor for patches that are drawn in every step. Below ``least_delta`` the
    rounding of its FFTs is no longer far below δ, so the closed form alone answers.

    Args:
        runs: The runs, each of at least one step.
        delta: δ of the whole.

    Returns:
        An upper bound on ε; 0 for no runs.
    """
    if not runs:
        return 0.0
    if any(run.noise_multiplier == 0 for run in runs):
        return math.inf
    lost = sum(run.times * run.beyond for run in runs)
    spare = PLD_MARGIN * delta - lost
    if spare <= 0:
        return math.inf
    plain = _in_closed_form(runs, spare)
    beyond = -sum(run.times * math.log1p(-run.beyond) for run in runs)
    if spare < least_delta(sum(run.times for run in runs)):
        return plain + beyond
    interval = max(max(run.interval for run in runs), PLD_INTERVAL)

    def composed() -> float:
        whole = None
        for run in runs:
            one = run.pair(interval)
            _check_mass(one)
            many = one.self_compose(run.times)
            whole = many if whole is None else whole.compose(many)
        assert whole is not None  # noqa: S101  (there is at least one run)
        return least_epsilon(whole.get_delta_for_epsilon, spare)

    try:
        epsilon = min(plain, quietly(composed))
    except NoAnswerError:
        epsilon = plain
    return epsilon + beyond


def _in_closed_form(runs: Sequence[Steps], delta: float) -> float:
    """Of the plain Gaussians that dominate all steps but the pure ones; those add their ε."""
    mu = math.hypot(*(r.distance * math.sqrt(r.times) / r.noise_multiplier for r in runs))
    plain = least_epsilon(lambda epsilon: gaussian_delta(epsilon, mu), delta) if mu else 0.0
    return plain + pure_epsilon(runs)


def pure_epsilon(runs: Sequence[Steps]) -> float:
    """Return the ε of all pure steps together, at δ = 0."""
    return least_float(sum((Fraction(run.pure) * run.times for run in runs), Fraction(0)))


def _check_mass(pair: "PrivacyLossDistribution") -> None:
    """Refuses a pair that is no distribution: its powers overflow, or drown δ in rounding errors.

    dp-accounting's mixtures have too much mass where a coarse grid meets a large B.

    Raises:
        NoAnswerError: If the mass is not 1.
    """
    mass = pair.get_delta_for_epsilon(_FAR_BELOW)
    if not abs(mass - 1) <= _MASS_ERROR:
        raise NoAnswerError


def _interval(run: Run, distance: float, mean_square: float) -> float:
    """As fine as the points of one step, and of T steps, allow: coarser is looser, never lower.

    A step's loss stays below that of N(``distance``) against N(0), and its mean, by convexity,
    below E B² / 2σ², where ``mean_square`` is E B².
    """
    variance = run.noise_multiplier**2
    largest = distance * (distance / 2 + _NOISE_REACH * run.noise_multiplier) / variance
    composed = run.steps * mean_square / (2 * variance)
    return max(PLD_INTERVAL, largest / _ONE_STEP_POINTS, composed / _COMPOSED_POINTS)
