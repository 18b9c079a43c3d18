"""A checkpoint that keeps what was seen of a fit, so that a killed fit's curves are the whole's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from benchmark.core.budget import Guarantee
from benchmark.core.workings import State
from benchmark.privacy.checkpoint import Checkpoint

SEEN = "seen"


class Seeing(Protocol):
    """What looks at a fit."""

    def seen(self) -> Mapping[str, Any]:
        """What is to be kept of it, as JSON can hold it."""

    def recall(self, said: Mapping[str, Any]) -> None:
        """Goes on from what was kept."""


class SeenCheckpoint(Checkpoint):
    """A checkpoint with what was seen until then.

    Args:
        path: The file.
        planned: The guarantee of the fit.
        counted: See ``Checkpoint``.
        by: Whose eyes; what an earlier process saw is told to them at once.
    """

    def __init__(
        self, path: Path, planned: Guarantee, counted: Path | None = None, *, by: Seeing
    ) -> None:
        super().__init__(path, planned, counted)
        self._by = by
        if self.state is not None:
            with suppress(KeyError, ValueError, TypeError):  # of an earlier version
                by.recall(self.state.facts[SEEN])

    def save(self, state: State) -> None:
        """See ``Checkpoint.save``."""
        super().save(state._replace(facts={**state.facts, SEEN: dict(self._by.seen())}))
