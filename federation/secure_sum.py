"""Secure sums: the server learns the sum of the sites' vectors, and of one site alone nothing.

Every pair of sites has a stream of random 64-bit words that only the two can compute. One adds it
to its vector, the other subtracts it, modulo 2^64. What a site sends is then uniform to whoever
lacks one of its streams, and in the sum over all sites the masks cancel (Bonawitz et al. 2017,
doi 10.1145/3133956.3133982, section 4.0.1, without drop-outs: a run stops when a site is missing).

For sites i and j, with fingerprints F, nonces N, and R the sorted list of all sites' F and N,

    K_ij = HKDF-SHA256( X25519(i, j);  suite, run, terms, min F, max F, R )
    S_ij = AES-256-CTR( HKDF-Expand( K_ij;  round, digest of the state, name, shape ) ).

Each site's nonce is fresh for every entry of its ledger, so no stream returns in another run,
whatever the server relays. Within a session, ``MaskLog`` allows one vector for each round. Sites
that were told different things, such as other keys, nonces or terms, have different streams. Their
masks do not cancel; the server gets random words and refuses them. So it cannot make sites agree on
less noise behind each other's backs.

Guarantees:
    * The vectors of the honest sites, to the server and all other sites together, are uniform but
      for their sum. This holds as long as X25519, HKDF and AES do, and fingerprints were compared.
    * The sum is exact if it is below 2^63 in magnitude.

What is not covered: a server or a site that changes what it sends ruins the sum, which nobody can
prove. A site's long-term key, if it is stolen, opens the masks of past runs too: there is no
forward secrecy. What is then left is each site's own share of the noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from numpy.typing import NDArray

from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays
from benchmark.core.mechanism import Integers
from benchmark.privacy.randomness import keystream
from federation.mask_log import NONCE_BYTES, MaskLog
from federation.secure_identity import KEY_BYTES, Identity, fingerprint_of, shown

SUITE = "angiobench secure sums 1, X25519 HKDF-SHA256 AES-256-CTR, modulo 2^64"
STREAM_BYTES = 48
"""A key of AES-256 and the counter's first value."""

Words = NDArray[np.uint64]


