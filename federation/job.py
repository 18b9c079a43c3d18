"""The job on which server and sites agree before the first round. Every number in it is public."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any, NamedTuple

from benchmark.core.budget import UNITS, Budget, Guarantee, PublicNumbers, Unit
from benchmark.core.designs import federated
from benchmark.core.errors import UsageError
from benchmark.core.federation import FederatedGenerator, Schedule
from benchmark.core.files import plain
from benchmark.core.protocol import NATIVE
from benchmark.core.registry import generators
from benchmark.privacy.accounting.units import check_delta
from benchmark.privacy.mechanisms.shared_noise import SharedPlan, Sharing, planned_in_shares

LARGEST = 1_000_000
"""The largest value of every count that a server may ask for: enough for all fits, and planned in
finite time."""

MOST_CURIOUS = 9_999
"""The most sites that the noise of secure sums is sized for."""

NO_RUN = 12 * "0"
NOISES = ("seeded", "system")


class Law(NamedTuple):
    """The rule for a field, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


def _whole(low: int) -> Law:
    return Law(
        f"a whole number from {low} to {LARGEST}",
        lambda value: type(value) is int and low <= value <= LARGEST,
    )


def _number(words: str, holds: Callable[[float], bool]) -> Law:
    return Law(words, lambda value: type(value) in (int, float) and holds(value))


def _among(choices: tuple[str, ...]) -> Law:
    return Law(f"one of {', '.join(choices)}", lambda value: value in choices)


_NAME = Law("a name", lambda value: isinstance(value, str) and bool(value))
_LAWS: Mapping[str, Law] = {
    "run": Law(
        "12 hexadecimal digits",
        lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{12}", value) is not None,
    ),
    "generator": _NAME,
    "version": _whole(1),
    "settings": Law("settings by name", lambda value: isinstance(value, Mapping)),
    "patch_size": _whole(1),
    "patches_per_patient": _whole(1),
    "spacing_mm": _number("0, or from 0.2 to 5 mm", lambda value: value == 0 or 0.2 <= value <= 5),
    "epsilon": _number("a number above 0 or inf", lambda value: value > 0),
    "delta": _number("a number in (0, 1)", lambda value: 0 < value < 1),
    "unit": _among(UNITS),
    "seed": Law("a whole number of at least 0", lambda value: type(value) is int and value >= 0),
    "noise": _among(NOISES),
    "design": _NAME,
    "rounds": _whole(1),
    "local_steps": _whole(1),
    "sites": _whole(2),
    "curious": Law(
        f"a whole number from 0 to {MOST_CURIOUS}, or nothing for local noise",
        lambda value: value is None or (type(value) is int and 0 <= value <= MOST_CURIOUS),
    ),
    "timeout": _number("a number of seconds above 0", lambda value: 0 < value < math.inf),
    "start": _number("a number of seconds above 0", lambda value: 0 < value < math.inf),
}
"""The rules for every field of a job, and for the other fields of a server's configuration."""


def lawful(name: str, value: Any) -> Any:
    """Return the value if the field may have it.

    Raises:
        UsageError: If it may not.
    """
    if not _LAWS[name].holds(value):
        raise UsageError(f"Expected {name} to be {_LAWS[name].words}, got {value!r}.")
    return value


