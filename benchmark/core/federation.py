"""The contract of a generator that sites train together while each keeps its patients to itself.

In a round, every site computes a reply from the state that the server sent and from its own
patients. The server combines the replies into the next state. Both are functions of their arguments
alone. So a site or a server that restarts continues as if nothing had happened.

All that a site ever sends is (ε, δ)-DP for its own patients, under adaptive composition over the
rounds. Whatever is computed from it is post-processing.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

from numpy.typing import NDArray

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.generator import FitContext, Generator
from benchmark.core.patches import Patches
from benchmark.core.settings import Settings

Arrays = Mapping[str, NDArray[Any]]
"""A state, or a part of one: the arrays that training changes, by name."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a federated fit proceeds.

    Attributes:
        design: A name among the generator's ``designs``.
        rounds: How often the server asks every site; at least 1.
        local_steps: How many private steps a site takes in each round; at least 1.

    Examples:
        >>> Schedule(design="fedgan", rounds=110, local_steps=4).steps
        440
    """

    design: str
    rounds: int
    local_steps: int

    @property
    def steps(self) -> int:
        """T, the private steps of each site: rounds times local steps."""
        return self.rounds * self.local_steps


class SiteSide(Protocol):
    """The part of a federated fit that runs at a site, which has the patients."""

    def compute(self, number: int, state: Arrays, context: FitContext) -> Arrays:
        """Compute the reply of a round.

        Args:
            number: The round, from 1.
            state: What the server sent.
            context: Seed and noise of this site's round, and of no other.

        Returns:
            Arrays with the names, shapes and types of ``ServerSide.returned``. They must be
            computed from noised sums alone.
        """


class ServerSide(Protocol):
    """The part of a federated fit that runs at the server, which has no patients."""

    def begin(self) -> Arrays:
        """Make the state before the first round."""

    def sent(self, state: Arrays) -> Arrays:
        """Return the part of a state that sites need; it is sent to every site."""

    def returned(self, state: Arrays, share: float) -> Arrays:
        """Return arrays with the names, shapes and types that a site's reply must have.

        Args:
            state: The state before the round.
            share: The site's public share of all patients.
        """

    def combine(
        self, number: int, state: Arrays, replies: Sequence[Arrays], weights: Sequence[float]
    ) -> Arrays:
        """Make the state after a round.

        Args:
            number: The round, from 1.
            state: The state before it.
            replies: One of each site, always in the same order.
            weights: The sites' public shares of all patients, which sum to 1.

        Returns:
            The next state, with the same names, shapes and types.
        """


class FederatedGenerator(Generator):
    """A generator that sites can train together.

    Attributes:
        params: Its settings.
        designs: The ways of its own in which sites can train it: each name with one line that
            describes it. The first is the default of ``--design``. ``designs_of`` adds ``mixture``.
        adds_sums: Whether, in every design of its own, a site's reply is a noised sum over its
            public divisor, and all that the server makes of the replies follows from their weighted
            sum. So who does not see the replies sees the noise of all sites together.
    """

    designs: ClassVar[Mapping[str, str]]
    adds_sums: ClassVar[bool] = False
    params: Settings

    @abstractmethod
    def schedule(
        self, *, design: str, rounds: int | None = None, local_steps: int | None = None
    ) -> Schedule:
        """Divide the settings' own private steps into rounds.

        Args:
            design: A name among ``designs``.
            rounds: How many; ``None`` for what the settings suggest.
            local_steps: Private steps of a site in a round; ``None`` for what the settings suggest.

        Returns:
            The schedule.

        Raises:
            UsageError: For an unknown design, or steps that the design cannot take.
        """

    @abstractmethod
    def at_site(self, share: float) -> Self:
        """Return this generator with the settings for one site's part of each step.

        Args:
            share: The site's public share of all patients, in (0, 1].
        """

    @abstractmethod
    def plan_at_site(self, public: PublicNumbers, budget: Budget, schedule: Schedule) -> Guarantee:
        """Calibrate all rounds together for one site, from its public numbers alone.

        Args:
            public: The site's own numbers.
            budget: The ε, δ and unit that are asked for.
            schedule: The rounds and steps that the site will take.

        Returns:
            A guarantee within the budget. At ε = ∞ only the noise and its cost differ.

        Raises:
            UsageError: If the budget cannot be honoured.
        """

    @abstractmethod
    def site_side(self, patches: Patches, guarantee: Guarantee, schedule: Schedule) -> SiteSide:
        """Make the object that computes a site's replies. Call it on what ``at_site`` returned.

        Args:
            patches: The patches of the site's own patients.
            guarantee: What ``plan_at_site`` returned.
            schedule: The rounds and steps.
        """

    @abstractmethod
    def server_side(self, size: int, schedule: Schedule, context: FitContext) -> ServerSide:
        """Make the object that combines the sites' replies.

        Args:
            size: The side of a patch, in pixels.
            schedule: The rounds and steps.
            context: Seed, progress and device; there is nothing private in it.
        """

    @abstractmethod
    def close(self, state: Arrays, size: int) -> None:
        """Take over the last state, so that the generator can sample.

        Args:
            state: What the last ``combine`` returned.
            size: The side of a patch, in pixels.
        """


def worst(guarantees: Sequence[Guarantee]) -> Guarantee:
    """Return a guarantee that holds for the patients of every site: the largest ε of each kind.

    The mechanism's numbers are those of the site with the largest ε.

    Args:
        guarantees: Of each site; at least one.
    """
    largest = max(guarantees, key=lambda said: (said.epsilon, said.epsilon_patient or math.inf))
    return replace(
        largest,
        epsilon_patch=_largest([said.epsilon_patch for said in guarantees]),
        epsilon_patient=_largest([said.epsilon_patient for said in guarantees]),
    )


def _largest(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None
