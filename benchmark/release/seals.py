"""The seals of a release: checksums of all its files, and a signature of the checksums.

Checksums show that no file changed by accident. A signature shows that they are its owner's, to
whoever compared the key's fingerprint with the one that the owner told by another way.

The signature is Ed25519 (RFC 8032), 64 bytes over ``SHA256SUMS`` as it is.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.errors import UsageError
from benchmark.core.parsers import bytes_in
from benchmark.core.sums import SUMS, write_sums
from benchmark.release.wording import NOT_PRIVATE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SIGNATURE, PUBLIC_KEY = f"{SUMS}.sig", f"{SUMS}.pub"
UNLISTED = (SUMS, SIGNATURE, PUBLIC_KEY)
"""The files that have no checksum: they are made after it, or of it."""


NOTE = f"{NOT_PRIVATE}: nothing is promised to the patients behind these files."
SIGNATURE_BYTES, LARGEST_KEY = 64, 10_000
GROUP = 4
"""Hex digits of a fingerprint between two spaces."""


def note_of(*, private: bool) -> str:
    """Return the comment in the checksums of a release.

    Args:
        private: Whether the release claims a guarantee.

    Returns:
        That it is not private; empty where it is.
    """
    return "" if private else NOTE


def seal(folder: Path, *, private: bool) -> None:
    """Write ``SHA256SUMS`` over all files of a release. A signature of earlier ones is removed.

    Args:
        folder: The release.
        private: Whether it claims a guarantee.
    """
    for earlier in (SIGNATURE, PUBLIC_KEY):
        (folder / earlier).unlink(missing_ok=True)
    write_sums(folder, note=note_of(private=private), but=UNLISTED)


def sign(folder: Path, key: Path) -> str:
    """Sign a sealed release: writes ``SHA256SUMS.sig`` and ``SHA256SUMS.pub``.

    Args:
        folder: The release, with its ``SHA256SUMS``.
        key: A private Ed25519 key in PEM, not encrypted.

    Returns:
        The fingerprint of the public key.

    Raises:
        UsageError: If the key cannot be used, or nothing is sealed.
    """
    private = private_key_in(key)
    try:
        sealed = (folder / SUMS).read_bytes()
    except OSError as error:
        raise UsageError(f"{folder / SUMS} cannot be read, so there is nothing to sign.") from error
    public = private.public_key()
    (folder / SIGNATURE).write_bytes(private.sign(sealed))
    (folder / PUBLIC_KEY).write_bytes(pem_of(public))
    return fingerprint(public)


def signature_of(content: bytes, key: Path) -> tuple[bytes, bytes]:
    """Sign some bytes.

    Args:
        content: The bytes.
        key: A private Ed25519 key in PEM, not encrypted.

    Returns:
        The raw public key, and the signature.

    Raises:
        UsageError: If the key cannot be used.
    """
    private = private_key_in(key)
    return private.public_key().public_bytes_raw(), private.sign(content)


def is_signature(signature: bytes, content: bytes, key: bytes) -> bool:
    """Tell whether a signature of some bytes is that of a raw public key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, content)
    except InvalidSignature:
        return False
    return True


def is_signed_by(folder: Path, public: Ed25519PublicKey) -> bool:
    """Tell whether the signature of a release is that of a key.

    Args:
        folder: The release, with ``SHA256SUMS`` and ``SHA256SUMS.sig``.
        public: The key.

    Raises:
        OSError: If a file cannot be read.
    """
    signature, sealed = (folder / SIGNATURE).read_bytes(), (folder / SUMS).read_bytes()
    return is_signature(signature, sealed, public.public_bytes_raw())


def fingerprint(public: Ed25519PublicKey) -> str:
    """Return the SHA-256 of a raw public key, as 16 groups of 4 hex digits.

    Args:
        public: The key.
    """
    return fingerprint_of(public.public_bytes_raw())


def fingerprint_of(key: bytes) -> str:
    """Return the fingerprint of a raw public key."""
    said = hashlib.sha256(key).hexdigest()
    return " ".join(said[at : at + GROUP] for at in range(0, len(said), GROUP))


def pem_of(public: Ed25519PublicKey) -> bytes:
    """Return a public key in PEM, in the one form that a release may have."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_key_in(file: Path) -> Ed25519PublicKey:
    """Read a public key.

    Args:
        file: A public Ed25519 key in PEM.

    Raises:
        UsageError: If it is none, or cannot be read.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _key_bytes(file)
    try:
        found = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise UsageError(
            f"{file} is no public Ed25519 key in PEM; take the {PUBLIC_KEY} that the owner gave."
        )
    return found


def private_key_in(file: Path) -> Ed25519PrivateKey:
    """Read a private Ed25519 key.

    Args:
        file: In PEM, not encrypted.

    Raises:
        UsageError: If it is none, is encrypted, or cannot be read.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _key_bytes(file)
    try:
        found = load_pem_private_key(content, password=None)
    except TypeError as error:
        raise UsageError(
            f"{file} is encrypted; decrypt the key for the time of signing, with "
            "`openssl pkey -in KEY -out PLAIN`."
        ) from error
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise UsageError(
            f"{file} is no private Ed25519 key in PEM; make one with "
            "`openssl genpkey -algorithm ed25519 -out KEY`."
        )
    return found


def _key_bytes(file: Path) -> bytes:
    try:
        return bytes_in(file, most=LARGEST_KEY)
    except OSError as error:
        raise UsageError(f"The key {file} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise UsageError(f"The key {file} cannot be read ({error}).") from error
