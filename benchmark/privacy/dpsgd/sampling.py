"""Poisson sampling of units, over the *public* number of units.

Every unit enters a step independently with probability q. A unit that holds nothing (an unfilled
slot of a patient, or a patient without patches) is drawn all the same and has a blank slot in the
batch. So neither the rate nor the shape of a batch depends on the patients' data, and a blank unit
changes no other unit's arithmetic. A sampled patient's patches are drawn from a random stream of
the patient's own. With a common stream, a patient with fewer patches would change the patches of
others, and so the sum by more than the clip norm.

Where others see how long a step takes, batches are padded by blank units, which belong to no
patient, to a public size. A batch exceeds that size with a probability of 2^-40.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import Unit
from benchmark.core.generator import Noise
from benchmark.core.patches import Patches

BLANK = -1
"""The index that stands for a missing patch."""

RARE = 2.0**-40


class PoissonSampler:
    """Draws a fresh Poisson batch of units at every call of ``draw``.

    Args:
        patches: The patches to draw from; ``patient`` must be given.
        unit: What is sampled: patches, or patients.
        rate: q in (0, 1].
        patches_per_draw: The most patches that a sampled patient brings (patient unit only).
        noise: The source of the Poisson draws.
        seed: Chooses the patches within a sampled patient, which may be public.
        padded: Whether every batch is padded to one size.

    Attributes:
        draws: How many batches were drawn.

    Raises:
        ValueError: If ``patches.patient`` is ``None``.
    """

    def __init__(
        self,
        patches: Patches,
        *,
        unit: Unit,
        rate: float,
        patches_per_draw: int,
        noise: Noise,
        seed: int,
        padded: bool = False,
    ) -> None:
        if patches.patient is None:
            raise ValueError("Patches of no known patient cannot be sampled by unit.")
        self._unit, self._rate, self._noise = unit, rate, noise
        self._patients, self._slots = patches.patients, patches.patches_per_patient
        self._of_patient = [np.flatnonzero(patches.patient == p) for p in range(patches.patients)]
        self._seed, self.draws = seed, 0
        self._each = patches_per_draw if unit == "patient" else 1
        self._least = least_units(self.units, rate) if padded else 0

    @property
    def units(self) -> int:
        """The public number of units, N."""
        return self._patients * (1 if self._unit == "patient" else self._slots)

    def draw(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw one batch.

        Every drawn unit has the same number of entries, one after the other. Units that pad a batch
        have numbers from N on.

        Returns:
            The indices of the drawn patches, with ``BLANK`` for a missing one, and the unit that
            each belongs to; both int64 ``(b,)``, possibly empty.
        """
        self.draws += 1
        drawn = self._noise.poisson(self.units, self._rate)
        nobody = np.arange(self.units, self.units + max(0, self._least - len(drawn)))
        units = np.concatenate([drawn, nobody]).astype(np.int64)
        # Nobody's are looked for like everybody's, and then left: it takes as long.
        looked_for = units % self.units
        rows = self._filled_slots[looked_for] if self._unit == "patch" else self._some(looked_for)
        rows[len(drawn) :] = BLANK
        return rows.reshape(-1), np.repeat(units, self._each)

    @cached_property
    def _filled_slots(self) -> NDArray[np.int64]:
        """The index of the patch in every slot ``(N, 1)``."""
        slots = np.full((self._patients, self._slots), BLANK, np.int64)
        for row, mine in zip(slots, self._of_patient, strict=True):
            row[: len(mine)] = mine
        return slots.reshape(-1, 1)

    def _some(self, patients: NDArray[np.int64]) -> NDArray[np.int64]:
        rows = np.full((len(patients), self._each), BLANK, np.int64)
        for row, patient in zip(rows, patients, strict=True):
            mine = self._some_of(int(patient))
            row[: len(mine)] = mine
        return rows

    def _some_of(self, patient: int) -> NDArray[np.int64]:
        mine = self._of_patient[patient]
        rng = np.random.default_rng([self._seed, self.draws, patient])
        return rng.choice(mine, min(self._each, len(mine)), replace=False)


def least_units(units: int, rate: float) -> int:
    """Return the size that a batch of N units exceeds with probability 2^-40 at most.

    Args:
        units: N.
        rate: q, the probability with which each unit enters.
    """
    from scipy.stats import binom

    return int(binom.isf(RARE, units, rate))
