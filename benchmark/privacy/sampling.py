"""Poisson sampling of units, over the *public* number of units.

Every unit enters a step independently with probability q. A patch slot that a patient did not fill
(fewer vessel voxels than the declared count) is drawn all the same and contributes nothing, so that
the rate does not depend on what the patients hold. Which of their patches sampled patients bring is
drawn for each from a stream of its own: from a shared one, a patient who brings fewer would move
the others' patches too, and so the sum by more than the clip norm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import Unit
from benchmark.core.generator import Noise
from benchmark.core.patches import Patches


class PoissonSampler:
    """Draws a fresh batch at every call of ``draw``.

    Args:
        patches: What to draw from; ``patient`` must be given.
        unit: What is sampled: patches, or patients.
        rate: q in (0, 1].
        patches_per_draw: The most patches that a sampled patient brings (patient unit only).
        noise: The source of the Poisson draws.
        seed: Chooses the patches within a sampled patient, which may be public.

    Attributes:
        draws: How many batches were drawn.
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
    ) -> None:
        if patches.patient is None:
            raise ValueError("Patches of no known patient cannot be sampled by unit.")
        self._unit, self._rate, self._noise = unit, rate, noise
        self._per_draw = patches_per_draw
        self._patients, self._slots = patches.patients, patches.patches_per_patient
        self._of_patient = [np.flatnonzero(patches.patient == p) for p in range(patches.patients)]
        self._seed, self.draws = seed, 0

    def draw(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indices of the drawn patches, and the unit that each belongs to; both may be empty."""
        self.draws += 1
        return self._draw_patients() if self._unit == "patient" else self._draw_patches()

    def _draw_patches(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        drawn = self._noise.poisson(self._patients * self._slots, self._rate)
        found = [
            self._of_patient[patient][slot]
            for patient, slot in zip(*divmod(drawn, self._slots), strict=True)
            if slot < len(self._of_patient[patient])
        ]
        indices = np.array(found, np.int64)
        return indices, indices

    def _draw_patients(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        drawn = self._noise.poisson(self._patients, self._rate)
        chosen = [self._some_of(int(p)) for p in drawn]
        owners = [np.full(len(c), p, np.int64) for c, p in zip(chosen, drawn, strict=True)]
        empty = np.empty(0, np.int64)
        return np.concatenate([empty, *chosen]), np.concatenate([empty, *owners])

    def _some_of(self, patient: int) -> NDArray[np.int64]:
        mine = self._of_patient[patient]
        rng = np.random.default_rng([self._seed, self.draws, patient])
        return rng.choice(mine, min(self._per_draw, len(mine)), replace=False)
