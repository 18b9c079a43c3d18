"""``dataset_description.json`` and ``.bidsignore``: what a BIDS data set says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.core.files import read_json
from benchmark.data.layouts.stacks import are_stacks

DESCRIPTION = "dataset_description.json"
IGNORED = ".bidsignore"


@dataclass(frozen=True)
class BidsDescription:
    """The content of a ``dataset_description.json``, as far as it decides what is read.

    Attributes:
        is_derivative: Whether the data set is a derivative, so that masks lie beside images.
        holds_stacks: Whether the volumes are stacks of patches.
        faults: What is wrong with it.
    """

    is_derivative: bool = False
    holds_stacks: bool = False
    faults: tuple[DataError, ...] = ()


def read_bids_description(root: Path) -> BidsDescription:
    """Read a folder's description; one that is missing or damaged says nothing.

    Args:
        root: The folder.
    """
    path = root / DESCRIPTION
    said = read_json(path)
    is_derivative = str(said.get("DatasetType", "")).lower() == "derivative"
    try:
        return BidsDescription(is_derivative, are_stacks(said))
    except ValueError as error:
        return BidsDescription(is_derivative, faults=(DataError(f"{path}: {error}."),))


def passes_over(root: Path, folder: str) -> bool:
    """Tell whether a data set tells BIDS to pass a folder over.

    Args:
        root: The data set.
        folder: The folder's name.
    """
    try:
        lines = (root / IGNORED).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return folder in {line.strip().strip("/") for line in lines}
