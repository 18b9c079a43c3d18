"""The distance of synthetic vessel masks from real ones, by the shapes of the masks.

A Fréchet distance of images is blind to masks that are bright dots where vessels run. Here every
mask becomes six numbers (``NAMES``), logarithms where they have no upper end, each divided by its
standard deviation among the real masks. With X, X' real and Y, Y' synthetic the distance is the
energy coefficient (Székely and Rizzo 2013, doi 10.1016/j.jspi.2013.03.018, section 7),

    H = (2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖) / (2 E‖X − Y‖),

0 if both are alike and 1 if they have nothing in common. Real masks of two halves of one cohort are
not at 0 either: n masks have a distance of the order of 1/n by chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

Masks = NDArray[np.uint8]
Array = NDArray[np.float64]

NAMES = ("share", "pieces", "length", "calibre", "branchings", "straightness")
"""The six numbers: share of the pixels, number of pieces, pixels of the skeleton, mean width on it
in pixels, its branching pixels, and the skeleton's length over its pieces' extent."""

AROUND = np.ones((3, 3), np.int64)
LEAST_SPREAD = 1e-6


def mask_distance(real: Masks, synthetic: Masks) -> float:
    """Compute the energy coefficient of the shapes of two sets of masks.

    Args:
        real: ``(n, 1, H, W)`` in {0, 1}.
        synthetic: ``(m, 1, H, W)`` in {0, 1}.

    Returns:
        H in [0, 1]; 0 if both are alike.
    """
    theirs, ours = shapes(real), shapes(synthetic)
    scale = np.maximum(theirs.std(0), LEAST_SPREAD)
    theirs, ours = theirs / scale, ours / scale
    between = 2 * cdist(theirs, ours).mean()
    within = cdist(theirs, theirs).mean() + cdist(ours, ours).mean()
    return float(max(0.0, 1 - within / between)) if between > 0 else 0.0


def shapes(masks: Masks) -> Array:
    """Compute the shape numbers of each mask.

    Args:
        masks: ``(n, 1, H, W)`` in {0, 1}.

    Returns:
        ``(n, 6)`` in the order of ``NAMES``, with logarithms of the counts; all 0 for an empty
        mask.
    """
    n, size = len(masks), masks.shape[-1]
    sheet = _sheet(masks)
    patch = np.repeat(np.arange(n), size + 2)[:, None] * np.ones(sheet.shape[1], np.int64)
    skeleton = _skeleton(sheet)
    pieces, many = ndimage.label(sheet, AROUND)
    owner = np.zeros(many + 1, np.int64)
    owner[pieces] = patch
    width = 2 * ndimage.distance_transform_edt(sheet)[skeleton]
    beside = ndimage.convolve(skeleton.astype(np.int64), AROUND, mode="constant") - 1
    length = np.bincount(patch[skeleton], minlength=n)
    found = np.stack(
        [
            masks.reshape(n, -1).mean(1),
            np.log1p(np.bincount(owner[1:], minlength=n)),
            np.log1p(length),
            np.bincount(patch[skeleton], width, minlength=n) / np.maximum(length, 1),
            np.log1p(np.bincount(patch[skeleton & (beside > 2)], minlength=n)),
            length / np.maximum(_extents(pieces, owner, n), 1),
        ],
        axis=1,
    )
    return np.asarray(found, np.float64)


def _sheet(masks: Masks) -> NDArray[np.bool_]:
    """All masks below each other, a pixel of background around each."""
    padded = np.pad(masks[:, 0] > 0, ((0, 0), (1, 1), (1, 1)))
    return padded.reshape(-1, padded.shape[-1])


def _skeleton(sheet: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from skimage.morphology import skeletonize  # slow to import

    found = skeletonize(sheet)  # type: ignore[no-untyped-call]
    return np.asarray(found, np.bool_)


def _extents(pieces: NDArray[np.int32], owner: NDArray[np.int64], n: int) -> Array:
    """Of each mask, the diagonals of its pieces' boxes together."""
    boxes = ndimage.find_objects(pieces)
    diagonals = [np.hypot(*(side.stop - side.start for side in box)) for box in boxes]
    return np.asarray(np.bincount(owner[1:], diagonals, minlength=n), np.float64)
