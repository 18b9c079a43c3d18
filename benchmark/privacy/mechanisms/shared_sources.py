"""Noise sources of secure sums: a site adds its share of the noise, and the server adds none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import UsageError
from benchmark.core.mechanism import Choice, Grid, Integers, Noise
from benchmark.privacy.mechanisms.shared_noise import SharedPlan


class SharedNoise:
    """A site's noise source: it adds the site's share, and keeps the sums in whole numbers.

    Args:
        source: Draws the share, and the site's units where a plan draws them.
        plan: What all sites planned.

    Attributes:
        sums: What was noised so far, int64, in steps of the grid.
    """

    def __init__(self, source: Noise, plan: SharedPlan) -> None:
        plan.check_share()
        self._source, self._plan = source, plan
        self.sums: list[Integers] = []

    @property
    def seeded(self) -> bool:
        """Whether the source is seeded."""
        return self._source.seeded

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """Return the sums with this site's share of the plan's noise, and keep them.

        Raises:
            UsageError: For another grid than the plan's, on which the share would be other noise.
        """
        said = self._plan.guarantee
        if (grid.spacing, grid.sensitivity) != (said.grid, said.sensitivity):
            raise UsageError(
                f"Expected sums on the plan's grid of {said.grid:g}, got one of {grid.spacing:g}; "
                "make the site's side with the plan's guarantee."
            )
        found = self._source.noised(sums, replace(grid, law=self._plan.share))
        self.sums.append(found.copy())
        return found

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """Draw units of this site, if the plan has a draw at that rate.

        Raises:
            UsageError: If it has none, or another.
        """
        planned = self._plan.guarantee.sampling_rate
        if not self._plan.draws:
            raise UsageError("This secure sum has every patient in every round; it draws nobody.")
        if rate != planned:
            raise UsageError(f"Expected a draw at the plan's rate of {planned:g}, got {rate:g}.")
        return self._source.poisson(n, rate)

    def chosen(self, sums: Integers, choice: Choice) -> Never:
        """Refuse: choices are no sums."""
        raise UsageError("Private choices of sites cannot be added; leave secure sums out.")

    def state(self) -> Mapping[str, Any] | None:
        """Return the source's state."""
        return self._source.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the source's state."""
        self._source.restore(state)


class KnownSums:
    """A noise source that answers with sums that are known, as ``replay.Replayer`` does.

    What a site computes from its mechanisms' outputs is post-processing. So the server computes it
    from the sums over all sites, and needs no patient for that.

    Args:
        sums: The noised sums, in order; ``None`` for zeros of any length.

    Attributes:
        seeded: True, as known sums repeat: there is nothing whose time needs hiding.
        lengths: Of the sums that were asked for.
    """

    seeded = True

    def __init__(self, sums: Sequence[NDArray[np.int64]] | None) -> None:
        self._left = None if sums is None else list(sums)
        self.lengths: list[int] = []

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """Return the next known sum.

        Raises:
            UsageError: If there is none of this length.
        """
        self.lengths.append(len(sums))
        if self._left is None:
            return np.zeros_like(sums)
        if not self._left or self._left[0].shape != sums.shape:
            raise UsageError(
                f"Expected the sites' sum number {len(self.lengths)} to have {len(sums)} numbers; "
                "it is missing or has another length."
            )
        return self._left.pop(0).copy()

    @property
    def is_over(self) -> bool:
        """Whether every known sum was used."""
        return not self._left

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """Draw nobody: whoever reads known sums has no patients."""
        return np.zeros(0, np.int64)

    def chosen(self, sums: Integers, choice: Choice) -> Never:
        """Refuse, as ``SharedNoise`` does."""
        raise UsageError("Private choices of sites cannot be added; leave secure sums out.")

    def state(self) -> None:
        """Return ``None``: nothing is drawn."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""
