"""The strip of patches that a cell leaves: images above, masks below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.core.patches import Patches

COLUMNS = 12


def strip(patches: Patches, columns: int = COLUMNS) -> NDArray[np.uint8]:
    """Two rows of grey pixels: some images, and their masks; patches with vessels come first."""
    with_vessels = np.argsort(patches.masks.max((1, 2, 3)) == 0, kind="stable")
    chosen = with_vessels[:columns]
    images = (patches.images[chosen, 0] + 1) * 127.5
    masks = patches.masks[chosen, 0] * 255.0
    rows = [np.concatenate([np.pad(p, 1) for p in row], axis=1) for row in (images, masks)]
    return np.concatenate(rows).round().astype(np.uint8)


def save_strip(path: Path, patches: Patches) -> None:
    """Writes the strip, twice as large as it is."""
    picture = Image.fromarray(strip(patches))
    picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.NEAREST).save(path)
