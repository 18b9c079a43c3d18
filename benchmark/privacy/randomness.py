"""Where the private noise and the Poisson draws come from.

A guarantee holds against whoever cannot guess either: the draws are as secret as the noise, since
sampling amplifies privacy only while it is unknown who was drawn. A release takes both from the
operating system; a benchmark may seed both to repeat a run, and says so.

Both sources follow :class:`benchmark.core.mechanism.Noise`, and turn random words into noise in the
same way (``mechanisms.discrete``).
"""

import hashlib
import json
import os
from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from benchmark.core.mechanism import Choice, Grid, Integers

_FEW = 1024
"""Words that the operating system hands out faster than a cipher is set up."""


class SeededNoise:
    """Repeats itself: two independent streams, for batches and for noise, from one key.

    Args:
        *key: What tells this stream from others, say seed, purpose and run key. ``1`` and ``"1"``
            are two keys, and so are ``("ab", "c")`` and ``("a", "bc")``.

    Raises:
        ValueError: For an empty key.
    """

    seeded = True

    def __init__(self, *key: int | str) -> None:
        if not key:
            raise ValueError("Expected a key of at least one part, got none.")
        self._batches = _stream(*key, "batches")
        self._noise = _stream(*key, "noise")

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """Draws indices below ``n``, ascending; each enters independently with ``rate``.

        Raises:
            ValueError: For a rate outside [0, 1].
        """
        _check_rate(rate)
        return np.flatnonzero(self._batches.random(n) < rate)

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """A mechanism's sums, in steps of the grid, plus noise of the grid's law."""
        found = grid.law.draw(len(sums), self._noise.bit_generator.random_raw)
        return np.add(found, sums, out=found)

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """The index of one of a mechanism's sums, in steps of the grid, by the choice's law."""
        return choice.law.draw(sums, self._noise.bit_generator.random_raw)

    def state(self) -> dict[str, str]:
        """Where both streams stand."""
        return {"batches": state_of(self._batches), "noise": state_of(self._noise)}

    def restore(self, state: Mapping[str, str]) -> None:
        """Goes back to where both streams stood."""
        restore(self._batches, state["batches"])
        restore(self._noise, state["noise"])


class SystemNoise:
    """Draws from the operating system's cryptographic source; no seed, no state, safe to fork.

    Guarantees:
        * A unit enters with a probability of at most ``rate``, and at least ``rate`` - 2^-64.
        * Noise is made by the grid's law, exact or as good as exact (``mechanisms.discrete``), from
          the system's bits, or where it needs thousands of words from AES-256 under a fresh key of
          such bits, ten times as fast; no float is in it. Whoever could tell that from random bits
          would have broken AES; the system's own source rests on such a cipher too.
    """

    seeded = False

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """Draws indices below ``n``, ascending; each enters independently with ``rate``.

        Raises:
            ValueError: For a rate outside [0, 1].
        """
        _check_rate(rate)
        if rate == 1:
            return np.arange(n, dtype=np.int64)
        return np.flatnonzero(_words(n) < np.uint64(int(rate * 2.0**64)))

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """A mechanism's sums, in steps of the grid, plus noise of the grid's law."""
        found = grid.law.draw(len(sums), _words)
        return np.add(found, sums, out=found)

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """The index of one of a mechanism's sums, in steps of the grid, by the choice's law."""
        return choice.law.draw(sums, _words)

    def state(self) -> None:
        """Nobody can repeat it."""

    def restore(self, state: Mapping[str, str]) -> None:
        """Refused, always: the same noise with another batch would betray the difference."""
        raise ValueError("Noise from the operating system cannot be repeated.")


def state_of(rng: np.random.Generator) -> str:
    """Where a generator stands, as JSON."""
    return json.dumps(rng.bit_generator.state, default=lambda numbers: numbers.tolist())


def restore(rng: np.random.Generator, state: str) -> None:
    """Goes back to where a generator stood."""
    rng.bit_generator.state = json.loads(state)


def _stream(*key: int | str) -> np.random.Generator:
    """A counter-based generator that is keyed with the SHA-256 of all parts."""
    digest = hashlib.sha256(json.dumps(key).encode()).digest()
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(list(digest))))


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise ValueError(f"Expected rate in [0, 1], got {rate}.")


def _words(n: int) -> NDArray[np.uint64]:
    """Returns ``n`` random 64-bit words: the system's own, or many of them from its key."""
    made = os.urandom(8 * n) if n <= _FEW else keystream(os.urandom(48), 8 * n)
    return np.frombuffer(made, np.uint64)


def keystream(secret: bytes, count: int) -> bytes:
    """So many bytes of AES-256 in counter mode (NIST SP 800-38A, section 6.5).

    Args:
        secret: 48 bytes, used once: the key, then the counter's first value.
        count: How many.
    """
    cipher = Cipher(algorithms.AES(secret[:32]), modes.CTR(secret[32:]))
    return cipher.encryptor().update(bytes(count))