@dataclass(frozen=True, kw_only=True)
class Job:
    """A federated fit.

    Attributes:
        run: The key of the run that it belongs to.
        generator: The generator's name.
        version: Its version, the same everywhere.
        settings: Its settings, as they are for all patients.
        patch_size: The side of a patch.
        patches_per_patient: The most patches of a patient.
        spacing_mm: A pixel's side; 0 for each volume's own.
        epsilon: The target of every site.
        delta: δ of every site.
        unit: The protected unit.
        seed: Seeds initial weights and latent draws, and a seeded noise.
        noise: ``seeded`` or ``system``; a site that is asked for the former may refuse.
        schedule: Design, rounds and local steps.
        curious: t, how many curious sites the noise of secure sums is sized for; ``None`` for
            local noise.

    Raises:
        UsageError: At construction, for a field that breaks its rule.
    """

    run: str
    generator: str
    version: int
    settings: Mapping[str, Any]
    patch_size: int
    patches_per_patient: int
    epsilon: float
    delta: float
    unit: Unit
    seed: int
    noise: str
    schedule: Schedule
    spacing_mm: float = NATIVE
    curious: int | None = None

    def __post_init__(self) -> None:
        for name, value in {**vars(self), **vars(self.schedule)}.items():
            if name in _LAWS:
                lawful(name, value)

    @classmethod
    def of(cls, **said: Any) -> Job:
        """Make a job whose run's key is a digest of all other fields."""
        job = cls(run=NO_RUN, **said)
        return replace(job, run=hashlib.sha256(job.text().encode()).hexdigest()[:12])

    def made(self) -> FederatedGenerator:
        """Make the generator with its settings.

        Raises:
            UsageError: If it is not installed, is another version, or cannot be trained so.
        """
        kind = generators.get(self.generator)
        if kind.version != self.version:
            raise UsageError(
                f"{self.generator} is version {kind.version} here and {self.version} at the "
                "server; install the same everywhere."
            )
        other = sorted(set(self.settings) - set(kind.Params.ranges()))
        if other:
            raise UsageError(f"{self.generator} has no settings called {', '.join(other)}.")
        return federated(kind, self.schedule.design)(kind.Params(**self.settings))

    def budget(self) -> Budget:
        """Return the privacy loss that the fit may cause each site's patients."""
        return Budget(epsilon=self.epsilon, delta=self.delta, unit=self.unit)

    def public(self, patients: int) -> PublicNumbers:
        """Return the public numbers of a site with a number of patients."""
        return PublicNumbers(
            patients=patients,
            patches_per_patient=self.patches_per_patient,
            patch_size=self.patch_size,
        )

    def plan_at_site(self, patients: int, share: float) -> Guarantee:
        """Plan a site's part of the fit by local noise, from its own numbers.

        Args:
            patients: The site's number of patients.
            share: Its public share of all patients.

        Raises:
            UsageError: If the budget cannot be honoured.
        """
        public = self.public(patients)
        check_delta(self.delta, public.units(self.unit))
        return self.made().at_site(share).plan_at_site(public, self.budget(), self.schedule)

    def shared_plan(self, patients: int, sites: int) -> SharedPlan:
        """Plan the fit by secure sums.

        Args:
            patients: The number of patients of all sites.
            sites: The number of sites.

        Raises:
            UsageError: If the job is for local noise, or its budget cannot be honoured.
        """
        if self.curious is None:
            raise UsageError("The job is for local noise, so no noise is shared.")
        sharing = Sharing(sites=sites, curious=self.curious)
        public, budget = self.public(patients), self.budget()
        return planned_in_shares(self.made(), public, budget, self.schedule, sharing)

    def text(self) -> str:
        """Return the job as JSON. Local noise is not said, as in jobs of earlier versions."""
        said = asdict(self)
        if self.curious is None:
            del said["curious"]
        return json.dumps(plain(said), sort_keys=True)

    @property
    def digest(self) -> str:
        """SHA-256 of the whole job. Its run's key is short: two jobs with one key can be found."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @classmethod
    def read(cls, text: str) -> Job:
        """Read a job from the result of ``text``, and check every field.

        Raises:
            UsageError: For anything else.
        """
        try:
            said = json.loads(text)
            schedule = Schedule(**said.pop("schedule"))
            epsilon = math.inf if said["epsilon"] == "inf" else said["epsilon"]
            return cls(**{**said, "schedule": schedule, "epsilon": epsilon})
        except UsageError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UsageError(f"The server's job cannot be read ({error}).") from error


VERSIONED = ("angiobench", "flwr", "torch", "opacus")


def versions() -> dict[str, str]:
    """Return the versions of the packages that must be the same at every site and at the server."""
    return {name: version(name) for name in VERSIONED}
