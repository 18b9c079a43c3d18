"""The stamp that every header and picture of a release bears: its ε, or that it is not private."""

from __future__ import annotations

from benchmark.core.budget import delta_text, epsilon_text
from benchmark.release.seals import NOT_PRIVATE
from benchmark.release.statement import Statement


def stamp_of(statement: Statement) -> str:
    """Return the stamp: ASCII of at most 79 characters.

    Args:
        statement: The release's.
    """
    if not statement.is_private:
        return f"SYNTHETIC, {NOT_PRIVATE}"
    held = statement.guarantee
    epsilon, delta = epsilon_text(held.epsilon), delta_text(held.delta)
    return f"SYNTHETIC eps={epsilon} delta={delta} unit={held.unit}"
