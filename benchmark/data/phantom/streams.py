"""Streams of randomness: each from (seed, purpose, patient) alone."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for; a number keeps its meaning for as long as the phantom's version."""

    HEAD = 1
    VESSELS = 2
    TISSUE = 3
    SCAN = 4


def stream(seed: int, purpose: Purpose, patient: int) -> np.random.Generator:
    """The generator of one purpose for one patient."""
    return np.random.default_rng(np.random.SeedSequence([seed, int(purpose), patient]))
