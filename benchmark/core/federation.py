"""The contract of a generator that sites train together without showing anybody their patients.

A round: every site computes from the state that the server sent and from its own patients, and the
server combines the replies into the next state. Both are functions of what they are given, so that
a site or a server that starts anew goes on as if nothing had happened.

All that a site ever sends is (ε, δ)-DP for its own patients, under adaptive composition over the
rounds; whatever is made of it is post-processing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from numpy.typing import NDArray

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext, Generator
from benchmark.core.patches import Patches
from benchmark.core.settings import Settings

Arrays = Mapping[str, NDArray[Any]]
"""A state, or a part of one: what training changes, by name."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a federated fit proceeds.

    Attributes:
        design: A name among the generator's ``designs``.
        rounds: How often the server asks every site.
        local_steps: Private steps of a site in each round.
    """

    design: str
    rounds: int
    local_steps: int

    @property
    def steps(self) -> int:
        """T: private steps of each site."""
        return self.rounds * self.local_steps


class SiteSide(Protocol):
    """What a site computes; it has the patients."""

    def compute(self, number: int, state: Arrays, context: FitContext) -> Arrays:
        """The reply of round ``number``, from 1.

        Args:
            number: Of the round.
            state: What the server sent.
            context: Seed and noise of this site's round, and of no other.
        """


class ServerSide(Protocol):
    """What the server does; it has no patients."""

    def begin(self) -> Arrays:
        """The state before the first round."""

    def sent(self, state: Arrays) -> Arrays:
        """The part of a state that sites need."""

    def returned(self, state: Arrays) -> Arrays:
        """The part of a state that every reply must have, in names, shapes and types."""

    def combine(
        self, number: int, state: Arrays, replies: Sequence[Arrays], weights: Sequence[float]
    ) -> Arrays:
        """The state after round ``number``.

        Args:
            number: Of the round, from 1.
            state: The state before it.
            replies: One of each site, always in the same order.
            weights: The sites' public shares of all patients, which sum to 1.
        """


class FederatedGenerator(Generator):
    """A generator that sites can train together.

    Attributes:
        params: Its settings.
        designs: What there is to choose from, each with a line about it; the first is the default.
    """

    designs: ClassVar[Mapping[str, str]]
    params: Settings

    @abstractmethod
    def schedule(
        self, *, design: str, rounds: int | None = None, local_steps: int | None = None
    ) -> Schedule:
        """The settings' own steps in as many rounds as is asked for."""

    @abstractmethod
    def at_site(self, share: float) -> Self:
        """The same generator with what a site with a share of all patients does of each step."""

    @abstractmethod
    def plan_at_site(self, public: PublicNumbers, budget: Budget, schedule: Schedule) -> Guarantee:
        """What all rounds together are for a site's patients, from its public numbers alone.

        Raises:
            UsageError: If the budget cannot be honoured.
        """

    @abstractmethod
    def site_side(self, patches: Patches, guarantee: Guarantee, schedule: Schedule) -> SiteSide:
        """What a site does; ``self`` comes from ``at_site``."""

    @abstractmethod
    def server_side(self, size: int, schedule: Schedule, context: FitContext) -> ServerSide:
        """What the server does, for patches of a side of ``size``."""

    @abstractmethod
    def close(self, state: Arrays, size: int) -> None:
        """Takes the last state: from now on it can sample."""


def federated(generator: Generator) -> FederatedGenerator:
    """The generator, if sites can train it together.

    Raises:
        UsageError: If they cannot.
    """
    if isinstance(generator, FederatedGenerator):
        return generator
    raise UsageError(
        f"{generator.name} cannot be trained across sites: it does not say what a site computes "
        "(FederatedGenerator in benchmark/core/federation.py); leave --sites out."
    )
