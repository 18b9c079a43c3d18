"""BIDS names: ``key-value`` pairs and a suffix, joined by ``_``.

Keys and values are letters and digits; a value may hold ``+``. ``run-1`` and ``run-01`` are one
index, ``ses-1`` and ``ses-10`` are two labels. Source: BIDS specification, "Common principles", and
its schema, ``objects/formats.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import NamedTuple

from benchmark.core.errors import DataError, UsageError
from benchmark.data.layouts.listing import stem

INDICES = frozenset({"run", "echo", "flip", "inv", "split", "chunk"})
"""Entities whose values are numbers; those of all others are labels."""

ORDER = ("sub", "ses", "run", "acq")
"""The entities by which the acquisitions of a patient are sorted first."""

DERIVATIVES = "derivatives"
FOLDERS = ("sub", "ses")

_PAIR = re.compile(r"([A-Za-z0-9]+)-([A-Za-z0-9+]+)")


class BidsName(NamedTuple):
    """A parsed BIDS name.

    Attributes:
        entities: Value by key, in the name's order; those of folders come first.
        suffix: The last part, such as ``angio``; empty if the name ends with an entity.
        extension: With its dot, as it is written.
        words: Parts that are neither entity nor suffix; BIDS has none, pipelines add some.
    """

    entities: Mapping[str, str]
    suffix: str
    extension: str
    words: tuple[str, ...] = ()

    @property
    def acquisition(self) -> str:
        """What distinguishes it from the patient's others, such as ``ses-1_run-2_angio``."""
        pairs = [f"{key}-{value}" for key, value in self.entities.items() if key != "sub"]
        return "_".join([*pairs, self.suffix])


def parse(path: PurePath) -> BidsName:
    """Parse a path below the cohort's root.

    Raises:
        DataError: For a part that is not an entity, a repeated entity, or a folder and a name that
            disagree.

    Examples:
        >>> parse(PurePath("sub-01/ses-2/anat/sub-01_run-1_angio.nii.gz")).acquisition
        'ses-2_run-1_angio'
    """
    name = stem(path)
    entities, words = _split(name, f"{path}: ")
    placed = _of_folders(path)
    for key, value in placed.items():
        if entities.get(key, value) != value:
            raise DataError(
                f"{path}: the folder says {key}-{value} and the name {key}-{entities[key]}; "
                "they must agree."
            )
    suffix = words.pop() if "-" not in name.rsplit("_", 1)[-1] else ""
    return BidsName({**placed, **entities}, suffix, path.name[len(name) :], tuple(words))


def requested(acquisition: str | None) -> BidsName:
    """Parse the acquisition that a user asks for, such as ``ses-2_run-1``.

    Args:
        acquisition: The text; ``None`` or an empty one matches everything.

    Raises:
        UsageError: For anything that is not made of entities and a suffix.
    """
    if not acquisition:
        return BidsName({}, "", "")
    try:
        entities, words = _split(acquisition, "")
    except DataError as error:
        raise UsageError(
            f"Expected an acquisition like ses-2_run-1, got {acquisition!r}."
        ) from error
    if len(words) > 1:
        raise UsageError(f"Expected an acquisition like ses-2_run-1, got {acquisition!r}.")
    return BidsName(entities, words[0] if words else "", "")


def same(key: str, one: str, other: str) -> bool:
    """Tell whether two values of an entity are equal; those of indices are compared as numbers."""
    if key in INDICES and one.isdecimal() and other.isdecimal():
        return int(one) == int(other)
    return one == other


def matches(name: BidsName, wanted: BidsName) -> bool:
    """Tell whether a name has all wanted entities, and the wanted suffix if there is one."""
    agree = all(
        key in name.entities and same(key, name.entities[key], value)
        for key, value in wanted.entities.items()
    )
    return agree and wanted.suffix.lower() in ("", name.suffix.lower())


def order(name: BidsName) -> tuple[object, ...]:
    """Return a sort key: by session, run and acquisition, then by all other entities.

    Numbers are sorted by their value.
    """
    others = sorted(key for key in name.entities if key not in ORDER)
    first = [natural(name.entities.get(key, "")) for key in ORDER]
    return (*first, [(key, natural(name.entities[key])) for key in others], name.suffix)


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts ``2`` before ``10`` and digits before letters."""
    parts = re.findall(r"\d+|\D+", text)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def _split(name: str, place: str) -> tuple[dict[str, str], list[str]]:
    entities: dict[str, str] = {}
    words = []
    for part in name.split("_"):
        pair = _PAIR.fullmatch(part)
        if pair is None and "-" in part:
            law = "key-value of letters and digits"
            raise DataError(f"{place}{part!r} is no BIDS entity ({law}); rename the file.")
        if pair is None:
            words.append(part)
        elif pair[1] in entities:
            raise DataError(f"{place}the entity {pair[1]!r} is there twice; rename the file.")
        else:
            entities[pair[1]] = pair[2]
    return entities, words


def _of_folders(path: PurePath) -> dict[str, str]:
    """What folders say; a pipeline's own name is no entity, unless it could be a folder's."""
    pairs = [pair for folder in path.parts[:-1] if (pair := _PAIR.fullmatch(folder))]
    keys = (*FOLDERS, *ORDER) if path.parts[0] == DERIVATIVES else FOLDERS
    return {pair[1]: pair[2] for key in keys for pair in pairs if pair[1] == key}
