"""How large the numbers of a request may be: beyond, they are slips or attacks, and are refused."""

from __future__ import annotations

from benchmark.core.errors import UsageError

SEEDS = (1, 10_000)
FIRST_SEED = (0, 2**31 - 1)
EPSILONS = (1e-6, 1e6)
"""Finite ones: below, no noise is enough; above, none is left."""

SITES = (0, 1_000)
JOBS = (0, 1_024)
ROUNDS = (1, 10_000_000)
PHANTOMS = (1, 100_000)
LEVELS = (1, 1_000)
PATIENTS = (1, 100_000_000)
TRIALS = (1, 100_000)
LARGEST_LIMIT = 1e9
"""Seconds, or GiB: about thirty years, and less than what the waits of Python and Ray can count."""

CANARIES = (0, 10_000)
RELEASED = (1, 1_000_000)
STACKED = (1, 10_000)
"""The patches of a release, and those of one of its volumes."""

SHOWN = 200
"""Characters of a wrong value that a message repeats."""


def within(name: str, value: float, bounds: tuple[float, float]) -> None:
    """Refuse a number outside of its bounds.

    Args:
        name: Of the option, as a user writes it.
        value: The number.
        bounds: The least and the most that it may be.

    Raises:
        UsageError: With the name, the law and the value.

    Examples:
        >>> within("--sites", 10**9, SITES)
        Traceback (most recent call last):
        benchmark.core.errors.UsageError: Expected --sites in [0, 1000], got 1000000000.
    """
    low, high = bounds
    if not low <= value <= high:
        raise UsageError(f"Expected {name} in [{low:g}, {high:.10g}], got {shortened(value)}.")


def limit(name: str, value: float) -> None:
    """Refuse a limit on time or memory that none can be.

    Args:
        name: Of the option, as a user writes it.
        value: Seconds, or GiB.

    Raises:
        UsageError: With the name, the law, the value and the remedy.
    """
    if not 0 < value <= LARGEST_LIMIT:
        raise UsageError(
            f"Expected {name} above 0 and at most {LARGEST_LIMIT:.0f}, got {value:g}; leave it out "
            "for its default."
        )


def shortened(value: object) -> str:
    """Make a text of a value for a message, of a bounded length."""
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
