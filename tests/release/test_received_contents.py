"""What is sealed anew must still hold what the statement says: each law on its own."""

import gzip
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from releases import (
    COPY,
    IMAGE,
    MASK,
    Change,
    Said,
    changed,
    faults,
    png_of,
    put,
    released,
    says,
    volume_of,
    write,
)

from benchmark.core.sums import SUMS
from benchmark.release.seals import seal
from benchmark.release.statement import (
    CROISSANT,
    DOSSIER,
    DOSSIER_PDF,
    LICENCE,
    README,
    SHEET,
    STATEMENT,
    Statement,
)

pytestmark = pytest.mark.usefixtures("stand_ins")


def not_private(said: Said) -> None:
    said.update(claim="not private", reasons=["the noise was seeded"])


def resealed(change: Change) -> Change:
    def both(folder: Path) -> None:
        change(folder)
        seal(folder, private=True)

    return both


def stack(dtype: str, shape: tuple[int, ...] = (32, 32, 4), value: int = 1) -> Any:
    return np.full(shape, value, dtype)


def volume(name: str, content: Any, **more: Any) -> Change:
    return lambda folder: put(folder, name, volume_of(content, released(), **more))


def packed(name: str, change: Callable[[bytearray], object]) -> Change:
    """A volume with other bytes inside."""

    def made(folder: Path) -> None:
        content = bytearray(gzip.decompress((folder / name).read_bytes()))
        change(content)
        put(folder, name, gzip.compress(content, mtime=0))

    return made


def at(place: int, value: bytes) -> Callable[[bytearray], object]:
    def change(content: bytearray) -> None:
        content[place : place + len(value)] = value

    return change


def bomb(folder: Path) -> None:
    start = gzip.decompress((folder / MASK).read_bytes())
    put(folder, MASK, gzip.compress(start + bytes(1 << 28)))


def both(made: Callable[[bytes], bytes]) -> Change:
    """An image under both its names, made anew from what its file holds."""

    def change(folder: Path) -> None:
        content = made(gzip.decompress((folder / IMAGE).read_bytes()))
        put(folder, IMAGE, content)
        put(folder, COPY, content)

    return change


def repacked(content: bytes, level: int = 6, **more: Any) -> bytes:
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb", compresslevel=level, **more) as file:
        file.write(content)
    return made.getvalue()


def in_header(place: int, value: bytes) -> Change:
    def made(content: bytes) -> bytes:
        return repacked(
            content[:place] + value + content[place + len(value) :], filename="", mtime=0
        )

    return both(made)


def of_a_patient(content: bytes) -> bytes:
    """The same file with other voxels in its first slice."""
    slice_ = np.arange(32 * 32, dtype=np.uint16).tobytes()
    return repacked(content[:352] + slice_ + content[352 + len(slice_) :], filename="", mtime=0)


