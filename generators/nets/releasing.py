"""Base class of generators that learn about patients through noised means alone.

A fit makes some releases, by default one. Across sites, every site makes one in each round.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.core.federation import FederatedGenerator, Schedule
from benchmark.core.names import unknown
from benchmark.privacy.mechanisms.release import plan_releases
from benchmark.privacy.mechanisms.shared_noise import SharedPlan, Sharing, plan_shared_releases


class ReleasingGenerator(FederatedGenerator):
    """A generator that plans and schedules releases.

    Attributes:
        each_round: What a site does in a round, in words.
    """

    each_round: ClassVar[str] = "releases one mean"

    @property
    @abstractmethod
    def clip_norm(self) -> float:
        """C, the largest norm of a unit's vector."""

    @property
    def releases(self) -> int:
        """T, the number of releases of a fit without sites."""
        return 1

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """Plan as many releases as the settings have.

        Raises:
            UsageError: If no noise reaches the target, or for a patch size that cannot be made.
        """
        return self._planned(public, budget, self.releases)

    def schedule(
        self, *, design: str, rounds: int | None = None, local_steps: int | None = None
    ) -> Schedule:
        """Return the schedule; by default there is a round for each release.

        Raises:
            UsageError: For an unknown design, or more than one release in a round.
        """
        if design not in self.designs:
            raise UsageError(unknown("design", design, list(self.designs)))
        if local_steps not in (None, 1):
            raise UsageError(
                f"{self.name} {self.each_round} in a round, got {local_steps} local steps; "
                "leave them out."
            )
        return Schedule(design=design, rounds=rounds or self.releases, local_steps=1)

    def at_site(self, share: float) -> Self:
        """Return the same generator, because a site's number of units decides its noise."""
        return type(self)(self.params)

    def plan_at_site(self, public: PublicNumbers, budget: Budget, schedule: Schedule) -> Guarantee:
        """Plan one release in each round."""
        return self._planned(public, budget, schedule.steps)

    @classmethod
    def shares_noise(cls, design: str) -> bool:
        """Tell whether a site's replies are noised sums: not those of a private choice."""
        return design in cls.summing_designs

    def plan_in_shares(
        self, public: PublicNumbers, budget: Budget, schedule: Schedule, sharing: Sharing
    ) -> SharedPlan:
        """Plan one release in each round over all sites' patients, whose noise sites share.

        Args:
            public: The numbers of all sites' patients together.
            budget: The finite ε, δ and unit that are asked for.
            schedule: The rounds.
            sharing: The numbers of sites and of curious ones.

        Returns:
            What every site charges, draws its noise by, and may claim.

        Raises:
            UsageError: If the budget cannot be honoured, or what sites send cannot be added.
        """
        if self._planned(public, budget, schedule.steps).is_pure:
            raise UsageError(
                f"{self.name} {self.each_round} in a round, and private choices of sites cannot be "
                "added; leave secure sums out."
            )
        return plan_shared_releases(
            public,
            budget,
            clip_norm=self.clip_norm,
            releases=schedule.steps,
            sharing=sharing,
        )

    def _planned(self, public: PublicNumbers, budget: Budget, releases: int) -> Guarantee:
        self.check_size(public.patch_size)
        return plan_releases(public, budget, clip_norm=self.clip_norm, releases=releases)

    def check_size(self, size: int) -> None:
        """Refuse a side of a patch that cannot be made. By default every side can."""
