"""The meaning of a segmentation's labels: vessel, ignored, or neither."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import DataError

MOST_VESSELS = 64
"""The most labels above 0 without a description. More of them are probabilities, or another
atlas."""

MOST_LABELS = 256
"""The most classes of a segmentation. An image in the place of a mask has more."""

TOLERANCE = 1e-3 + float(np.spacing(np.float32(MOST_LABELS)))
"""How far a label may be from a whole number: 1e-3, and the rounding of float32."""


@dataclass(frozen=True)
class MaskLabels:
    """The labels that mean vessels, and those that are ignored.

    Attributes:
        vessels: Labels of vessels; ``None`` for all above 0 that are not ignored.
        ignored: Labels of voxels that count neither as vessel nor as background.
        others: Labels that are described as something else; ``None`` where they need not be.
    """

    vessels: frozenset[int] | None = None
    ignored: frozenset[int] = frozenset()
    others: frozenset[int] | None = field(default=None, compare=False)


EVERY_LABEL = MaskLabels()
"""The meaning without a description: every label above 0 is a vessel."""


class Classified(NamedTuple):
    """The voxels of a segmentation by the meaning of their labels.

    Attributes:
        vessels: bool, in the segmentation's shape.
        ignored: bool, in the same shape; ``None`` where no label is ignored.
        notes: What is odd but can still be read.
    """

    vessels: NDArray[np.bool_]
    ignored: NDArray[np.bool_] | None
    notes: tuple[str, ...] = ()


def classified(
    path: Path, values: NDArray[Any], labels: MaskLabels, *, scaling: str = ""
) -> Classified:
    """Classify voxels by their labels.

    Args:
        path: The file, for messages.
        values: The labels, ``(X, Y, Z)``.
        labels: What they mean.
        scaling: How the header scaled them, for messages.

    Raises:
        DataError: For values that are not labels, and for labels without a background of 0.
    """
    _check_labels(path, values)
    notes = _check_background(path, values, scaling)
    vessels = np.empty_like(values, bool)
    ignored = np.empty_like(values, bool) if labels.ignored else None
    seen = np.zeros(MOST_LABELS + 1, bool)
    for z in range(values.shape[2]):  # slice by slice, since isin takes eight bytes a voxel
        whole = _whole(values[..., z])
        marked = whole[whole != 0].astype(np.uint16)
        seen |= np.bincount(marked, minlength=len(seen)) > 0
        vessels[..., z] = _is_vessel(whole, labels)
        if ignored is not None:
            ignored[..., z] = np.isin(whole, list(labels.ignored))
    _check_seen(path, np.flatnonzero(seen[1:]) + 1, labels)
    return Classified(vessels, ignored, notes)


def _check_seen(path: Path, seen: NDArray[np.int64], labels: MaskLabels) -> None:
    """Refuses labels that the description leaves out, and too many that nobody describes."""
    if labels.vessels is None:
        if len(seen) > MOST_VESSELS:
            raise DataError(
                f"{path}: the mask has {len(seen)} different labels above 0, and {MOST_VESSELS} at "
                "most can all be vessels; are they probabilities, or another structure's? Write 1 "
                "where a vessel is."
            )
        return
    if labels.others is None:
        return
    described = labels.vessels | labels.ignored | labels.others
    unknown = sorted({*seen.tolist()} - described)
    if unknown:
        raise DataError(
            f"{path}: the mask holds the label {unknown[0]}, and dataset.json describes "
            f"{', '.join(map(str, sorted(described - {0})))} alone; describe it, or mend the mask."
        )


def _is_vessel(whole: NDArray[Any], labels: MaskLabels) -> NDArray[np.bool_]:
    if labels.vessels is not None:
        return np.isin(whole, list(labels.vessels - labels.ignored))
    if not labels.ignored:
        return np.asarray(whole > 0)
    return np.asarray((whole > 0) & ~np.isin(whole, list(labels.ignored)))


def _whole(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype.kind in "iub" else np.rint(values).astype(np.int64)


def _check_labels(path: Path, values: NDArray[Any]) -> None:
    low, high = values.min().item(), values.max().item()
    offending = _offending(values)
    wide = not high - low < MOST_LABELS - 1 + 2 * TOLERANCE
    if offending is None and not wide:
        return
    shown = high if offending is None else offending
    law = f"a mask holds labels, whole numbers from 0 to {MOST_LABELS - 1}"
    if wide and low == low:
        raise DataError(
            f"{path}: this is an image (values from {low:g} to {high:g}), not a mask; it holds "
            f"{shown:g}, and {law}."
        )
    raise DataError(f"{path}: this is no mask: it holds {shown:g}; {law}.")


def _offending(values: NDArray[Any]) -> float | None:
    """The first value that is no label: not whole, below 0, or no number."""
    if values.dtype.kind in "ub":
        return None
    for z in range(values.shape[2]):
        found = values[..., z]
        with np.errstate(invalid="ignore"):
            bad = ~(np.abs(found - np.rint(found)) <= TOLERANCE) | (found < -TOLERANCE)
        if bad.any():
            return float(found[bad][0])
    return None


def _check_background(path: Path, values: NDArray[Any], scaling: str) -> tuple[str, ...]:
    low, high = round(values.min().item()), round(values.max().item())
    if low == 0:
        return ()
    if low == high:
        return (f"every voxel is {low}, so the mask has no background.",)
    scaled = f", after {scaling}" if scaling else ""
    raise DataError(
        f"{path}: no voxel is 0, the background: the labels go from {low} to {high}{scaled}; "
        "write the mask with 0 where nothing is marked."
    )
