"""The contract of a generator of labelled patches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.mechanism import Noise as Noise
from benchmark.core.patches import Patches
from benchmark.core.settings import Settings
from benchmark.core.workings import KeptState, Shown

RELEASE = "release"
"""What a setting called ``evidence`` says where patients decide; whatever else names a control."""


class Progress(Protocol):
    """Hears of a fit's progress; curves hold non-private or post-processed quantities only."""

    def __call__(self, step: int, total: int, curves: Mapping[str, float], /) -> None:
        """Step ``step`` of ``total`` is done."""


def silent(step: int, total: int, curves: Mapping[str, float], /) -> None:
    """Progress that nobody listens to."""


def unseen(inner_workings: Shown) -> None:
    """Nobody looks into a fit."""


@dataclass(frozen=True, kw_only=True)
class FitContext:
    """What a fit needs and must not invent.

    Attributes:
        seed: Seeds initialisation and latent draws.
        noise: Seeds, or does not seed, the private noise and the Poisson draws.
        charge: Called once with the planned guarantee, and durable, before the first private
            batch is read.
        progress: Hears of every step.
        checkpoint: For fits that can go on after a kill; ``None`` for nowhere.
        inspect: The fit calls it with its inner workings before its first private step.
        device: A torch device's name.
    """

    seed: int
    noise: Noise
    charge: Callable[[Guarantee], None]
    progress: Progress = silent
    checkpoint: KeptState | None = None
    inspect: Callable[[Shown], None] = unseen
    device: str = "cpu"


class Generator(ABC):
    """Draws labelled patches that resemble those it was fitted on.

    A plug-in ``dp-wgan`` is the module ``dp_wgan`` with the class ``DpWgan``.

    Attributes:
        name: The plug-in's name.
        version: Raised whenever the meaning of the same settings changes.
        is_private: Whether ``fit`` honours a finite ε.
        needs_data: Whether ``fit`` reads patients at all.
        holds_patients: Whether what ``save`` writes are patients' own patches; then no result
            keeps a copy.
        citation: The source, author and year.
        Params: The class of its settings.
        presets: Settings by name; ``quick``, ``standard`` and ``paper``.
        smoke: Settings that fit in under two seconds, for conformance.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    is_private: ClassVar[bool]
    needs_data: ClassVar[bool] = True
    holds_patients: ClassVar[bool] = False
    citation: ClassVar[str]
    Params: ClassVar[type[Settings]]
    presets: ClassVar[Mapping[str, Settings]]
    smoke: ClassVar[Settings]

    @abstractmethod
    def __init__(self, params: Settings) -> None:
        """Holds the settings; nothing is drawn or read."""

    @abstractmethod
    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """What a fit would be, from public numbers alone: calibrates, touches no patient.

        Raises:
            UsageError: If the budget cannot be honoured.
        """

    def noised_numbers(self, public: PublicNumbers) -> int | None:
        """How many numbers a private fit learns through noise; ``None``, the default, if unknown.

        Each counts once, however often noise is added to it: the critic's weights, or the lengths
        of all released vectors together. `bench plan` sets their noise against the signal.
        """
        return None

    @abstractmethod
    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        """Learns from patches under a planned guarantee; returns what was really spent."""

    @abstractmethod
    def sample(self, n: int, *, seed: int) -> Patches:
        """Draws ``n`` labelled patches; post-processing, spends nothing.

        Raises:
            NotFittedError: Before ``fit`` or ``load``.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes settings (JSON) and weights (safetensors) into an existing folder."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """The generator that ``save`` wrote."""
