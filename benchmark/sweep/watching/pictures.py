"""The pictures that a cell leaves: its synthetic patches, and the nearest patches of patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.core.patches import Patches

COLUMNS = 12
NEIGHBOURED = 6
SCALE = 2


def strip(patches: Patches, columns: int = COLUMNS) -> NDArray[np.uint8]:
    """Draw some images above their masks; patches with vessels come first.

    Args:
        patches: The patches.
        columns: How many are drawn.

    Returns:
        Grey pixels, uint8.
    """
    return tiles(patches, with_vessels(patches)[:columns])


def with_vessels(patches: Patches) -> NDArray[np.int64]:
    """Return the indices of all patches, those with vessels first."""
    return np.argsort(patches.masks.max((1, 2, 3)) == 0, kind="stable")


def tiles(patches: Patches, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Draw the chosen images above their masks.

    Args:
        patches: The patches.
        chosen: Their indices.

    Returns:
        Grey pixels, uint8.
    """
    images = (patches.images[chosen, 0] + 1) * 127.5
    masks = patches.masks[chosen, 0] * 255.0
    rows = [np.concatenate([np.pad(p, 1) for p in row], axis=1) for row in (images, masks)]
    return np.concatenate(rows).round().astype(np.uint8)


def neighbours(synthetic: Patches, real: Patches, columns: int = NEIGHBOURED) -> NDArray[np.uint8]:
    """Draw some synthetic patches, and below each the nearest real patch, all with masks.

    The distance is the Euclidean distance of the images.

    Args:
        synthetic: The synthetic patches.
        real: The patients' patches.
        columns: How many synthetic patches are drawn.

    Returns:
        Grey pixels, uint8, in four rows of tiles.
    """
    chosen = with_vessels(synthetic)[:columns]
    drawn = synthetic.images[chosen].reshape(len(chosen), -1)
    held = real.images.reshape(len(real.images), -1)
    squared = (held**2).sum(axis=1) - 2 * drawn @ held.T
    return np.concatenate([tiles(synthetic, chosen), tiles(real, squared.argmin(axis=1))])


def save_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write grey pixels as a picture, enlarged twofold."""
    picture = Image.fromarray(pixels)
    size = picture.width * SCALE, picture.height * SCALE
    picture.resize(size, Image.Resampling.NEAREST).save(path, optimize=True)
