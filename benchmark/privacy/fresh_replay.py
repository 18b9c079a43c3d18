"""Replays of a fit in a process that has seen nothing of the fit.

A replay in the process of the fit proves little. A plug-in that keeps a statistic of its first data
in a module, a class or a cache finds it there, whatever data it is given next. So everything but
the outputs, the draws and the other data is made anew in a fresh process: the plug-in is imported
there by its name. What keeps patients' data outside of processes, as in files, is not seen.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.fresh_process import ProcessEndedError, in_fresh_process
from benchmark.core.laws import LawBrokenError
from benchmark.core.patches import Patches
from benchmark.privacy.neighbours import nobody
from benchmark.privacy.replay import (
    OTHER_MECHANISMS,
    Chosen,
    Draw,
    Moved,
    Output,
    Replayer,
)
from benchmark.privacy.subject import Subject

PRELOAD = (
    "torch",
    "torch._dynamo",
    "scipy.ndimage",
    "scipy.stats",
    "safetensors.torch",
    "benchmark.privacy.dpsgd.loops",
    "benchmark.privacy.mechanisms.lookup",
    "benchmark.privacy.fresh_replay",
)
"""Modules that take seconds to import, none of a plug-in."""

ANEW = "The law is: a fresh process can make a plug-in anew, so that replays find nothing kept"


@dataclass(frozen=True, kw_only=True)
class Feed:
    """Data for a replay, and the outputs that it is fed.

    Attributes:
        what: What the data are, for messages.
        patches: The data.
        outputs: The outputs of a fit on others.
        number: The number of that fit's noise source.
        places: Which unit is drawn where that fit drew one; ``None`` for the same.
    """

    what: str
    patches: Patches
    outputs: Sequence[Output | Chosen]
    number: int = 0
    places: NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True)
class Fed:
    """How a replay ended.

    Attributes:
        left: All that left, as bytes by name.
        events: Its draws and outputs, with the sums that it computed.
    """

    left: Mapping[str, bytes]
    events: Sequence[Draw | Output | Chosen]

    @property
    def outputs(self) -> list[Output | Chosen]:
        """Its outputs and choices, without the draws."""
        return [event for event in self.events if not isinstance(event, Draw)]


class Elsewhere:
    """A subject that will be replayed in a fresh process.

    Make it before the subject's first fit: whatever a fit leaves in the subject is then not sent.

    Args:
        subject: The subject.

    Raises:
        LawBrokenError: If it cannot be sent.
    """

    def __init__(self, subject: Subject) -> None:
        self._name = subject.name
        try:
            self._packed = pickle.dumps(replace(subject, patches=nobody(subject.patches)))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise self._lost(str(error)) from error

    def fed(self, feeds: Sequence[Feed]) -> list[Fed]:
        """Replay the subject on other data, in one process for all of them.

        Args:
            feeds: The data, in this order, and the outputs.

        Returns:
            How each ended; every one has used all outputs.

        Raises:
            LawBrokenError: If the process cannot make the subject, a fit ends otherwise than by
                leaving something, or it runs other mechanisms.
        """
        import torch

        threads = torch.get_num_threads()  # another number sums in another order
        try:
            found = in_fresh_process(_replayed, self._packed, feeds, threads, preload=PRELOAD)
        except ProcessEndedError as error:
            raise self._lost(str(error)) from error
        if isinstance(found, _CannotBeMade):
            raise self._lost(found.why)
        if isinstance(found, LawBrokenError):
            raise found
        return found

    def _lost(self, why: str) -> LawBrokenError:
        return LawBrokenError(
            f"{ANEW}; {self._name} cannot be made there ({why}); define its classes and functions "
            "at the top of a module that can be imported."
        )


class _CannotBeMade(NamedTuple):
    why: str


def _replayed(
    packed: bytes, feeds: Sequence[Feed], threads: int
) -> list[Fed] | _CannotBeMade | LawBrokenError:
    """In the fresh process: all replays, or what is wrong."""
    import torch

    torch.set_num_threads(threads)
    try:
        subject: Subject = pickle.loads(packed)  # noqa: S301  (this process's parent packed it)
    except Exception as error:  # whatever the import of a plug-in raises
        return _CannotBeMade(f"{type(error).__name__}: {error}")
    try:
        return [_fed(subject, feed) for feed in feeds]
    except LawBrokenError as error:
        return LawBrokenError(str(error))


def _fed(subject: Subject, feed: Feed) -> Fed:
    source = subject.source(feed.number)
    replayer = Replayer(source if feed.places is None else Moved(source, feed.places), feed.outputs)
    left = subject.left_by(feed.patches, replayer, feed.what)
    if not replayer.is_over:
        raise LawBrokenError(f"{subject.name}, on {feed.what}: {OTHER_MECHANISMS}")
    return Fed(left=left, events=replayer.events)
