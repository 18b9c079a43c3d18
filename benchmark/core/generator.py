"""The contract of a generator of labelled patches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import PlugInError
from benchmark.core.mechanism import Noise as Noise
from benchmark.core.patches import Patches
from benchmark.core.settings import Settings
from benchmark.core.workings import KeptState, Shown

RELEASE = "release"
"""The value of a setting called ``evidence`` when patients' data decide; others name a control."""


class Progress(Protocol):
    """A callback through which a fit reports how far it is."""

    def __call__(self, step: int, total: int, curves: Mapping[str, float], /) -> None:
        """Report that a step is done.

        Args:
            step: The step, from 1.
            total: How many there are.
            curves: Numbers by name, such as a loss. They are shown and kept, so they must not be
                private, or be computed from a mechanism's output alone.
        """


def silent(step: int, total: int, curves: Mapping[str, float], /) -> None:
    """Ignore progress. This is the default of ``FitContext.progress``."""


def unseen(inner_workings: Shown) -> None:
    """Ignore what a fit shows to an audit. This is the default of ``FitContext.inspect``."""


def drawn(generator: Generator, n: int, *, seed: int, size: int | None = None) -> Patches:
    """Draw labelled patches, and hold the generator to what it promised.

    Args:
        generator: A fitted one.
        n: How many.
        seed: See ``Generator.sample``.
        size: The side that they must have, in pixels; ``None`` for any.

    Raises:
        PlugInError: If it returns something else, another number, or patches of another size.
    """
    found: object = generator.sample(n, seed=seed)
    if not isinstance(found, Patches):
        raise PlugInError(
            f"{generator.name} drew a {type(found).__name__}; sample must return Patches."
        )
    side = found.size if size is None else size
    if (len(found), found.size) != (n, side):
        raise PlugInError(
            f"{generator.name} drew {len(found)} patches of {found.size} x {found.size} pixels; "
            f"{n} of {side} x {side} were asked for."
        )
    return found


@dataclass(frozen=True, kw_only=True)
class FitContext:
    """The resources of one fit: its seed, its noise, its device and the functions that it calls.

    Attributes:
        seed: Seeds initial weights and latent draws, never the private noise.
        noise: The source of all private noise and of all draws of batches, seeded or not.
        charge: The fit calls it once, with what it is going to spend, before it reads the first
            patch. When it returns, the ledger has the entry.
        progress: The fit may call it after every step.
        checkpoint: Where the fit may keep its state, to go on after a kill; ``None`` for nowhere.
        inspect: The fit calls it with a ``PrivateGame`` or a ``PrivateRelease`` before its first
            private step, so that an audit can look inside.
        device: A torch device's name, such as ``cpu`` or ``cuda``.
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

    A built-in plug-in ``dp-wgan`` is the module ``dp_wgan`` with the class ``DpWgan``. One of
    another distribution is found by its entry point in the group ``angiobench.generators``.

    Attributes:
        name: The plug-in's name, as ``--generator`` takes it.
        version: From 1 on; raised whenever the same settings come to mean something else.
        is_private: Whether ``fit`` honours a finite ε.
        needs_data: Whether ``fit`` reads patients at all.
        holds_patients: Whether what ``save`` writes are patients' own patches; then no result
            keeps a copy.
        citation: The source, author and year.
        Params: The class of its settings.
        presets: Settings by name. ``quick`` must be there; ``standard`` and ``paper`` may be.
        smoke: Settings that fit in under two seconds, for ``bench check``.
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
        """Keep the settings; draw and read nothing.

        Args:
            params: An instance of ``Params``.
        """

    @abstractmethod
    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """Calibrate a fit from public numbers alone, and say what it would guarantee.

        No patient is touched, so ``bench plan`` can print it before there are any data.

        Args:
            public: How many patients, the most patches of each, the side of a patch.
            budget: The ε, δ and unit that are asked for.

        Returns:
            A guarantee whose ε, for ``budget.unit``, is at most ``budget.epsilon``.

        Raises:
            UsageError: If the budget cannot be honoured.
        """

    def noised_numbers(self, public: PublicNumbers) -> int | None:
        """Count the numbers that a private fit learns through noise: d in ``bench plan``.

        Each counts once, however often noise is added to it: the critic's weights, or the lengths
        of all released vectors together. ``bench plan`` sets their noise against the signal.

        Args:
            public: The declared numbers of the data.

        Returns:
            The count; ``None``, the default, if it is unknown.
        """
        return None

    @abstractmethod
    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        """Learn from patches under a planned guarantee.

        Args:
            patches: The patients' own, with ``patient`` given.
            guarantee: What ``plan`` returned for these public numbers.
            context: Seed, noise and what to call. ``context.charge`` comes before the first look at
                a patch, ``context.inspect`` before the first private step.

        Returns:
            What was really spent: the plan with ``seeded`` set, and after a kill with
            ``interruptions`` and ``lost_steps``. Its ε never exceeds the plan's.
        """

    @abstractmethod
    def sample(self, n: int, *, seed: int) -> Patches:
        """Draw labelled patches. This is post-processing and spends no privacy.

        Args:
            n: How many; at least 1.
            seed: The same seed gives the same patches, another seed others.

        Returns:
            Images ``(n, 1, H, W)`` float32 in [-1, 1] and masks ``(n, 1, H, W)`` uint8, of the
            fitted size, with ``patient=None``.

        Raises:
            NotFittedError: Before ``fit`` or ``load``.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write settings (JSON) and weights (safetensors), and no other kind of file.

        Args:
            folder: It exists.

        Raises:
            NotFittedError: Before ``fit`` or ``load``.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read the generator that ``save`` wrote.

        Args:
            folder: What ``save`` was given.

        Returns:
            A generator that samples as the saved one did.
        """
