"""Messages for names that do not exist; they suggest the nearest name that does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(kind: str, name: str, names: Iterable[str]) -> str:
    """Make the sentence for a name that does not exist.

    Args:
        kind: What such a thing is called.
        name: The name that was asked for.
        names: Those that exist.

    Returns:
        A sentence with the nearest name, if one is near, and all names.

    Examples:
        >>> unknown("segmenter", "unett", ["frangi", "unet"])
        "No segmenter is called 'unett'. Did you mean 'unet'? There are: frangi, unet."
    """
    known = list(names)
    return (
        f"No {kind} is called {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}."
    )


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Make the question that follows a misspelt name.

    Args:
        name: The name that was asked for.
        names: Those that exist.

    Returns:
        A space and a question with the nearest name; empty if none is near.

    Examples:
        >>> did_you_mean("unett", ["frangi", "unet"])
        " Did you mean 'unet'?"
    """
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
