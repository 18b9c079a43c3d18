"""An estimate of the rest of a sweep's duration, from the cells that have ended."""

from __future__ import annotations

import time
from collections.abc import Callable


class Remaining:
    """Counts cells, and estimates when the last one ends.

    It assumes that every waiting cell takes the mean time of those that ran. It also assumes that
    as many run side by side as ever did. The estimate is rough where cells differ much.

    Args:
        cells: How many are to run.
        clock: Returns monotonic seconds.
    """

    def __init__(self, cells: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.cells, self.ended = cells, 0
        self._clock = clock
        self._began: dict[str, float] = {}
        self._took, self._ran = 0.0, 0
        self._beside = 1

    def begin(self, key: str) -> None:
        """Record that a cell runs. Repeated calls change nothing."""
        self._began.setdefault(key, self._clock())
        self._beside = max(self._beside, len(self._began))

    def end(self, key: str) -> None:
        """Record that a cell has ended. One that never began is not part of the mean."""
        self.ended = min(self.cells, self.ended + 1)
        if key in self._began:
            self._took += self._clock() - self._began.pop(key)
            self._ran += 1

    @property
    def seconds(self) -> float | None:
        """The estimated rest in seconds; ``None`` before a cell that ran has ended."""
        if not self._ran:
            return None
        mean = self._took / self._ran
        begun = sum(min(mean, self._clock() - start) for start in self._began.values())
        return (mean * (self.cells - self.ended) - begun) / self._beside

    @property
    def words(self) -> str:
        """The count and the estimate, such as ``2 of 8, about 12 min left``."""
        count = f"{self.ended} of {self.cells}"
        if self.seconds is None or self.ended == self.cells:
            return count
        return f"{count}, about {in_words(self.seconds)} left"


def in_words(seconds: float) -> str:
    """Write a duration, rounded up as an estimate may be.

    Examples:
        >>> [in_words(s) for s in (12, 95, 3700)]
        ['20 s', '2 min', '1 h 2 min']
    """
    if seconds < 60:
        return f"{-int(-seconds // 10) * 10 or 10} s"
    minutes = -int(-seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
