"""A received release is checked or refused by sentences, whatever somebody put into its folder.

Never a traceback; never exit code 0 for a folder that was changed; within time and memory.
"""

import gzip
import io
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import in_process
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, seed
from hypothesis import strategies as st
from releases import made_by_stand_ins, put, released, text_of, write
from test_fuzz import LONGEST, MANY, SEED, VALUES, damaged, edited

from benchmark.core.memory import memory_limit
from benchmark.core.sums import SUMS
from benchmark.release.checks.layout import ALWAYS
from benchmark.release.seals import seal, sign
from benchmark.release.statement import README, SHEET, STATEMENT

MEMORY_GIB = 1.0
STATED = released()
IMAGE, MASK = "imagesTr/synthetic-0001_0000.nii.gz", "labelsTr/synthetic-0001.nii.gz"
NAMES = (*ALWAYS, IMAGE, MASK, "previews/synthetic-0002.png")
SEALS = (SUMS, f"{SUMS}.sig", f"{SUMS}.pub")


@pytest.fixture(autouse=True, scope="module")
def _dossier() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        made_by_stand_ins(patch)
        yield


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed release that holds."""
    base = tmp_path_factory.mktemp("honest")
    pem = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    (base / "key.pem").write_bytes(Ed25519PrivateKey.generate().private_bytes(*pem))
    folder = write(base / "release", STATED)
    sign(folder, base / "key.pem")
    assert code_of(folder) == 0
    return folder


@pytest.fixture
def folder(honest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy for all inputs of a class."""
    return shutil.copytree(honest, tmp_path_factory.mktemp("copy") / "release")


def code_of(folder: Path) -> int:
    """The command's exit code: it has ended by itself, and has printed nothing but sentences."""
    with memory_limit(MEMORY_GIB):
        done = in_process("verify-release", str(folder), cwd=folder.parent)
    assert done.returncode in (0, 1, 2), done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert all(len(line) <= LONGEST for line in done.stdout.splitlines())
    assert not any(ord(one) < 32 for one in done.stdout.replace("\n", ""))
    return done.returncode


@MANY
@seed(SEED)
@given(st.data())
def test_no_changed_file_is_accepted(folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*NAMES, *SEALS]))
    whole = (folder / name).read_bytes()
    content = data.draw(damaged(whole))
    put(folder, name, content)
    assert (code_of(folder) == 0) is (content == whole), name
    put(folder, name, whole)


@MANY
@seed(SEED)
@given(st.data())
def test_files_that_were_sealed_anew(folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    whole = (folder / name).read_bytes()
    inside = gzip.decompress(whole) if name.endswith(".gz") and data.draw(st.booleans()) else b""
    content = data.draw(damaged(inside[:400] if inside else whole))
    put(folder, name, gzip.compress(content + inside[400:]) if inside else content)
    seal(folder, private=True)
    code_of(folder)
    put(folder, name, whole)


@MANY
@seed(SEED)
@given(st.one_of(edited(json.loads(text_of(STATED.as_dict()))), VALUES))
def test_statements_that_were_sealed_anew(folder: Path, said: object) -> None:
    put(folder, STATEMENT, json.dumps(said).encode("utf-8", "surrogatepass"))
    seal(folder, private=True)
    code_of(folder)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def picture(*chunks: bytes, side: int = 8) -> bytes:
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"".join((b"\x89PNG\r\n\x1a\n", start, *chunks, chunk(b"IEND", b"")))


def packed(first: bytes, zeros: int) -> bytes:
    """Many zeros behind some bytes, in a thousandth of their size."""
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(first)
        for _ in range(zeros >> 20):
            file.write(bytes(1 << 20))
    return content.getvalue()


def header(folder: Path, place: int, value: bytes) -> bytes:
    whole = bytearray(gzip.decompress((folder / IMAGE).read_bytes())[:352])
    whole[place : place + len(value)] = value
    return bytes(whole)


def sparse(folder: Path, name: str) -> None:
    put(folder, name, b"")
    os.truncate(folder / name, 1 << 42)


def deep(folder: Path) -> None:
    (folder / "/".join("a" * 200)).mkdir(parents=True)


def looped(folder: Path) -> None:
    (folder / "sub-0003").symlink_to(folder)


IDAT = zlib.compress(bytes(1 << 24))
BOMBS: dict[str, Callable[[Path], object]] = {
    "pipe": lambda f: os.mkfifo(f / "previews" / "synthetic-0003.png"),
    "pipe in place": lambda f: [(f / README).unlink(), os.mkfifo(f / README)],
    "pipe as sums": lambda f: [(f / SUMS).unlink(), os.mkfifo(f / SUMS)],
    "loop": looped,
    "zero": lambda f: [(f / MASK).unlink(), (f / MASK).symlink_to("/dev/zero")],
    "sparse volume": lambda f: sparse(f, MASK),
    "sparse statement": lambda f: sparse(f, STATEMENT),
    "sparse sums": lambda f: sparse(f, SUMS),
    "folder as file": lambda f: [(f / README).unlink(), put(f, f"{README}/x", b"")],
    "deep folders": deep,
    "many files": lambda f: [put(f, f"generator/{n}.json", b"") for n in range(2_000)],
    "gzip": lambda f: put(f, MASK, packed(header(f, 70, b"\x02\0\x08\0"), 1 << 28)),
    "gzip of zeros": lambda f: put(f, IMAGE, packed(b"", 1 << 28)),
    "huge header": lambda f: put(f, IMAGE, packed(header(f, 42, b"\xff\x7f" * 3), 1 << 27)),
    "many gzip members": lambda f: put(f, IMAGE, gzip.compress(b"") * 50_000),
    "huge picture": lambda f: put(f, SHEET, picture(chunk(b"IDAT", IDAT), side=65_000)),
    "picture of zeros": lambda f: put(f, SHEET, picture(chunk(b"IDAT", IDAT))),
    "text of zeros": lambda f: put(f, SHEET, picture(chunk(b"zTXt", b"Description\0\0" + IDAT))),
    "endless chunk": lambda f: put(f, SHEET, picture()[:8] + b"\xff\xff\xff\xffIDAT"),
    "deep json": lambda f: put(f, STATEMENT, b'{"spec":' * 200_000),
    "long number": lambda f: put(f, STATEMENT, b'{"format": 1' + b"0" * 100_000 + b"}"),
    "many sums": lambda f: put(f, SUMS, b"".join(b"%064x  %d\n" % (n, n) for n in range(50_000))),
    "sums of one line": lambda f: put(f, SUMS, b"0" * (1 << 24)),
    "sums that are no text": lambda f: put(f, SUMS, b"\xff\xfe" * 100),
    "odd names": lambda f: [put(f, name, b"") for name in ("\n", "\x1b[2J", "ε", "a\u202eb")],
}


@pytest.mark.parametrize("again", [False, True], ids=["as it came", "sealed anew"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_no_bomb_is_accepted_or_goes_off(folder: Path, bomb: str, again: bool) -> None:
    BOMBS[bomb](folder)
    if again and not {"sums", "sparse", "pipe", "zero", "loop"} & {*bomb.split()}:
        seal(folder, private=True)
    assert code_of(folder) != 0