class Introduction(NamedTuple):
    """What a site tells all others before the first round: its public key and its nonce."""

    public: bytes
    nonce: bytes

    @classmethod
    def read(cls, public: str, nonce: str) -> Introduction:
        """Read an introduction from two texts of hexadecimal digits, as in a message.

        Raises:
            UsageError: For anything else than 32 and 16 bytes.
        """
        try:
            found = cls(bytes.fromhex(public), bytes.fromhex(nonce))
        except ValueError:
            found = cls(b"", b"")
        if (len(found.public), len(found.nonce)) != (KEY_BYTES, NONCE_BYTES):
            raise UsageError(
                f"Expected a site's public key of {KEY_BYTES} bytes and its nonce of "
                f"{NONCE_BYTES}, in hexadecimal digits."
            )
        return found

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint."""
        return fingerprint_of(self.public)


def introduction(identity: Identity, log: MaskLog, *, run: str, entry: str) -> Introduction:
    """Make what this site tells the others in a run.

    Args:
        identity: The site's.
        log: The site's.
        run: The run's key.
        entry: What tells the ledger's entry that pays for the run from every other.
    """
    return Introduction(identity.public, log.nonce_of(identity.fingerprint, run, entry))


class Session:
    """One site's masks in one run, under one entry of its ledger.

    Args:
        identity: The site's.
        log: The site's.
        run: The run's key.
        entry: As in ``introduction``.
        terms: A text of all that sites must agree on, such as the job, the noise and who may be
            curious.
        others: The introductions of all other sites, as the server relayed them, in any order.
        trusted: The fingerprints of all other sites, from this site's own configuration.

    Raises:
        UsageError: If the others are not those that are trusted, or one of them is not sound.
    """

    def __init__(
        self,
        identity: Identity,
        log: MaskLog,
        *,
        run: str,
        entry: str,
        terms: str,
        others: Sequence[Introduction],
        trusted: Collection[str],
    ) -> None:
        _check_others(identity.fingerprint, others, trusted)
        mine = introduction(identity, log, run=run, entry=entry)
        log.note_nonces(run, {one.fingerprint: one.nonce for one in others})
        everybody = sorted((one.fingerprint, one.nonce) for one in [mine, *others])
        roster = [part for fingerprint, nonce in everybody for part in (fingerprint, nonce)]
        agreed = [SUITE, run, terms]
        self._log = log
        self._id = hashlib.sha256(_packed(*agreed, *roster)).hexdigest()
        self._streams = [
            _Stream(
                adds=mine.fingerprint < one.fingerprint,
                key=HKDF(
                    algorithm=SHA256(),
                    length=KEY_BYTES,
                    salt=None,
                    info=_packed(*agreed, *sorted((mine.fingerprint, one.fingerprint)), *roster),
                ).derive(identity.secret_with(one.public)),
            )
            for one in others
        ]

    @property
    def id(self) -> str:
        """What tells the session from every other: all keys, nonces and terms of the sites."""
        return self._id

    def mask(self, number: int, state: str, sums: Arrays) -> dict[str, Words]:
        """Mask a site's vectors of a round.

        Keep ``sums`` on the disk before, and mask what was kept: whoever draws a round's noise
        anew after its vector was noted is refused.

        Args:
            number: The round.
            state: The digest of the state that the server sent for it.
            sums: int64, by name.

        Returns:
            uint64, by name, of the same shapes. The same sums give the same words.

        Raises:
            UsageError: If other sums were masked in this round, or some are not int64.
        """
        vectors = {name: _whole_numbers(name, array) for name, array in sorted(sums.items())}
        order = _packed(state, *_layout(vectors))
        vector = hashlib.sha256(order)
        for array in vectors.values():
            vector.update(array.astype("<i8").tobytes())
        known = hashlib.sha256(order).hexdigest()
        self._log.note_vector(self._id, number, known, vector.hexdigest())
        return {name: self._masked(number, state, name, one) for name, one in vectors.items()}

    def _masked(self, number: int, state: str, name: str, vector: Integers) -> Words:
        found = np.array(vector).view(np.uint64)
        for stream in self._streams:
            words = stream.words(number, state, name, vector.shape)
            (np.add if stream.adds else np.subtract)(found, words, out=found)
        return found


class _Stream(NamedTuple):
    """What one pair of sites shares, and whether this one adds it."""

    adds: bool
    key: bytes

    def words(self, number: int, state: str, name: str, shape: tuple[int, ...]) -> Words:
        info = _packed("mask", str(number), state, name, str(shape))
        secret = HKDFExpand(algorithm=SHA256(), length=STREAM_BYTES, info=info).derive(self.key)
        drawn = keystream(secret, 8 * int(np.prod(shape, dtype=np.int64)))
        return np.frombuffer(drawn, "<u8").astype(np.uint64, copy=False).reshape(shape)


def total(masked: Sequence[Arrays], largest: int) -> dict[str, Integers]:
    """Add the masked vectors of all sites. It is all that the server does.

    Args:
        masked: What each site's ``mask`` returned, in any order.
        largest: A bound on the sum's magnitude, below 2^63, from public numbers.

    Returns:
        The exact sums, int64, by name.

    Raises:
        UsageError: If vectors are missing or have different sizes, or the masks do not cancel.
    """
    if len(masked) < 2:
        raise UsageError(f"Expected the vectors of at least 2 sites, got {len(masked)}.")
    if not 0 < largest < 1 << 63:
        raise UsageError(f"Expected a bound on the sum in (0, 2^63), got {largest:.3g}.")
    looks = [{name: (one.shape, one.dtype) for name, one in arrays.items()} for arrays in masked]
    right = all(dtype == np.uint64 for _, dtype in looks[0].values())
    if not right or any(look != looks[0] for look in looks):
        raise UsageError("Expected 64-bit words of the same names and sizes from every site.")
    found = {name: _added([arrays[name] for arrays in masked]) for name in masked[0]}
    for name, array in found.items():
        if ((array > largest) | (array < -largest)).any():
            raise UsageError(
                f"The sum {name} is above its bound of {largest:.3g}, so the sites' masks do not "
                "cancel: one has other keys, nonces or terms than the others; begin the run anew."
            )
    return found


def _added(words: Sequence[NDArray[np.uint64]]) -> Integers:
    found = np.array(words[0])
    for one in words[1:]:
        np.add(found, one, out=found)
    return found.view(np.int64)


def _check_others(own: str, others: Sequence[Introduction], trusted: Collection[str]) -> None:
    """Refuse everybody but exactly those whom the site's configuration trusts."""
    found = [one.fingerprint for one in others]
    if not others or not trusted:
        raise UsageError("A secure sum needs at least 2 sites; name another one to trust.")
    if own in found or own in trusted:
        raise UsageError(
            f"{shown(own)} is this site's own key, and another site cannot have it; name only the "
            "other sites, and give each its own state folder."
        )
    for fingerprint in found:
        if fingerprint not in trusted:
            raise UsageError(
                f"This site does not trust {shown(fingerprint)}; compare it with that site's "
                "people by another way than the server, and add it if it is theirs."
            )
        if found.count(fingerprint) > 1:
            raise UsageError(f"The site {shown(fingerprint)} is there twice; each takes part once.")
    for fingerprint in trusted:
        if fingerprint not in found:
            raise UsageError(
                f"The site {shown(fingerprint)} is missing, and a secure sum needs every one; wait "
                "for it, or take it out of the fingerprints that every site trusts."
            )


def _whole_numbers(name: str, array: NDArray[np.int64]) -> Integers:
    if array.dtype != np.int64:
        raise UsageError(f"Expected the sums {name} to be int64, got {array.dtype}.")
    return np.ascontiguousarray(array)


def _layout(vectors: Mapping[str, Integers]) -> Iterator[str]:
    for name, array in vectors.items():
        yield from (name, str(array.shape))


def _packed(*parts: str | bytes) -> bytes:
    """The parts, each after its length, so that no two lists look alike."""
    each = [part if isinstance(part, bytes) else part.encode() for part in parts]
    return b"".join(len(one).to_bytes(8, "big") + one for one in each)
