"""The key of a description that says what its volumes are: heads, or stacks of patches.

A released data set holds patches, a volume's slices being one independent patch each. Such a volume
has no skull, no air and no neighbouring slices, so no brain can be found in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VOLUMES_ARE = "volumes_are"
STACKS = "stacks of patches"
STACKS_ARE_BRAIN = (
    "the description says that its volumes are stacks of patches, so all of each counts as brain."
)


def are_stacks(said: Mapping[str, Any]) -> bool:
    """Tell whether a description says that its volumes are stacks of patches.

    Args:
        said: The description.

    Raises:
        ValueError: For a value that is not known.
    """
    value = said.get(VOLUMES_ARE)
    if value not in (None, STACKS):
        raise ValueError(f"{VOLUMES_ARE} is {value!r}; the one known value is {STACKS!r}")
    return value == STACKS
