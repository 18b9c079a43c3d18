"""The check that Python finds the project's own packages under their names.

They have plain names, and another distribution may have a package of the same name. Whichever is
first on the path is imported. Everything could then fail in odd ways, or find nothing at all.
"""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

OURS = ("benchmark", "generators", "segmenters", "federation", "leaderboard")


def check_packages() -> None:
    """Refuse to continue if Python would import another distribution's package instead of ours.

    Raises:
        ImportError: Naming the package, where it is, and what to do.
    """
    here = Path(__file__).resolve().parents[1]
    for name in OURS:
        found = _folder_of(find_spec(name))
        if found != here / name:
            where = f"found at {found}" if found else "missing"
            raise ImportError(
                f"The package {name!r} is {where}, and AngioBench's is at {here / name}: another "
                "distribution has a package of that name; install AngioBench in an environment of "
                "its own."
            )


def _folder_of(spec: ModuleSpec | None) -> Path | None:
    """Where a package lies, which may be a namespace without a file of its own."""
    places = [*(spec.submodule_search_locations or ())] if spec else []
    if places:
        return Path(places[0]).resolve()
    return Path(spec.origin).resolve() if spec and spec.origin else None
