"""``dataset.json``: the description of an nnU-Net data set, in its forms 1 and 2.

Its labels are followed: those that mean vessels are vessel, ``ignore`` is neither vessel nor
background, everything else is background. An aneurysm is part of its artery and counts as vessel.
A key of AngioBench's own says that the volumes are stacks of patches, as those of a release are.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.core.errors import DataError
from benchmark.core.parsers import json_in
from benchmark.data.labels import MaskLabels
from benchmark.data.layouts.listing import SUFFIXES, stem
from benchmark.data.layouts.stacks import are_stacks
from benchmark.data.layouts.vocabulary import ANEURYSMS, Kind, is_generic, kind_of_label, tokens

DATASET = "dataset.json"
ANGIOGRAPHY = ("mra", "tof", "angio")
REMEDY = "name it 'vessel …', 'ignore' or 'tissue …'"


@dataclass(frozen=True)
class Description:
    """The content of a ``dataset.json``.

    Attributes:
        channel: The ending of the angiographies' names.
        listed: Image and label by case; empty where only the folders list the cases.
        labels: How the masks' values are read.
        holds_stacks: Whether the volumes are stacks of patches.
    """

    channel: str = "_0000"
    listed: Mapping[str, tuple[Path, Path]] = field(default_factory=dict)
    labels: MaskLabels = field(default_factory=MaskLabels)
    holds_stacks: bool = False


UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError),
    *(AttributeError, IndexError, RecursionError),
)


def read_description(root: Path) -> Description:
    """Read the folder's ``dataset.json``, or return the usual form where there is none.

    Raises:
        DataError: For a file that is no such description, or with a label that cannot be mapped.
    """
    path = root / DATASET
    if not path.exists():
        return Description()
    try:
        said = json_in(path)
        channel = _channel(said.get("channel_names") or said.get("modality") or {})
        ending = said.get("file_ending", SUFFIXES[0]).lower()
        listed = _listed(root, said, channel)
        values = _values(_labels_of(said))
        stacks = are_stacks(said)
    except UNREADABLE as error:
        raise DataError(f"{path}: this is no nnU-Net description ({error}).") from error
    if ending not in SUFFIXES:
        law = f"volumes must be NIfTI ({' or '.join(SUFFIXES)}); convert them"
        raise DataError(f"{path}: file_ending is {ending!r}; {law}.")
    try:
        return Description(channel, listed, _meanings(values), stacks)
    except DataError as fault:
        raise DataError(f"{path}: {fault}") from fault


def _labels_of(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """What it calls labels, if its key is no slip of the pen.

    Raises:
        ValueError: If it is.
    """
    slips = [] if "labels" in said else difflib.get_close_matches("labels", said, 1, 0.8)
    if slips:
        raise ValueError(f"it has {slips[0]!r} where 'labels' is expected")
    found: Mapping[str, Any] = said.get("labels") or {}
    return found


def _values(labels: Mapping[str, Any]) -> dict[str, frozenset[int]]:
    """The values of each name, of form 2 (``name: value or values``) or 1 (``value: name``).

    Raises:
        TypeError: For anything else.
        ValueError: For anything else.
    """
    found: dict[str, frozenset[int]] = {}
    single: dict[int, str] = {}
    for key, said in labels.items():
        is_first_form = isinstance(said, str) and key.strip().isdecimal()
        name, values = (said, key) if is_first_form else (key, said)
        several = values if isinstance(values, list) else [values]
        if any(isinstance(value, bool | float) for value in several):
            raise TypeError(f"the label {name!r} has the value {values!r}, which is no integer")
        numbers = frozenset(int(value) for value in several)
        found[name] = found.get(name, frozenset()) | numbers
        if not isinstance(values, list):
            (value,) = numbers
            if single.setdefault(value, name) != name:
                raise ValueError(f"{single[value]!r} and {name!r} have one value, {value}")
    return found


def _meanings(values: Mapping[str, frozenset[int]]) -> MaskLabels:
    if not values:
        return MaskLabels()
    named = {name: found for name, found in values.items() if found - {0}}
    kinds = {name: kind_of_label(name) for name in named}
    unnamed = [name for name, kind in kinds.items() if kind is Kind.UNNAMED]
    _check_background(values)
    if len(unnamed) == 1 and is_generic(unnamed[0]) and Kind.VESSEL not in kinds.values():
        kinds[unnamed[0]] = Kind.VESSEL
    elif unnamed:
        value = ", ".join(str(v) for v in sorted(named[unnamed[0]]))
        raise DataError(
            f"the label {unnamed[0]!r} ({value}) is known neither as a vessel nor as anything "
            f"else; {REMEDY}."
        )
    vessels = [name for name, kind in kinds.items() if kind is Kind.VESSEL]
    if not vessels or all(set(tokens(name)) & ANEURYSMS for name in vessels):
        raise DataError(
            f"none of the labels {', '.join(map(repr, named))} means vessels; name one 'vessel'."
        )
    return _sets(named, kinds)


def _check_background(values: Mapping[str, frozenset[int]]) -> None:
    for name, found in values.items():
        if 0 in found and kind_of_label(name) in (Kind.VESSEL, Kind.IGNORED):
            raise DataError(
                f"the label {name!r} has the value 0, which is background; give another."
            )


def _sets(named: Mapping[str, frozenset[int]], kinds: Mapping[str, Kind]) -> MaskLabels:
    def of(kind: Kind) -> frozenset[int]:
        return frozenset().union(*(named[name] for name in named if kinds[name] is kind))

    both = of(Kind.VESSEL) & of(Kind.IGNORED)
    if both:
        raise DataError(
            f"the label {min(both)} is both vessel and ignored; give each its own value."
        )
    others = of(Kind.OTHER) - of(Kind.VESSEL) - of(Kind.IGNORED)
    return MaskLabels(of(Kind.VESSEL), of(Kind.IGNORED), others)


def _channel(names: Mapping[str, str]) -> str:
    called = (n for n, name in names.items() if any(word in name.lower() for word in ANGIOGRAPHY))
    return f"_{int(next(called, 0)):04d}"


def _listed(root: Path, said: Mapping[str, Any], channel: str) -> dict[str, tuple[Path, Path]]:
    """The cases of ``dataset`` (nnU-Net 2) or ``training`` (1), whose images lack the channel."""
    found = {
        case: (
            _placed(root, files["images"][int(channel[1:])], "imagesTr"),
            _placed(root, files["label"], "labelsTr"),
        )
        for case, files in said.get("dataset", {}).items()
    }
    for files in said.get("training", ()):
        image = _with_channel(_placed(root, files["image"], "imagesTr"), channel)
        label = _placed(root, files["label"], "labelsTr")
        found[stem(label)] = (image, label)
    return found


def _placed(root: Path, said: str, folder: str) -> Path:
    """A listed file; of an absolute path of another machine, the name counts."""
    path = root / said.replace("\\", "/")
    is_absolute = path == Path(said) or said[1:2] == ":"
    is_here = path.exists() and path.is_relative_to(root)
    return root / folder / path.name if is_absolute and not is_here else path


def _with_channel(image: Path, channel: str) -> Path:
    with_channel = image.with_name(image.name.replace(stem(image), stem(image) + channel))
    return with_channel if with_channel.exists() else image
