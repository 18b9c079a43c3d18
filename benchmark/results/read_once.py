"""A store whose results are read once: what ends a sweep asks for each of them several times.

Reading a result checks its seal and every field, which takes about a millisecond. While cells run,
nothing is kept, so that a sweep of many cells needs no more memory than one of few.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmark.results.result import Result
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store


@dataclass(frozen=True)
class ReadOnce(Store):
    """A store that keeps the results that it has read, if it is told to.

    A finished result never changes. One that is missing is looked for again each time.
    """

    _kept: dict[str, Result] = field(default_factory=dict, compare=False, repr=False)
    _keeps: list[bool] = field(default_factory=lambda: [True], compare=False, repr=False)

    def result(self, spec: RunSpec) -> Result | None:
        """Return the cell's result, as ``Store.result`` does."""
        if spec.key in self._kept:
            return self._kept[spec.key]
        found = super().result(spec)
        if found is not None and self._keeps[0]:
            self._kept[spec.key] = found
        return found

    def keep(self, keeps: bool) -> None:
        """Keep what is read from now on, or forget everything and keep nothing.

        Args:
            keeps: Whether to keep it.
        """
        self._keeps[0] = keeps
        if not keeps:
            self._kept.clear()
