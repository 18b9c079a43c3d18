"""The departure of a site's answers: at public times, not as soon as the work is done.

How long it takes to read volumes, cut patches or take a private step depends on patients. So an
answer leaves 1, 2, 4, 8, … slots after the question. The slot is a public number of the site's own,
longer than a round takes.
"""

from __future__ import annotations

import time

from benchmark.core.coarse import coarse

DEFAULT_SLOT_S = 10.0


class Departure:
    """The time at which the answer to one question leaves. It is made when the question arrives.

    Args:
        slot_s: The slot in seconds; 0 where nobody watches, and answers leave at once.
    """

    def __init__(self, slot_s: float) -> None:
        self._slot_s, self._asked = slot_s, time.monotonic()
        self._is_due = slot_s == 0

    def wait(self) -> None:
        """Wait until the answer may leave. Later calls return at once."""
        if self._is_due:
            return
        passed = time.monotonic() - self._asked
        time.sleep(max(0.0, coarse(passed, self._slot_s) - passed))
        self._is_due = True
