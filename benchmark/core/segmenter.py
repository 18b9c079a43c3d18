"""The contract of a segmenter of whole volumes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.generator import FitContext, Progress, silent
from benchmark.core.patches import Patches
from benchmark.core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class TrainContext:
    """The resources of one training: its seed, its device and a callback for progress.

    Attributes:
        seed: Seeds initial weights and the order of batches.
        progress: May be called after every step.
        device: A torch device's name, such as ``cpu`` or ``cuda``.
    """

    seed: int
    progress: Progress = silent
    device: str = "cpu"


class Reach(NamedTuple):
    """How far away, in its axial slice, a pixel can still change a mark.

    Attributes:
        pixels: No pixel farther away does, along either side of the slice.
        multiple: A part of a slice is marked alike only if it begins at multiples of this.
    """

    pixels: int
    multiple: int = 1


class Segmenter(ABC):
    """Learns from labelled patches, then marks the vessels of whole volumes.

    Attributes:
        name: The plug-in's name, as ``--segmenter`` takes it.
        version: From 1 on; raised whenever the same settings come to mean something else.
        citation: The source, author and year.
        Params: The class of its settings.
        presets: Settings by name; ``quick`` must be there.
        smoke: Settings that fit in under two seconds, for ``bench check``.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    citation: ClassVar[str]
    Params: ClassVar[type[Settings]]
    presets: ClassVar[Mapping[str, Settings]]
    smoke: ClassVar[Settings]

    @abstractmethod
    def __init__(self, params: Settings) -> None:
        """Keep the settings; draw and read nothing.

        Args:
            params: An instance of ``Params``.
        """

    @abstractmethod
    def fit(self, patches: Patches, context: TrainContext) -> None:
        """Learn, and choose the threshold, from these patches alone.

        Args:
            patches: Synthetic or real; whose they are does not matter.
            context: Seed, progress and device.

        Raises:
            NotLearntError: If nothing was learnt, so that scores would mean nothing.
        """

    @abstractmethod
    def predict(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.bool_]:
        """Mark the vessels of one volume.

        Args:
            volume: ``(X, Y, Z)`` float32, scaled to [-1, 1] like the patches.
            spacing_mm: The sides of a voxel, in millimetres.

        Returns:
            The mask, bool ``(X, Y, Z)``.

        Raises:
            NotFittedError: Before ``fit``.
        """

    @property
    def reach(self) -> Reach | None:
        """The reach of a segmenter that marks every axial slice by itself; else ``None``.

        With a reach, only the brain and its surroundings are shown. A volume marked in parts is
        marked as a whole: ``bench check`` compares the two.
        """
        return None

    def margin(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.float32]:
        """Compute by how much ``predict`` marks each voxel; it marks those above 0.

        A segmenter may return graded values. Then an outline found on large pixels stays smooth
        when it is resampled to small ones. By default the value is 1 where ``predict`` marks, and
        -1 elsewhere.

        Args:
            volume: As for ``predict``.
            spacing_mm: As for ``predict``.

        Returns:
            Float32 ``(X, Y, Z)``, in [-1, 1].
        """
        return np.where(self.predict(volume, spacing_mm), np.float32(1), np.float32(-1))


class PrivateSegmenter(Segmenter):
    """A segmenter that can also learn from patients themselves, under a guarantee.

    ``fit`` is for patches that need no protection, such as synthetic ones. ``fit_privately`` is for
    patients' own patches; the guarantee covers the trained model and every later prediction.

    Attributes:
        is_private: It honours a finite ε.
        needs_data: It reads patients.
    """

    is_private: ClassVar[bool] = True
    needs_data: ClassVar[bool] = True

    @abstractmethod
    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """Calibrate a private fit from public numbers alone: see ``Generator.plan``.

        Args:
            public: How many patients, the most patches of each, the side of a patch.
            budget: The ε, δ and unit that are asked for.

        Returns:
            A guarantee whose ε, for ``budget.unit``, is at most ``budget.epsilon``.

        Raises:
            UsageError: If the budget cannot be honoured.
        """

    @abstractmethod
    def fit_privately(
        self, patches: Patches, guarantee: Guarantee, context: FitContext
    ) -> Guarantee:
        """Learn from patients under a planned guarantee: see ``Generator.fit``.

        Nothing is chosen by looking at the patches, not even a threshold.

        Args:
            patches: The patients' own, with ``patient`` given.
            guarantee: What ``plan`` returned.
            context: ``context.charge`` is called before the first patch is read, and
                ``context.inspect`` before the first step.

        Returns:
            What was really spent.
        """


class FreeSegmenter(Segmenter):
    """A segmenter that can also mark vessels with published constants alone, without any patch.

    Its scores then cost no privacy. They are the baseline for all scores that do.

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
        """Prepare to predict with ``constants`` as settings, without any patch."""

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """Return a guarantee of ε = 0, whatever the budget, because no patient is read."""
        return Guarantee.of(public, budget, epsilon=0.0)
