"""That the patches of a received release are those that each site of a deployment examined."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from benchmark.release.checks.files import Received
from benchmark.release.checks.layout import volumes_of
from benchmark.release.checks.volumes import VOXELS_AT, Member
from benchmark.release.contents.volumes import PIECE_BYTES
from benchmark.release.naming import names_of
from benchmark.release.statement import Statement


def sum_of_released(files: Received, statement: Statement) -> str:
    """Return the SHA-256 over all voxels, as ``sum_of_voxels`` takes it of patches.

    Args:
        files: What was received, in whose volumes no fault was found.
        statement: The release's.
    """
    samples, whole = statement.samples, hashlib.sha256()
    names = [names_of(samples, number) for number in range(1, volumes_of(samples) + 1)]
    for name in (*(one.image for one in names), *(one.mask for one in names)):
        with (files.folder / name).open("rb") as opened:
            member = Member(opened)
            member.read(VOXELS_AT)
            while piece := member.read(PIECE_BYTES):
                whole.update(piece)
    return whole.hexdigest()


def of_examined(files: Received, statement: Statement) -> Iterator[str]:
    """Yield a fault if the patches are others than those that the sites examined.

    Args:
        files: What was received, in whose volumes no fault was found.
        statement: The release's.
    """
    examined = statement.samples.voxels
    if examined is not None and sum_of_released(files, statement) != examined:
        yield "its patches are not those that its sites examined"
