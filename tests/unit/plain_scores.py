"""The scores of whole volumes, computed plainly: no crop, no shortcut, and nothing shared.

``benchmark.metrics`` must return the same numbers to the last bit. Of the two searches it takes the
same one, because they break ties between equally near voxels differently.
"""

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt
from scipy.spatial import KDTree
from skimage.morphology import skeletonize

FEW, RADII_MM = 1 / 20, (0.75, 1.5)
Spacing = tuple[float, float, float]


def plain_scores(prediction: np.ndarray, truth: np.ndarray, mm: Spacing) -> Mapping[str, object]:
    """All scores by their names."""
    hits, marked, vessel = (int(m.sum()) for m in (prediction & truth, prediction, truth))
    thin, medium, thick = _by_radius(prediction, truth, mm)
    return {
        "dice": 2 * hits / (marked + vessel) if marked + vessel else 1.0,
        "hd95_mm": _hausdorff95(prediction, truth, mm),
        "bavd_mm": _balanced(prediction, truth, mm),
        "cldice": _cldice(prediction, truth),
        "precision": hits / marked if marked else float(vessel == 0),
        "recall": hits / vessel if vessel else 1.0,
        "dice_thin": thin,
        "dice_medium": medium,
        "dice_thick": thick,
    }


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    places = np.argwhere(mask)
    return tuple(slice(a, b + 1) for a, b in zip(places.min(0), places.max(0), strict=True))


def plain_nearest(
    mask: np.ndarray, other: np.ndarray, mm: Spacing
) -> tuple[np.ndarray, np.ndarray]:
    """Distances and nearest voxels of all voxels of a mask."""
    box = _box(mask | other)
    one, two = mask[box], other[box]
    if one.sum() + two.sum() < FEW * one.size:
        voxels = np.argwhere(two)
        distance, index = KDTree(voxels * mm).query(np.argwhere(one) * mm)
        voxel = voxels[index]
    else:
        field, place = distance_transform_edt(~two, sampling=mm, return_indices=True)
        distance, voxel = field[one], place[:, one].T
    return distance, voxel + [side.start for side in box]


def _extent(truth: np.ndarray, mm: Spacing) -> float:
    return float(np.linalg.norm(np.multiply(truth.shape, mm)))


def _hausdorff95(prediction: np.ndarray, truth: np.ndarray, mm: Spacing) -> float:
    if not (prediction.any() and truth.any()):
        return _extent(truth, mm) if prediction.any() or truth.any() else 0.0
    one, other = (mask & ~binary_erosion(mask) for mask in (prediction, truth))
    both = plain_nearest(one, other, mm)[0], plain_nearest(other, one, mm)[0]
    return max(float(np.percentile(distance, 95)) for distance in both)


def _balanced(prediction: np.ndarray, truth: np.ndarray, mm: Spacing) -> float:
    if not (prediction.any() and truth.any()):
        return _extent(truth, mm) if prediction.any() or truth.any() else 0.0
    both = plain_nearest(truth, prediction, mm)[0], plain_nearest(prediction, truth, mm)[0]
    return float(sum(distance.sum() for distance in both) / (2 * truth.sum()))


def _line(mask: np.ndarray) -> np.ndarray:
    line = np.zeros_like(mask)
    if mask.any():
        line[_box(mask)] = skeletonize(mask[_box(mask)])
    return line


def _cldice(prediction: np.ndarray, truth: np.ndarray) -> float:
    if not (prediction.any() and truth.any()):
        return float(prediction.any() == truth.any())
    found, line = _line(prediction), _line(truth)
    precision = (found & truth).sum() / max(1, found.sum())
    sensitivity = (line & prediction).sum() / max(1, line.sum())
    total = precision + sensitivity
    return float(2 * precision * sensitivity / total) if total else 0.0


def _by_radius(prediction: np.ndarray, truth: np.ndarray, mm: Spacing) -> list[float | None]:
    if not truth.any():
        return [None, None, None]
    line, depth = _line(truth), np.zeros(truth.shape)
    inside = np.pad(truth, 1)
    rim = binary_dilation(inside) & ~inside
    depth[line] = plain_nearest(np.pad(line, 1), rim, mm)[0]
    radius = depth[tuple(plain_nearest(truth, line, mm)[1].T)] - min(mm) / 2
    calibre = np.zeros(truth.shape, np.uint8)
    calibre[truth] = 1 + np.digitize(radius, RADII_MM)
    false = prediction & ~truth
    of_false = calibre[tuple(plain_nearest(false, truth, mm)[1].T)]
    scores = []
    for kind in (1, 2, 3):
        mine = calibre == kind
        hits, missed = int(prediction[mine].sum()), int((~prediction[mine]).sum())
        wrong = missed + int((of_false == kind).sum())
        scores.append(2 * hits / (2 * hits + wrong) if hits + missed else None)
    return scores
