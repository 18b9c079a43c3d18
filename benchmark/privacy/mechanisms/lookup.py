"""The loop that turns random words into numbers of a table, compiled for this processor.

It is a file of its own because numba keeps compiled code until the loop's own file changes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.privacy.jit import jit

SHIFT = np.uint64(49)
"""How far a word is shifted to leave the first 15 bits after its sign, which index the guide."""


@jit
def looked_up(
    words: NDArray[np.uint64],
    heads: NDArray[np.uint64],
    guide: NDArray[np.int32],
    factor: int,
    found: NDArray[np.int64],
) -> int:
    """Add ``factor`` times a number drawn from the table to each entry of ``found``.

    A word's last bit is the sign. The other bits, u, are uniform, and the magnitude is the first k
    whose head is at least u. Where head and u are equal, 63 bits do not decide: a tie.

    Returns:
        The number of ties.
    """
    ties = 0
    for i in range(len(words)):
        word = words[i]
        uniform = word >> np.uint64(1)
        k = np.int64(guide[np.int64(word >> SHIFT)])
        k += np.int64(heads[k] < uniform)  # for most words the only step: no branch to guess
        while heads[k] < uniform:
            k += 1
        ties += heads[k] == uniform
        sign = np.int64(1) - np.int64(2) * np.int64(word & np.uint64(1))
        found[i] += sign * factor * k
    return ties
