"""Random streams, each derived from seed, purpose and patient alone."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """The purpose of a stream. A number keeps its meaning for as long as the phantom's version."""

    HEAD = 1
    VESSELS = 2
    TISSUE = 3
    SCAN = 4


def stream(seed: int, purpose: Purpose, patient: int) -> np.random.Generator:
    """Return the random generator of one purpose for one patient."""
    return np.random.default_rng(np.random.SeedSequence([seed, int(purpose), patient]))