WORDS = "SYNTHETIC eps=1.999 delta=1e-05 unit=patient"
ANOTHER = "has another header than the suite writes"
IN_FRAME = "has a time, a name or a comment in its gzip frame"
SAME_BYTES = f"{COPY} has other bytes than {IMAGE}"
OF_CONTENTS: dict[str, tuple[Change, str]] = {
    "shape": (volume(IMAGE, stack("uint16", (32, 32, 5))), "has the shape (32, 32, 5)"),
    "size": (volume(IMAGE, stack("uint16", (16, 16, 4))), "has the shape (16, 16, 4)"),
    "type": (volume(IMAGE, stack("int16")), "is no plain NIfTI-1 file of uint16"),
    "mask's type": (volume(MASK, stack("int16")), "is no plain NIfTI-1 file of uint8"),
    "13 bits": (volume(IMAGE, stack("uint16", value=4096)), "has values above 4095"),
    "two labels": (volume(MASK, stack("uint8", value=2)), "has values above 1"),
    "spacing": (volume(IMAGE, stack("uint16"), mm=2.0), "has not pixels of 0.8 mm"),
    "words": (volume(MASK, stack("uint8"), descrip="me"), "does not bear the words 'SYNTHETIC"),
    "scaled": (packed(IMAGE, at(112, np.float32(2).tobytes())), "scales its values"),
    "extension": (packed(IMAGE, at(348, b"\x01")), "is no plain NIfTI-1 file"),
    "offset": (packed(IMAGE, at(108, np.float32(368).tobytes())), "is no plain NIfTI-1 file"),
    "huge": (packed(IMAGE, at(42, b"\xff\x7f" * 3)), "has the shape (32767, 32767, 32767)"),
    "truncated": (packed(IMAGE, lambda c: c.pop()), "ends before its last voxel"),
    "no header": (packed(IMAGE, lambda c: c.__delitem__(slice(100, None))), "is too short"),
    "longer": (packed(IMAGE, lambda c: c.append(0)), "holds more than its voxels"),
    "no gzip": (lambda f: put(f, IMAGE, bytes(999)), "is damaged, or no gzip file"),
    "bomb": (bomb, "holds more than its voxels"),
    "auxiliary file": (in_header(228, b"Mueller, 1961"), ANOTHER),
    "affine": (in_header(280 + 12, np.float32(7).tobytes()), ANOTHER),
    "time of a slice": (in_header(92, np.float32(1961).tobytes()), ANOTHER),
    "file's name": (both(lambda c: repacked(c, filename="sub-07.nii", mtime=0)), IN_FRAME),
    "file's time": (both(lambda c: repacked(c, filename="", mtime=1961)), IN_FRAME),
    "second member": (
        both(lambda c: repacked(c, filename="", mtime=0) + gzip.compress(b"Mueller")),
        "holds more than its voxels",
    ),
    "empty member": (
        both(lambda c: repacked(c, filename="", mtime=0) + gzip.compress(b"")),
        "holds more than its voxels",
    ),
    "packed otherwise": (
        both(lambda c: repacked(c, 5, filename="", mtime=0)),
        "is not packed as the suite packs its voxels",
    ),
    "a patient's slice": (both(of_a_patient), "synthetic-0001.png is not the picture of its vol"),
    "a patient's slice, in the sheet": (both(of_a_patient), "sheet.png is not the picture of the"),
    "another preview": (
        lambda f: put(f, "previews/synthetic-0002.png", png_of(WORDS)),
        "synthetic-0002.png is not the picture of its volume",
    ),
    "another copy": (volume(COPY, stack("uint16")), SAME_BYTES),
    "no copy": (lambda f: (f / COPY).unlink(), f"{COPY} is missing"),
    "another volume": (
        lambda f: shutil.copy(f / IMAGE, f / "imagesTr/synthetic-0003_0000.nii.gz"),
        "synthetic-0003_0000.nii.gz is no file of this release",
    ),
    "consent of nobody": (
        lambda f: put(f, "consents/site.json", b"{}"),
        "consents/site.json is no file of this release",
    ),
    "no picture": (lambda f: put(f, SHEET, b"GIF89a"), "contact-sheet.png is no PNG file"),
    "large picture": (
        lambda f: put(f, SHEET, png_of("x", (30_000, 1))),
        "contact-sheet.png is larger than",
    ),
    "picture's words": (
        lambda f: put(f, SHEET, png_of("sub-17")),
        "contact-sheet.png does not bear the words",
    ),
    "behind the picture": (
        lambda f: put(f, SHEET, (f / SHEET).read_bytes() + b"more of it"),
        "contact-sheet.png holds more than pixels",
    ),
    "json": (lambda f: put(f, CROISSANT, b"{"), "croissant.json cannot be read"),
    "deep json": (lambda f: put(f, CROISSANT, b"[" * 10**5), "nested too deeply"),
    "list": (lambda f: put(f, CROISSANT, b"[]"), "croissant.json is no JSON object"),
    "numTraining": (
        lambda f: put(f, "dataset.json", b'{"numTraining": 3}'),
        "dataset.json is of another number of volumes",
    ),
    "weights": (
        lambda f: put(f, "generator/settings.json", b"[]"),
        "its generator is not the one that its statement names",
    ),
    "statement": (lambda f: put(f, STATEMENT, b"{}"), "privacy.json is no statement"),
    "deep statement": (lambda f: put(f, STATEMENT, b"[" * 10**5), "nested too deeply"),
    "dossier": (lambda f: put(f, DOSSIER, b"<p>eps = 0.1</p>"), "dossier.html is not what the"),
    "readme": (lambda f: put(f, README, b"Private."), "README.md is not what the statement gives"),
    "croissant": (lambda f: put(f, CROISSANT, b"{}"), "croissant.json is not what the statement"),
    "pdf": (lambda f: put(f, DOSSIER_PDF, b"%PDF"), "dossier.pdf is not what the statement"),
    "sheet": (
        lambda f: put(f, SHEET, png_of(WORDS, (99, 9))),
        "dossier.html is not what the statement gives",
    ),
}


@pytest.mark.parametrize("damage", OF_CONTENTS)
def test_what_is_sealed_anew_must_still_be_what_the_statement_says(
    folder: Path, damage: str
) -> None:
    change, words = OF_CONTENTS[damage]
    resealed(change)(folder)
    found = faults(folder)
    assert says(found, words), found


def test_a_large_volume_takes_no_more_memory_than_a_piece(tmp_path: Path) -> None:
    import tracemalloc

    from benchmark.release.checks.volumes import Due, fault_of

    due = Due(shape=(512, 512, 400), dtype="uint8", most=1, mm=1.0, stamp="x")
    content = volume_of(np.zeros(due.shape, np.uint8), released(), descrip="x", mm=1.0)
    put(tmp_path, "mask.nii.gz", content)
    tracemalloc.start()
    assert fault_of(tmp_path / "mask.nii.gz", due) == ""
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert due.bytes >= 100 << 20
    assert most < 16 << 20


@pytest.mark.parametrize("name", [README, LICENCE, DOSSIER, CROISSANT, "dataset.json", SUMS])
def test_every_file_of_a_release_that_is_not_private_says_so(
    honest: Statement, tmp_path: Path, name: str
) -> None:
    said = changed(honest, not_private)
    folder = write(tmp_path / "release", said)
    seal(folder, private=False)
    assert not says(faults(folder), "NOT PRIVATE")
    text = (folder / name).read_bytes()
    put(folder, name, text.replace(b"NOT PRIVATE", b"PRIVATE"))
    if name != SUMS:
        seal(folder, private=False)
    words = "not written as the suite writes it" if name == SUMS else f"{name} does not say"
    assert says(faults(folder), words)
