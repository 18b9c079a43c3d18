"""The parts of a spec: plug-ins with their settings, sites, a study, own patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from benchmark.core.federation import Schedule
from benchmark.core.forms import (
    Count,
    Digest,
    Many,
    Name,
    PartitionText,
    PlugInName,
    Positive,
    StudyName,
    Values,
)

STRICT = ConfigDict(extra="forbid")
EXACT = "exact"


@dataclass(frozen=True, kw_only=True)
class PlugIn:
    """A plug-in's name and version with its settings."""

    __pydantic_config__ = STRICT

    name: PlugInName
    version: Count
    settings: Values

    @property
    def title(self) -> str:
        """The name, with the arithmetic if it is not exact, such as ``unet (bf16)``."""
        arithmetic = self.settings.get("arithmetic", EXACT)
        return self.name if arithmetic == EXACT else f"{self.name} ({arithmetic})"


@dataclass(frozen=True, kw_only=True)
class AcrossSites:
    """How several sites train a cell's generator together.

    Attributes:
        partition: How patients are assigned to sites, as ``federation.partition`` reads it.
        design: A name among the generator's designs.
        rounds: How often the server asks every site.
        local_steps: Private steps of a site in each round.
        curious: t, how many curious sites the noise of secure sums is sized for; ``None`` for local
            noise, and then not written.
        assignment: Digest of which patients are at which site; ``None``, and then not written, in
            a deployment, where nobody knows it, and for cells from before it was part of a key.
    """

    __pydantic_config__ = STRICT

    partition: PartitionText
    design: PlugInName
    rounds: Many
    local_steps: Many
    curious: Annotated[int, Field(ge=0, le=9_999)] | None = None
    assignment: Digest | None = None

    @property
    def schedule(self) -> Schedule:
        """The rounds and steps of the fit."""
        return Schedule(design=self.design, rounds=self.rounds, local_steps=self.local_steps)


@dataclass(frozen=True, kw_only=True)
class OneSite:
    """The site, among several, whose patients a cell uses.

    Attributes:
        partition: How patients are assigned to sites.
        of: The number of sites.
        alone: The site's name.
        assignment: Digest of which patients are at that site; ``None``, and then not written, for
            cells from before it was part of a key.
    """

    __pydantic_config__ = STRICT

    partition: PartitionText
    of: Annotated[int, Field(ge=2, le=10_000)]
    alone: Name
    assignment: Digest | None = None


@dataclass(frozen=True, kw_only=True)
class TunedBy:
    """The study that found a cell's settings.

    Attributes:
        epsilon: The level that they were tuned at.
        study: The study's name.
        on: The data that it used: ``phantom`` or ``private``.
        selection: ``free of private data``, or ``not accounted``.
        trial: Whether the cell is itself a trial of that study; written only if it is.
    """

    __pydantic_config__ = STRICT

    epsilon: Positive
    study: StudyName
    on: Literal["phantom", "private"]
    selection: Literal["free of private data", "not accounted"]
    trial: bool = False


@dataclass(frozen=True, kw_only=True)
class OwnPatients:
    """The numbers of own patients with which a cell is also scored.

    Attributes:
        patients: The numbers, rising.
        mixture: How own and synthetic patches are mixed.
    """

    __pydantic_config__ = STRICT

    patients: tuple[int, ...]
    mixture: str
