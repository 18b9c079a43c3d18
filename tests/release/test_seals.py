"""The seals of a release: GNU accepts the checksums, and a signature is that of one key alone."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from benchmark.core.errors import UsageError
from benchmark.core.sums import SUMS, read_sums, sum_of_folder
from benchmark.release.seals import (
    PUBLIC_KEY,
    SIGNATURE,
    fingerprint,
    is_signed_by,
    public_key_in,
    seal,
    sign,
)
from benchmark.release.wording import NOT_PRIVATE

GNU = shutil.which("sha256sum")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "release"
    (made / "below").mkdir(parents=True)
    (made / ".hidden").write_text("one")
    (made / "below" / "a.bin").write_bytes(bytes(range(256)))
    return made


def written(private: Any, file: Path, how: Any = None) -> Path:
    how = how or NoEncryption()
    file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    return file


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return written(Ed25519PrivateKey.generate(), tmp_path / "key.pem")


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.skipif(GNU is None, reason="There is no GNU sha256sum here.")
def test_gnu_accepts_the_checksums_and_finds_a_change(folder: Path, private: bool) -> None:
    seal(folder, private=private)
    check = [str(GNU), "--check", "--strict", SUMS]
    done = subprocess.run(check, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(": OK") == 2
    (folder / ".hidden").write_text("two")
    assert subprocess.run(check, cwd=folder, capture_output=True).returncode == 1


def test_the_checksums_say_what_is_not_private(folder: Path) -> None:
    seal(folder, private=False)
    assert (folder / SUMS).read_text().splitlines()[0].startswith(f"# {NOT_PRIVATE}")
    seal(folder, private=True)
    assert NOT_PRIVATE not in (folder / SUMS).read_text()


def test_every_file_has_a_checksum_but_the_seals_themselves(folder: Path, key: Path) -> None:
    seal(folder, private=True)
    sign(folder, key)
    assert {*read_sums(folder / SUMS)} == {".hidden", "below/a.bin"}
    seal(folder, private=True)
    assert not (folder / SIGNATURE).exists(), "it was of the earlier checksums"
    assert not (folder / PUBLIC_KEY).exists()


def test_a_signature_is_of_these_checksums_and_this_key(
    folder: Path, key: Path, tmp_path: Path
) -> None:
    seal(folder, private=True)
    said = sign(folder, key)
    public = public_key_in(folder / PUBLIC_KEY)
    assert fingerprint(public) == said
    assert is_signed_by(folder, public)
    assert not is_signed_by(folder, Ed25519PrivateKey.generate().public_key())
    (folder / SUMS).write_text("# another\n")
    assert not is_signed_by(folder, public)


def test_a_fingerprint_is_the_sha256_of_the_raw_key_in_groups() -> None:
    import hashlib

    public = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    said = fingerprint(public)
    assert said.replace(" ", "") == hashlib.sha256(public.public_bytes_raw()).hexdigest()
    assert [len(group) for group in said.split(" ")] == [4] * 16


def test_no_other_key_signs(folder: Path, tmp_path: Path) -> None:
    seal(folder, private=True)
    mine, other = Ed25519PrivateKey.generate(), generate_private_key(SECP256R1())
    keys = {
        "is encrypted": written(mine, tmp_path / "a", BestAvailableEncryption(b"secret")),
        "no private Ed25519 key": written(other, tmp_path / "b"),
        "cannot be read": tmp_path / "nowhere",
    }
    (tmp_path / "c").write_bytes(b"\x00" * 100)
    for words, file in {**keys, "is no private": tmp_path / "c"}.items():
        with pytest.raises(UsageError, match=words):
            sign(folder, file)
    with pytest.raises(UsageError, match="no public Ed25519 key"):
        public_key_in(keys["no private Ed25519 key"])
    assert not (folder / SIGNATURE).exists()


def test_what_is_not_sealed_is_not_signed(folder: Path, key: Path) -> None:
    with pytest.raises(UsageError, match="nothing to sign"):
        sign(folder, key)


def test_the_digest_of_a_folder_tells_names_and_contents(folder: Path) -> None:
    before = sum_of_folder(folder)
    (folder / ".hidden").rename(folder / "hidden")
    renamed = sum_of_folder(folder)
    (folder / "hidden").write_text("two")
    assert len({before, renamed, sum_of_folder(folder)}) == 3


@pytest.mark.parametrize(
    "text", ["no checksum\n", f"{'a' * 64}  a\n{'b' * 64}  a\n", f"{'a' * 64} *a\n"]
)
def test_a_line_that_is_no_checksum_or_comes_twice_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / SUMS).write_text(text)
    with pytest.raises(ValueError, match="line"):
        read_sums(tmp_path / SUMS)
