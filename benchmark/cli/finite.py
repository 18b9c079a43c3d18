"""The type of options that take a number with a fraction.

``click.FloatRange`` compares a number with its bounds, and no comparison refuses NaN.
"""

from __future__ import annotations

import math
from typing import Any

import click

from benchmark.core.bounds import LARGEST_LIMIT
from benchmark.core.errors import UsageError


class Finite(click.FloatRange):
    """A finite number within bounds: see ``click.FloatRange``."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the number.

        Args:
            value: As it was typed, or a default.
            param: The option.
            ctx: The command's context.

        Raises:
            UsageError: If it is NaN or infinite.
            click.BadParameter: If it is no number, or out of bounds.
        """
        if _is_number(value) and not math.isfinite(float(value)):
            name = param.opts[0] if param else "the value"
            raise UsageError(
                f"Expected {name} to be a finite number, got {value}; leave it out for its default."
            )
        return float(super().convert(value, param, ctx))


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


LIMIT = Finite(min=0, min_open=True, max=LARGEST_LIMIT)
"""Seconds, or GiB."""
