"""Protocols for what a fit shows to an audit, and for the state from which a killed fit continues.

A fit calls ``context.inspect`` before its first private step with a ``PrivateGame`` or a
``PrivateRelease``. An audit then measures the exact laws on it and puts canaries into it. A fit
that shows nothing, or something else, is audited by membership inference alone.

This package does not import torch: where a docstring says tensor, the type is ``Any``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import Guarantee
from benchmark.core.patches import Patches

if TYPE_CHECKING:
    from benchmark.core.mechanism import Noise

STRIDES = 20
"""The number of strides of a fit. A kill loses at most one."""


@runtime_checkable
class PrivateStep(Protocol):
    """A private gradient: the only way in which a network learns from patients.

    ``benchmark.privacy.dpsgd.step.Step`` is one.
    """

    @property
    def clip_norm(self) -> float:
        """C, the most by which one unit moves the sum."""

    @property
    def noise_multiplier(self) -> float:
        """σ, the noise's standard deviation over C."""

    @property
    def expected_units(self) -> float:
        """B, the public number that sums are divided by."""

    def gradient(self, critic: Any, batch: Any, noise: Noise) -> Any:
        """Compute the clipped and noised gradient of one batch.

        Args:
            critic: The ``torch.nn.Module`` of the game; an audit hands in others of its kind.
            batch: A ``benchmark.privacy.dpsgd.step.Batch``.
            noise: Where the noise comes from.

        Returns:
            A flat tensor with a number for every trained weight, in the order of
            ``critic.parameters()``.
        """


@runtime_checkable
class UnitSampler(Protocol):
    """Draws batches of units; ``benchmark.privacy.dpsgd.sampling.PoissonSampler`` is one."""

    def draw(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw one batch.

        Returns:
            The indices of the drawn patches, and the unit that each belongs to: int64 ``(b,)``
            both, and empty if no unit was drawn.
        """


@runtime_checkable
class PrivateGame(Protocol):
    """A fit of many private steps, shown to an audit before the first step.

    An audit assigns other objects of the same kind to ``critic`` and ``step``. So both are plain
    attributes, and the fit must take them from here at every step.
    """

    @property
    def critic(self) -> Any:
        """The ``torch.nn.Module`` that learns from patients.

        It maps labelled patches ``(n, 2, H, W)`` (image, then mask as ±1) to scores ``(n,)``, each
        from its own patch alone.
        """

    @property
    def step(self) -> PrivateStep:
        """The private gradient of the critic."""

    @property
    def sampler(self) -> UnitSampler:
        """The sampler that draws the batches of the steps."""

    @property
    def guarantee(self) -> Guarantee:
        """The guarantee that the fit claims."""

    @property
    def patches(self) -> Patches:
        """The patients' patches that the sampler draws from."""

    @property
    def private_steps(self) -> int:
        """T, the number of private steps of the fit."""


@runtime_checkable
class PrivateRelease(Protocol):
    """The noised means of a fit, shown to an audit before the first of them is drawn.

    ``benchmark.privacy.mechanisms.release.Release`` is one. An audit assigns another function to
    ``mean``. So the fit must call it on the shown object.
    """

    @property
    def guarantee(self) -> Guarantee:
        """The guarantee that the fit claims."""

    @property
    def mean(
        self,
    ) -> Callable[[Patches, Callable[[Patches], NDArray[np.float64]], Noise], NDArray[np.float64]]:
        """A function that computes the noised mean ``(d,)`` from patches, features and noise.

        Features map patches to vectors ``(n, d)``, each from its own patch alone. An audit adds
        entries to these vectors.
        """


Shown = PrivateGame | PrivateRelease
"""What ``context.inspect`` is called with."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The counts of a fit's rounds at the beginning of a stride.

    Attributes:
        total: Rounds that the guarantee pays for.
        begun: Rounds counted so far, lost ones included.
        useful: Rounds whose result is in the weights.
        interruptions: How often the fit was killed and went on as another draw of the mechanism.
    """

    total: int
    begun: int = 0
    useful: int = 0
    interruptions: int = 0

    @property
    def until(self) -> int:
        """The rounds that are counted when the stride ends, whether it is finished or not."""
        return min(self.total, self.begun + max(1, -(-self.total // STRIDES)))

    @property
    def lost(self) -> int:
        """The rounds that are counted but contributed to no weights."""
        return self.begun - self.useful

    def done(self) -> Tally:
        """Return the tally after a completed stride."""
        return Tally(
            total=self.total,
            begun=self.until,
            useful=self.useful + self.until - self.begun,
            interruptions=self.interruptions,
        )

    def resumed(self, *, exact: bool, counted: int = 0) -> Tally:
        """Return the tally after a kill within the stride.

        With seeded noise the stride begins again, and costs nothing more. With other noise it is
        unknown how much of the stride ran, so all of it stays counted and is lost.

        Args:
            exact: Whether its draws are the same again, as with seeded noise.
            counted: Rounds that are known to be counted outside this tally.

        Returns:
            The tally from which the fit continues.

        Examples:
            >>> after = Tally(total=100).resumed(exact=False)
            >>> after.begun, after.useful, after.lost, after.interruptions
            (5, 0, 5, 1)
        """
        if exact:
            return self
        last = replace(self, begun=max(self.begun, counted))
        return replace(last, begun=last.until, interruptions=self.interruptions + 1)


class State(NamedTuple):
    """The content of a checkpoint.

    Attributes:
        tally: How far the fit had come.
        tensors: Torch tensors by name: all that the fit changes.
        facts: What else the fit needs, as JSON can hold it, such as the state of seeded noise.
    """

    tally: Tally
    tensors: Mapping[str, Any]
    facts: Mapping[str, Any]


@runtime_checkable
class KeptState(Protocol):
    """Where a fit keeps its state; ``benchmark.privacy.checkpoint.Checkpoint`` is one."""

    @property
    def state(self) -> State | None:
        """The state that an earlier process of the same fit left; ``None`` if none is usable."""

    def save(self, state: State) -> None:
        """Save a state durably. A fit calls it before each stride of rounds."""

    def counted(self) -> int:
        """Return the most rounds that any process of this fit counted, for ``Tally.resumed``."""
