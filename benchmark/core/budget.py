"""The privacy budget that a user asks for, and the guarantee that a fit gives.

A ``Budget`` is asked for; a ``Guarantee`` is what the mechanism gives. Two data sets are neighbours
when they differ by the contribution of one unit, which is zeroed out in one of them. The public
counts stay the same. This relation is called "zero-out".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from decimal import ROUND_CEILING, Decimal
from typing import Any, Literal

from pydantic import ConfigDict

from benchmark.core.bounds import EPSILONS, shortened, within
from benchmark.core.errors import UsageError
from benchmark.core.forms import (
    Count,
    Many,
    Name,
    PlugInName,
    Positive,
    Probability,
    Rate,
    Share,
    Steps,
)

Unit = Literal["patch", "patient"]
UNITS: tuple[Unit, ...] = ("patch", "patient")
RELATION = "zero-out"
PERMUTE_AND_FLIP = "permute-and-flip"
"""The accountant of private choices. Their ε holds at δ = 0."""
ROUNDING_SHARE = 2.0**-10
"""The share of δ that is reserved for the distance of the drawn noise from the accounted law."""


@dataclass(frozen=True, kw_only=True)
class PublicNumbers:
    """Declared facts about the data that a plan may use without spending privacy.

    They are the same for two neighbouring data sets.

    Attributes:
        patients: How many patients a fit reads; at least 1.
        patches_per_patient: The most patches that one patient contributes; at least 1.
        patch_size: The side of a square patch, in pixels.

    Examples:
        >>> PublicNumbers(patients=16, patches_per_patient=1000, patch_size=32).units("patch")
        16000
    """

    patients: int
    patches_per_patient: int
    patch_size: int

    def units(self, unit: Unit) -> int:
        """Count the protected units, which are N in every formula.

        Args:
            unit: ``patient`` or ``patch``.

        Returns:
            The number of patients, or that number times ``patches_per_patient``.
        """
        return self.patients if unit == "patient" else self.patients * self.patches_per_patient


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The privacy loss that a fit may cause.

    Attributes:
        epsilon: At least 0; ``inf`` for no privacy.
        delta: In (0, 1).
        unit: What is protected: one patch, or one patient with all patches.

    Raises:
        UsageError: At construction, if a value is out of its range.
    """

    epsilon: float
    delta: float
    unit: Unit

    def __post_init__(self) -> None:
        if not self.epsilon >= 0:
            raise UsageError(f"Expected epsilon >= 0 or inf, got {self.epsilon}.")
        if not 0 < self.delta < 1:
            raise UsageError(f"Expected delta in (0, 1), got {self.delta}.")
        if self.unit not in UNITS:
            raise UsageError(f"Expected unit to be one of {', '.join(UNITS)}, got {self.unit!r}.")


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """The privacy guarantee of a fit, with the numbers of its mechanism.

    ε can be recomputed from these numbers.

    Attributes:
        target_epsilon: The ε asked for.
        epsilon: The ε spent, for ``unit``: the accountant's upper bound.
        epsilon_patch: A bound for one patch; ``None`` where none is known.
        epsilon_patient: A bound for one patient; ``None`` where none is known.
        delta: The δ of all three.
        unit: The protected unit.
        noise_multiplier: σ: the noise's standard deviation over ``sensitivity``. For a private
            choice, the noise is the one that is added to each sum before the largest is taken.
        sampling_rate: q: the probability with which a unit enters a private step.
        steps: T: private steps taken.
        clip_norm: C: the L2 bound on one unit's contribution; ``inf`` for none.
        sensitivity: The most that one unit moves the noised sum: C, plus what rounding adds to it.
        grid: γ: the spacing of the public grid that every noised sum lies on. It is 0 where nothing
            is noised, and for results from before there was a grid.
        distance: The total variation distance between all drawn noise of the fit and the accounted
            law. δ covers (1 + e^ε) times this distance.
        accountant: The name of the accountant whose upper bound ``epsilon`` is.
        seeded: Whether noise and draws came from a seed, as in a benchmark and never in a release.
        patients: The public number of patients.
        patches_per_patient: The public bound on one patient's patches.
        interruptions: How often the fit was killed and went on as another draw of the mechanism.
        lost_steps: Private steps, among ``steps``, that a kill may have lost.
        relation: The neighbouring relation.
        covers: The part of the work that was private, such as ``fit``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    target_epsilon: Positive
    epsilon: Positive
    epsilon_patch: Positive | None
    epsilon_patient: Positive | None
    delta: Probability
    unit: Unit
    noise_multiplier: Positive
    sampling_rate: Rate
    steps: Steps
    clip_norm: Positive
    accountant: PlugInName
    seeded: bool
    patients: Many
    patches_per_patient: Many
    interruptions: Count = 0
    lost_steps: Count = 0
    sensitivity: Positive = math.inf
    grid: Positive = 0.0
    distance: Share = 0.0
    relation: Name = RELATION
    covers: Name = "fit"

    @classmethod
    def of(
        cls, public: PublicNumbers, budget: Budget, *, epsilon: float, accountant: str = "none"
    ) -> Guarantee:
        """Make the guarantee of a plug-in without a mechanism.

        Args:
            public: The declared numbers of the data.
            budget: What was asked for; its δ and unit are kept.
            epsilon: 0 for a plug-in that reads no patient, ``inf`` for one without privacy.
            accountant: Whose bound it is; ``none`` as there is nothing to account for.

        Returns:
            A guarantee in which ε is ``epsilon`` for a patch and for a patient, and no noise is
            added.
        """
        return cls(
            target_epsilon=epsilon,
            epsilon=epsilon,
            epsilon_patch=epsilon,
            epsilon_patient=epsilon,
            delta=budget.delta,
            unit=budget.unit,
            noise_multiplier=0.0 if math.isinf(epsilon) else math.inf,
            sampling_rate=1.0,
            steps=1 if math.isinf(epsilon) else 0,
            clip_norm=math.inf,
            accountant=accountant,
            seeded=False,
            patients=public.patients,
            patches_per_patient=public.patches_per_patient,
        )

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Guarantee:
        """Read a guarantee back from its fields.

        Args:
            said: What ``as_dict`` returned, also after JSON, where infinities are the text ``inf``.
                Names that are not fields are ignored.

        Returns:
            The guarantee.

        Raises:
            TypeError: If a field without a default is missing.
        """
        names = {field.name for field in fields(cls)}
        numbers: dict[str, Any] = {
            name: float(value) if value in ("inf", "nan") else value
            for name, value in said.items()
            if name in names
        }
        return cls(**numbers)

    @property
    def units(self) -> int:
        """The public number of protected units, N."""
        return self.patients * (1 if self.unit == "patient" else self.patches_per_patient)

    @property
    def is_pure(self) -> bool:
        """Whether every ε also holds at δ = 0, as it does for private choices."""
        return self.accountant == PERMUTE_AND_FLIP

    @property
    def accounted_delta(self) -> float:
        """The δ that the accountant computes ε at.

        Drawn noise lies on a grid and differs from the accounted law by ``distance``. So a share of
        2⁻¹⁰ of δ is reserved for that difference.
        """
        return self.delta * (1 - ROUNDING_SHARE) if self.grid else self.delta

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, infinities as floats; ``from_dict`` reads them back."""
        return asdict(self)


