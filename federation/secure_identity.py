"""The identity of a site in secure sums: an X25519 key that never leaves it.

The server relays the sites' public keys, so it could put its own in their place. Therefore people
compare fingerprints by another way, such as the telephone, before the first run. Each site's
configuration then names the fingerprints of all others, and nobody else is accepted.

Reference: Langley, Hamburg and Turner (2016), RFC 7748, sections 5 and 6.1.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from benchmark.core.errors import UsageError
from benchmark.core.files import locked, replacing

KEY, LOCK = "secure-sums.key", ".secure-sums.lock"
KEY_BYTES = 32
GROUP = 4
"""Characters of a fingerprint that are shown together."""


class Identity:
    """A site's key pair.

    Args:
        private: The private key.

    Attributes:
        public: The public key, 32 bytes.
        fingerprint: Its fingerprint.
    """

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.fingerprint = fingerprint_of(self.public)

    def secret_with(self, public: bytes) -> bytes:
        """Agree on a secret with the holder of another key.

        Args:
            public: The other's public key, 32 bytes.

        Returns:
            32 bytes that only the two can compute.

        Raises:
            UsageError: For a key of small order, with which everybody can compute the secret.
        """
        try:
            found = self._private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            found = bytes(KEY_BYTES)
        if not any(found):
            raise UsageError(
                f"The key {shown(fingerprint_of(public))} gives everybody the same secret, so it "
                "is no site's; take it out of the fingerprints that this site trusts."
            )
        return found


def fingerprint_of(public: bytes) -> str:
    """Return the SHA-256 of a public key, as 64 hexadecimal digits."""
    return hashlib.sha256(public).hexdigest()


def shown(fingerprint: str) -> str:
    """Write a fingerprint in groups, for people who compare it.

    Examples:
        >>> shown("0123456789abcdef")
        '0123 4567 89ab cdef'
    """
    return " ".join(fingerprint[i : i + GROUP] for i in range(0, len(fingerprint), GROUP))


def read_fingerprint(text: str) -> str:
    """Read a fingerprint that a person wrote, in groups or not.

    Raises:
        UsageError: If it is not 64 hexadecimal digits.

    Examples:
        >>> read_fingerprint("0123 4567 89AB cdef" + 12 * " 0000")[:20]
        '0123456789abcdef0000'
    """
    found = re.sub(r"[\s:]", "", text).lower()
    if re.fullmatch("[0-9a-f]{64}", found) is None:
        raise UsageError(
            f"Expected a fingerprint of 64 hexadecimal digits, got {len(found)} characters: "
            f"{text[:100]!r}."
        )
    return found


def identity_in(folder: Path) -> Identity:
    """Read a site's identity from its state folder; make it on first use.

    Args:
        folder: The state folder. The key is the file ``secure-sums.key`` in it, of mode 0600.

    Raises:
        UsageError: If others can read the key, or the file is not a key.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / KEY
    with locked(folder / LOCK, wait=True):
        if not path.is_symlink() and not path.exists():
            _write(path, X25519PrivateKey.generate().private_bytes_raw())
        return Identity(X25519PrivateKey.from_private_bytes(_read(path)))


def _write(path: Path, secret: bytes) -> None:
    with replacing(path) as temporary:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    if path.is_symlink():
        raise UsageError(f"{path}: a site's key must be a file, not a link; put the file there.")
    with path.open("rb") as file:
        about, secret = os.fstat(file.fileno()), file.read(KEY_BYTES + 1)
    mode = stat.S_IMODE(about.st_mode)
    if mode & 0o077:
        raise UsageError(
            f"{path}: only its owner may read a site's key (mode 0600), and its mode is "
            f"{mode:04o}; run chmod 600, or remove it and exchange fingerprints anew if others "
            "may have read it."
        )
    if len(secret) != KEY_BYTES:
        raise UsageError(
            f"{path}: a site's key has {KEY_BYTES} bytes, and this file has not; restore it, or "
            "remove it and exchange fingerprints anew."
        )
    return secret
