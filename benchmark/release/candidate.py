"""The patches that may leave a deployment: drawn once at the server, for every site to examine.

Another machine may draw other last digits from the same generator and seed. So the patches
themselves travel with the run's folder, rounded as the volumes of the release will have them.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core.bounds import FIRST_SEED, RELEASED, within
from benchmark.core.directory import kept_directory
from benchmark.core.errors import DataError, UsageError
from benchmark.core.generator import drawn
from benchmark.core.patches import Patches
from benchmark.release.contents.volumes import WHITE, stored, sum_of_voxels, unstored
from benchmark.release.refusals import not_private, of_the_run, refuse
from benchmark.release.source import Source

CANDIDATE = "candidate.safetensors"
LARGEST = 8 << 30
"""The most bytes of the file."""

IMAGES, MASKS, SEED = "images", "masks", "seed"


class Candidate:
    """The patches that may leave, and the seed that they were drawn with.

    Args:
        patches: The patches, rounded as volumes store them.
        seed: The seed of their latent draws.
    """

    def __init__(self, patches: Patches, seed: int) -> None:
        self.patches, self.seed = patches, seed

    @cached_property
    def voxels(self) -> str:
        """SHA-256 over all voxels."""
        return sum_of_voxels(self.patches)

    @property
    def said(self) -> tuple[int, int, str]:
        """Number, seed and voxels: what every site's consent must name."""
        return len(self.patches), self.seed, self.voxels


def draw_candidate(source: Source, *, patches: int, seed: int) -> Path:
    """Draw the patches that may leave a deployment, into the folder of its run.

    An earlier file is replaced, and consents to it hold no more.

    Args:
        source: The deployment's run.
        patches: How many.
        seed: Seeds their latent draws.

    Returns:
        The file.

    Raises:
        UsageError: If nothing of the run may leave, or a run on one machine needs no such file.
    """
    from safetensors.numpy import save_file

    if not source.is_deployed:
        raise UsageError(
            f"{source.folder}: its patients are at one place, where `bench release` examines what "
            "it draws; make the release."
        )
    within("--n", patches, RELEASED)
    within("--seed", seed, FIRST_SEED)
    refuse([*not_private(source), *of_the_run(source)])
    size = int(source.result.spec.protocol["patch_size"])
    with kept_directory():
        found = drawn(source.generator, patches, seed=seed, size=size)
    file, partial = source.folder / CANDIDATE, source.folder / f".{CANDIDATE}"
    arrays: dict[str, NDArray[Any]] = {IMAGES: stored(found.images), MASKS: np.array(found.masks)}
    save_file(arrays, partial, metadata={SEED: str(seed)})
    partial.replace(file)
    return file


def candidate_of(source: Source) -> Candidate:
    """Read the patches that may leave. They may come from anybody.

    Args:
        source: The deployment's run.

    Raises:
        UsageError: If there are none.
        DataError: If the file holds anything else.
    """
    file, size = source.folder / CANDIDATE, int(source.result.spec.protocol["patch_size"])
    if not file.is_file():
        raise UsageError(
            f"{file} is not there; the server draws the patches that may leave by `bench candidate "
            f"{source.folder.name}`, and sends the folder to every site."
        )
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        return _read(file, size)
    except MemoryError:
        raise
    except Exception as error:  # whatever bytes were sent
        why = str(error).rstrip(".").splitlines() or [type(error).__name__]
        raise DataError(
            f"{file}: these are no patches that may leave ({why[0][:200]}); ask the server for the "
            "folder anew."
        ) from error


def _read(file: Path, size: int) -> Candidate:
    from safetensors import safe_open

    with safe_open(file, framework="np") as opened:
        seed = int((opened.metadata() or {})[SEED])
        found: dict[str, Any] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    if found.keys() != {IMAGES, MASKS}:
        raise ValueError("it has other arrays than images and masks")
    images, masks = found[IMAGES], found[MASKS]
    if images.dtype != np.uint16 or images.ndim != 4 or images.shape[1:] != (1, size, size):
        raise ValueError(f"its images are not those of patches of {size} x {size} pixels")
    within("--n", len(images), RELEASED)
    within("--seed", seed, FIRST_SEED)
    if images.max() > WHITE:
        raise ValueError(f"its images have values above {WHITE}")
    return Candidate(Patches(images=unstored(images), masks=masks), seed)
