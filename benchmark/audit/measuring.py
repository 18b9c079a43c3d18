"""The exact laws of what a fit shows, whichever kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.audit import laws, release_laws
from benchmark.core.workings import PrivateGame, Shown


def measured(shown: Shown) -> dict[str, str]:
    """Measure the exact laws on what a fit shows.

    Args:
        shown: The game or the release.

    Returns:
        For each law a sentence where it is broken, else empty.
    """
    of_its_kind: Mapping[str, Any] = (
        laws.LAWS if isinstance(shown, PrivateGame) else release_laws.LAWS
    )
    return {name: law(shown, shown.guarantee) for name, law in of_its_kind.items()}
