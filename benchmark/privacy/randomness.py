"""The sources of private noise and of Poisson draws.

A guarantee holds against anyone who can guess neither. The draws must be as secret as the noise,
because sampling amplifies privacy only while it is unknown who was drawn. A release takes both from
the operating system. A benchmark may seed both to repeat a run, and its guarantee says so.

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
from benchmark.privacy.mechanisms.own_laws import choice_law, noise_law

_FEW = 1024
"""Up to this many words, the operating system is faster than setting up a cipher."""


class SeededNoise:
    """Repeatable noise: two independent streams, for batches and for noise, from one key.

    Args:
        *key: What distinguishes this stream from others, such as seed, purpose and run key. ``1``
            and ``"1"`` are two keys, and so are ``("ab", "c")`` and ``("a", "bc")``.

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
        """Draw indices below ``n``, ascending; each enters independently with probability ``rate``.

        Raises:
            ValueError: For a rate outside [0, 1].
        """
        _check_rate(rate)
        return np.flatnonzero(self._batches.random(n) < rate)

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """Return a mechanism's sums, in steps of the grid, plus noise of the grid's law.

        Raises:
            PlugInError: If the law is not one of the suite's own (``mechanisms.own_laws``).
        """
        found = noise_law(grid).draw(len(sums), self._noise.bit_generator.random_raw)
        return np.add(found, sums, out=found)

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """Choose one of a mechanism's sums by the choice's law, and return its index.

        Raises:
            PlugInError: If the law is not one of the suite's own.
        """
        return choice_law(choice).draw(sums, self._noise.bit_generator.random_raw)

    def state(self) -> dict[str, str]:
        """Return the states of both streams."""
        return {"batches": state_of(self._batches), "noise": state_of(self._noise)}

    def restore(self, state: Mapping[str, str]) -> None:
        """Set both streams back to an earlier state."""
        restore(self._batches, state["batches"])
        restore(self._noise, state["noise"])


class SystemNoise:
    """Noise from the operating system's cryptographic source; no seed, no state, safe to fork.

    Guarantees:
        * A unit enters with a probability of at most ``rate``, and at least ``rate`` - 2^-64.
        * Noise follows the grid's law, exactly or up to a negligible error
          (``mechanisms.discrete``). Its bits come from the system. Where thousands of words are
          needed, they come from AES-256 under a fresh key of such bits, which is ten times as fast.
          No float is involved. Telling these words from random bits would mean breaking AES; the
          system's own source depends on such a cipher too.
    """

    seeded = False

    def poisson(self, n: int, rate: float) -> NDArray[np.int64]:
        """Draw indices below ``n``, ascending; each enters independently with probability ``rate``.

        Raises:
            ValueError: For a rate outside [0, 1].
        """
        _check_rate(rate)
        if rate == 1:
            return np.arange(n, dtype=np.int64)
        return np.flatnonzero(_words(n) < np.uint64(int(rate * 2.0**64)))

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """Return a mechanism's sums, in steps of the grid, plus noise of the grid's law.

        Raises:
            PlugInError: If the law is not one of the suite's own (``mechanisms.own_laws``).
        """
        found = noise_law(grid).draw(len(sums), _words)
        return np.add(found, sums, out=found)

    def chosen(self, sums: Integers, choice: Choice) -> int:
        """Choose one of a mechanism's sums by the choice's law, and return its index.

        Raises:
            PlugInError: If the law is not one of the suite's own.
        """
        return choice_law(choice).draw(sums, _words)

    def state(self) -> None:
        """Return ``None``, because this noise cannot be repeated."""

    def restore(self, state: Mapping[str, str]) -> None:
        """Refuse, always. The same noise with another batch would reveal the difference.

        Raises:
            ValueError: Always.
        """
        raise ValueError("Noise from the operating system cannot be repeated.")


def state_of(rng: np.random.Generator) -> str:
    """Return the state of a NumPy generator as JSON."""
    return json.dumps(rng.bit_generator.state, default=lambda numbers: numbers.tolist())


def restore(rng: np.random.Generator, state: str) -> None:
    """Set a NumPy generator back to a state from ``state_of``."""
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
    """Return bytes of AES-256 in counter mode (NIST SP 800-38A, section 6.5).

    Args:
        secret: 48 bytes, used once: the key, then the counter's first value.
        count: How many bytes.
    """
    cipher = Cipher(algorithms.AES(secret[:32]), modes.CTR(secret[32:]))
    return cipher.encryptor().update(bytes(count))
