"""What a fit shows to an audit, and what it keeps to go on from: shapes, without their insides.

A fit calls ``context.inspect`` before its first private step with a ``PrivateGame`` or a
``PrivateRelease``. An audit then measures the exact laws on it and puts canaries into it. A fit
that shows nothing, or something else, is audited by membership inference alone.

This package knows no torch: where it says tensor, the type is ``Any``.
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
"""Of a fit; a kill loses one at most."""


@runtime_checkable
class PrivateStep(Protocol):
    """A private gradient: how a network sees patients.

    ``benchmark.privacy.dpsgd.step.Step`` is one.
    """

    @property
    def clip_norm(self) -> float:
        """C, the most that one unit moves the sum by."""

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
    """A fit of many private steps, as it is shown before the first.

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
        """Draws the batches of the steps."""

    @property
    def guarantee(self) -> Guarantee:
        """What the fit claims."""

    @property
    def patches(self) -> Patches:
        """The patients' patches that the sampler draws from."""

    @property
    def private_steps(self) -> int:
        """T, how many private steps the fit takes."""


@runtime_checkable
class PrivateRelease(Protocol):
    """The noised means of a fit, shown before the first.

    ``benchmark.privacy.mechanisms.release.Release`` is one. An audit assigns another function to
    ``mean``. So the fit must call it on the shown object.
    """

    @property
    def guarantee(self) -> Guarantee:
        """What the fit claims."""

    @property
    def mean(
        self,
    ) -> Callable[[Patches, Callable[[Patches], NDArray[np.float64]], Noise], NDArray[np.float64]]:
        """Called with patches, features and noise, answers the noised mean ``(d,)``.

        Features map patches to vectors ``(n, d)``, each from its own patch alone; an audit adds
        numbers to them.
        """


Shown = PrivateGame | PrivateRelease
"""What ``context.inspect`` is called with."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many rounds of a fit are counted when a stride begins.

    Attributes:
        total: Rounds that the guarantee pays for.
        begun: Rounds counted so far, lost ones included.
        useful: Rounds whose result is in the weights.
        interruptions: How often a kill made it another draw.
    """

    total: int
    begun: int = 0
    useful: int = 0
    interruptions: int = 0

    @property
    def until(self) -> int:
        """The rounds that are counted when the stride ends, however it ends."""
        return min(self.total, self.begun + max(1, -(-self.total // STRIDES)))

    @property
    def lost(self) -> int:
        """The rounds that are counted and are in no weights."""
        return self.begun - self.useful

    def done(self) -> Tally:
        """Return the tally after a whole stride."""
        return Tally(
            total=self.total,
            begun=self.until,
            useful=self.useful + self.until - self.begun,
            interruptions=self.interruptions,
        )

    def resumed(self, *, exact: bool, counted: int = 0) -> Tally:
        """Return the tally after a kill within the stride.

        With seeded noise the stride begins again, and costs nothing more. With other noise nobody
        knows what of it was run, so it stays counted and is lost.

        Args:
            exact: Whether its draws are the same again, as with seeded noise.
            counted: Rounds that the run is known to have counted, elsewhere than in this tally.

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
    """What a checkpoint holds.

    Attributes:
        tally: How far the fit had come.
        tensors: Torch tensors by name: all that the fit changes.
        facts: What else it needs, as far as JSON can hold it; where seeded noise stands, for one.
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
        """Keep a state durably. A fit calls it before each stride of rounds."""

    def counted(self) -> int:
        """Return the most rounds that any process of this fit counted, for ``Tally.resumed``."""
