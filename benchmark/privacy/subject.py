"""What conformance laws are held against: a private fit, or a site's side of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext
from benchmark.core.laws import LawBrokenError
from benchmark.core.mechanism import Noise
from benchmark.core.patches import Patches
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.replay import Recorder, Unseeded


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A fit, or a site's side of one, that is tested.

    Attributes:
        name: The name for messages.
        guarantee: What it claims.
        patches: The patches that it is tested on.
        leaves: Maps patches and noise to everything that the fit releases, as bytes by name. It is
            pickled by reference, so that a fresh process makes it anew: a function of a module, or
            a ``partial`` of one with classes of modules and plain numbers.
    """

    name: str
    guarantee: Guarantee
    patches: Patches
    leaves: Callable[[Patches, Noise], Mapping[str, bytes]]

    @property
    def units(self) -> int:
        """The public number of units, N."""
        return self.guarantee.units

    def source(self, number: int = 0) -> Noise:
        """Make a seeded noise source; the same number gives the same noise.

        It says that it is unseeded, as for patients, because a fit might behave differently when it
        sees a seed.
        """
        return Unseeded(SeededNoise("conformance", self.name, number))

    def record(self, patches: Patches, number: int = 0) -> Recorder:
        """Run the fit once and record the draws and the outputs of its mechanisms.

        Args:
            patches: The patches to fit on.
            number: The number of the noise source.
        """
        recorder = Recorder(self.source(number))
        self.leaves(patches, recorder)
        return recorder

    def left_by(self, patches: Patches, noise: Noise, what: str) -> Mapping[str, bytes]:
        """Return all that leaves.

        Args:
            patches: The patches to fit on.
            noise: The noise source of the fit.
            what: What the patches are, for messages.

        Raises:
            LawBrokenError: If the fit ends otherwise than by leaving it.
        """
        try:
            return self.leaves(patches, noise)
        except LawBrokenError as error:
            raise LawBrokenError(f"{self.name}, on {what}: {error}") from None
        except Exception as error:
            raise LawBrokenError(
                f"The law is: how a fit ends depends on no patient; {self.name}, on {what}, raised "
                f"{type(error).__name__}: {error}"
            ) from error


def numbers_of(planned: Guarantee) -> Guarantee:
    """Return a plan's numbers alone, so that nothing else hangs on what a fresh process is sent."""
    return Guarantee.from_dict(planned.as_dict())


class Heard:
    """A recorder for what a fit reports while it runs.

    Args:
        noise: The noise source of the fit.

    Attributes:
        context: The context to fit with.
    """

    def __init__(self, noise: Noise) -> None:
        self._told: list[str] = []
        self._kept = _Kept()
        self.context = FitContext(
            seed=0,
            noise=noise,
            charge=lambda charged: self._told.append(repr(charged)),
            progress=lambda *told: self._told.append(repr(told)),
            checkpoint=self._kept,
        )

    def content(self) -> dict[str, bytes]:
        """Return all charges, curves and checkpoints as bytes, by what they are."""
        told = "\n".join(self._told).encode()
        return {"charge or curve": told, "checkpoint": self._kept.content()}


class _Kept:
    """A checkpoint that keeps what a fit would leave on the disk.

    Attributes:
        state: None: nothing is gone on from.
    """

    state = None

    def __init__(self) -> None:
        self._last: Any = None

    def save(self, state: Any) -> None:
        """The last state only."""
        self._last = state

    def counted(self) -> int:
        """Nothing before."""
        return 0

    def content(self) -> bytes:
        """The last state's tally and tensors."""
        if self._last is None:
            return b""
        tensors = sorted(self._last.tensors.items())
        rows = [f"{name} {tensor.detach().cpu().numpy().tobytes()!r}" for name, tensor in tensors]
        return "\n".join([repr(self._last.tally), *rows]).encode()