def parse_epsilon(text: str) -> float:
    """Read one ε from a text.

    Args:
        text: A number above 0, or ``inf``.

    Returns:
        The number.

    Raises:
        UsageError: For anything else.

    Examples:
        >>> parse_epsilon("7.4"), parse_epsilon("inf")
        (7.4, inf)
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        got = shortened(repr(text.strip()))
        raise UsageError(f"Expected epsilon to be a number above 0 or inf, got {got}.")
    if math.isfinite(value) or any(one.isdigit() for one in text):
        within("a finite epsilon", value, EPSILONS)
    return value


def rounded_up(value: float, digits: int) -> float:
    """Round an ε or a δ up to a number of significant digits.

    Readers rely on a printed privacy loss as an upper bound. Rounding to the nearest digit would
    often print less than was spent.

    Args:
        value: At least 0; ``inf`` stays ``inf``.
        digits: How many significant digits; at least 1.

    Returns:
        The least number with that many digits that is not below ``value``.

    Examples:
        >>> rounded_up(7.397292, 4), rounded_up(7.4, 4), rounded_up(201_014.0, 2)
        (7.398, 7.4, 210000.0)
    """
    if not math.isfinite(value):
        return value
    exact = Decimal(repr(float(value)))
    last = Decimal(1).scaleb(exact.adjusted() - digits + 1)
    return float(exact.quantize(last, ROUND_CEILING))


def epsilon_text(epsilon: float | None) -> str:
    """Write an ε for people, rounded up.

    Args:
        epsilon: At least 0, or ``inf``; ``None`` if no bound is known.

    Returns:
        Four significant digits up to 1,000 and two above; ``∞``; or ``unknown``.

    Examples:
        >>> epsilon_text(4.99921), epsilon_text(201_014), epsilon_text(math.inf), epsilon_text(None)
        ('5', '2.1e+05', '∞', 'unknown')
    """
    if epsilon is None:
        return "unknown"
    if math.isinf(epsilon):
        return "∞"
    digits = 4 if epsilon <= 1000 else 2
    return f"{rounded_up(epsilon, digits):.{digits}g}"


def proven_text(epsilon: float) -> str:
    """Write the lower bound on ε that an audit proves, rounded down to two decimal places.

    Examples:
        >>> proven_text(0.77892), proven_text(0.0)
        ('0.77', '0.00')
    """
    return f"{math.floor(100 * epsilon) / 100:.2f}"


def delta_text(delta: float) -> str:
    """Write a δ for people, rounded up to three significant digits.

    Examples:
        >>> delta_text(1e-5), delta_text(1 / 160_000), delta_text(1 / 170_000)
        ('1e-05', '6.25e-06', '5.89e-06')
    """
    return f"{rounded_up(delta, 3):.3g}"
