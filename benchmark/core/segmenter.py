"""The contract of a segmenter of whole volumes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.generator import FitContext, Progress, silent
from benchmark.core.patches import Patches
from benchmark.core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class TrainContext:
    """What training needs and must not invent: a seed, a listener, a device's name."""

    seed: int
    progress: Progress = silent
    device: str = "cpu"


class Segmenter(ABC):
    """Learns from labelled patches, then marks the vessels of whole volumes.

    The class attributes are those of a ``Generator``, less what concerns privacy.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    citation: ClassVar[str]
    Params: ClassVar[type[Settings]]
    presets: ClassVar[Mapping[str, Settings]]
    smoke: ClassVar[Settings]

    @abstractmethod
    def __init__(self, params: Settings) -> None:
        """Holds the settings; nothing is drawn or read."""

    @abstractmethod
    def fit(self, patches: Patches, context: TrainContext) -> None:
        """Learns, and chooses its threshold, from these patches alone."""

    @abstractmethod
    def predict(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.bool_]:
        """Marks the vessels of one volume.

        Args:
            volume: ``(X, Y, Z)``, scaled to [-1, 1] like the patches.
            spacing_mm: A voxel's sides.

        Returns:
            The mask, ``(X, Y, Z)``.

        Raises:
            NotFittedError: Before ``fit``.
        """

    def margin(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.float32]:
        """Where ``predict`` marks and by how much; above 0 it does.

        For a segmenter that says more than yes or no, so that the edges of what it found on large
        pixels are smooth on small ones.

        Args:
            volume: As for ``predict``.
            spacing_mm: As for ``predict``.

        Returns:
            Float32 ``(X, Y, Z)``, in [-1, 1].
        """
        return np.where(self.predict(volume, spacing_mm), np.float32(1), np.float32(-1))


class PrivateSegmenter(Segmenter):
    """A segmenter that can also learn from patients themselves, under a guarantee.

    ``fit`` is for patches that may be seen as they are: synthetic ones. ``fit_privately`` is for
    patients' own; what it leaves, and every later prediction, is covered by the guarantee.

    Attributes:
        is_private: It honours a finite ε.
        needs_data: It reads patients.
    """

    is_private: ClassVar[bool] = True
    needs_data: ClassVar[bool] = True

    @abstractmethod
    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """What a private fit would be, from public numbers alone; touches no patient.

        Raises:
            UsageError: If the budget cannot be honoured.
        """

    @abstractmethod
    def fit_privately(
        self, patches: Patches, guarantee: Guarantee, context: FitContext
    ) -> Guarantee:
        """Learns from patients under a planned guarantee; returns what was really spent.

        ``context.charge`` is called before the first patch is read, and ``context.inspect`` before
        the first step. Nothing is chosen by looking at the patches, a threshold neither.
        """


class FreeSegmenter(Segmenter):
    """A segmenter that can also mark vessels by published constants alone: no patch, no patient.

    What it reaches so costs nothing, and whatever costs something is compared with it.

    Guarantees:
        * ε = 0: ``rest_on_constants`` is given nothing of any patient.

    Attributes:
        constants: The settings with which it needs nothing else.
        is_private: It honours a finite ε.
        needs_data: It reads no patients.
    """

    constants: ClassVar[Settings]
    is_private: ClassVar[bool] = True
    needs_data: ClassVar[bool] = False

    @abstractmethod
    def rest_on_constants(self) -> None:
        """Makes it ready to predict, with its ``constants`` for settings."""

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """ε = 0, whatever the budget."""
        return Guarantee.of(public, budget, epsilon=0.0)
