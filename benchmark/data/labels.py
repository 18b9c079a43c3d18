"""Which values of a mask are vessels, and which say nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MaskLabels:
    """How a vessel mask's values are read.

    Attributes:
        vessels: Values that are vessel; every value above 0 if ``None``.
        ignored: Values that are neither vessel nor background, and are not scored.
    """

    vessels: frozenset[int] | None = None
    ignored: frozenset[int] = frozenset()
