"""Secure sums: exact in the sum, uniform in each part, and refused wherever a mask could fail."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays
from benchmark.privacy.mechanisms.discrete import Exact
from benchmark.privacy.mechanisms.shared_noise import Sharing
from federation import mask_log, secure_sum
from federation.mask_log import MaskLog
from federation.secure_identity import (
    KEY,
    Identity,
    fingerprint_of,
    identity_in,
    read_fingerprint,
    shown,
)
from federation.secure_sum import Introduction, Session, introduction, total

RUN, STATE, BOUND = "0123456789ab", "digest of a state", (1 << 63) - 1
RARE = 1e-6
EXTREMES = [0, 1, -1, (1 << 62) - 1, -(1 << 62), 123456789, -987654321, 42]

needs_no_disk = pytest.mark.usefixtures("no_syncs")


@pytest.fixture
def no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand rounds without waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@dataclass
class Hospital:
    """A site with a state folder."""

    folder: Path
    entry: str = "1"
    run: str = RUN

    @property
    def identity(self) -> Identity:
        return identity_in(self.folder)

    @property
    def introduction(self) -> Introduction:
        return introduction(self.identity, MaskLog(self.folder), run=self.run, entry=self.entry)

    def session(
        self,
        others: Sequence[Introduction],
        *,
        terms: str = "terms",
        trusted: set[str] | None = None,
    ) -> Session:
        return Session(
            self.identity,
            MaskLog(self.folder),
            run=self.run,
            entry=self.entry,
            terms=terms,
            others=others,
            trusted={one.fingerprint for one in others} if trusted is None else trusted,
        )


def hospitals(root: Path, number: int) -> list[Hospital]:
    return [Hospital(root / f"site-{k}") for k in range(number)]


def sessions_of(sites: Sequence[Hospital]) -> list[Session]:
    said = [site.introduction for site in sites]
    return [
        site.session([one for one in said if one != mine])
        for site, mine in zip(sites, said, strict=True)
    ]


def vector(*numbers: int) -> Arrays:
    return {"sum 1": np.array(numbers, np.int64)}


# --- The sum


@pytest.mark.parametrize("number", [2, 3, 5])
@needs_no_disk
def test_the_sum_is_that_of_whole_numbers_of_any_size(number: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(number)
    sessions = sessions_of(hospitals(tmp_path, number))
    most = BOUND // number
    for turn in range(1, 51):
        plain = [rng.integers(-most, most, (3, 4), endpoint=True) for _ in sessions]
        for one in plain:
            one[0] = most if turn % 2 else -most
        other = [np.array([-turn, k]) for k in range(number)]
        masked = [
            session.mask(turn, STATE, {"b": one, "a": two})
            for session, one, two in zip(sessions, plain, other, strict=True)
        ]
        found = total(masked, BOUND)
        expected = sum(one.astype(object) for one in plain)
        assert found["b"].tolist() == expected.tolist()
        assert found["a"].tolist() == [-turn * number, sum(range(number))]


def test_one_sites_words_are_not_its_numbers_and_have_their_shape(tmp_path: Path) -> None:
    sessions = sessions_of(hospitals(tmp_path, 2))
    plain = {"x": np.zeros((2, 3), np.int64), "y": np.zeros(0, np.int64)}
    masked = sessions[0].mask(1, STATE, plain)
    assert {n: (a.shape, a.dtype) for n, a in masked.items()} == {
        "x": ((2, 3), np.uint64),
        "y": ((0,), np.uint64),
    }
    assert (masked["x"] > 1 << 32).any()
    assert not plain["x"].any()


@pytest.mark.parametrize(
    "change",
    ["number", "state", "terms", "run", "shape", "name", "nonce"],
)
def test_masks_cancel_only_where_sites_agree_on_everything(change: str, tmp_path: Path) -> None:
    """A server that tells sites different things gets random words."""
    one, two = hospitals(tmp_path, 2)
    if change == "run":
        two.run = "ba9876543210"
    said = [one.introduction, two.introduction]
    heard = said[1]._replace(nonce=bytes(16)) if change == "nonce" else said[1]
    here = one.session([heard])
    there = two.session([said[0]], terms="other" if change == "terms" else "terms")
    name = "other" if change == "name" else "sum"
    shape = (1, 40) if change == "shape" else (40,)
    mine = here.mask(1, STATE, {"sum": np.zeros(40, np.int64)})["sum"]
    theirs = there.mask(
        2 if change == "number" else 1,
        "another state" if change == "state" else STATE,
        {name: np.zeros(shape, np.int64)},
    )[name]
    with pytest.raises(UsageError, match="masks do not cancel"):
        total([{"sum": mine}, {"sum": theirs.reshape(40)}], 1 << 50)


def test_no_two_arrays_and_no_two_rounds_share_a_mask(tmp_path: Path) -> None:
    first = sessions_of(hospitals(tmp_path, 2))[0]
    plain = {"a": np.zeros(20, np.int64), "b": np.zeros(20, np.int64)}
    masks = [one for k in (1, 2) for one in first.mask(k, STATE, plain).values()]
    assert len({one.tobytes() for one in masks}) == 4


def test_a_stream_is_what_the_standards_say() -> None:
    """RFC 5869 and SP 800-38A by other functions: HMAC, and AES block by block."""
    import hmac

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key = bytes(range(32))
    found = secure_sum._Stream(adds=True, key=key).words(3, STATE, "sum 1", (5,))
    info = secure_sum._packed("mask", "3", STATE, "sum 1", "(5,)")
    block = hmac.digest(key, info + b"\x01", "sha256")
    secret = block + hmac.digest(key, block + info + b"\x02", "sha256")[:16]
    ecb = Cipher(algorithms.AES(secret[:32]), modes.ECB()).encryptor()  # noqa: S305
    start = int.from_bytes(secret[32:], "big")
    blocks = [ecb.update(((start + k) % (1 << 128)).to_bytes(16, "big")) for k in range(3)]
    assert found.tolist() == np.frombuffer(b"".join(blocks)[:40], "<u8").tolist()


# --- What the server sees


@needs_no_disk
def test_what_the_server_sees_of_one_site_is_uniform_whatever_the_site_has(tmp_path: Path) -> None:
    """1,000 rounds: bytes by chi-square, alone and beside the byte that they hide."""
    session = sessions_of(hospitals(tmp_path, 3))[1]
    rng = np.random.default_rng(0)
    plain, seen = [], []
    for number in range(1, 1001):
        mine = np.array(EXTREMES) if number % 2 else rng.integers(-1000, 1000, len(EXTREMES))
        plain.append(mine)
        seen.append(session.mask(number, STATE, {"x": mine})["x"])
    hidden = np.concatenate(plain).astype("<i8").view(np.uint8)
    bytes_seen = np.concatenate(seen).astype("<u8").view(np.uint8)
    assert scipy.stats.chisquare(np.bincount(bytes_seen, minlength=256)).pvalue > RARE
    for place in range(8):
        here = np.bincount(bytes_seen[place::8], minlength=256)
        assert scipy.stats.chisquare(here).pvalue > RARE
        table = np.zeros((16, 16))
        np.add.at(table, (hidden[place::8] >> 4, bytes_seen[place::8] >> 4), 1)
        table = table[table.sum(1) > 100]
        if len(table) > 1:
            assert scipy.stats.chi2_contingency(table).pvalue > RARE
    words, numbers = np.concatenate(seen).astype(float), np.concatenate(plain).astype(float)
    assert abs(np.corrcoef(words, numbers)[0, 1]) < 5 / np.sqrt(len(words))
    assert abs(np.corrcoef(words[:-1], words[1:])[0, 1]) < 5 / np.sqrt(len(words))


@pytest.mark.parametrize(("number", "curious"), [(3, 1), (5, 1), (5, 2), (5, 3)])
@needs_no_disk
def test_a_coalition_learns_the_honest_sum_and_its_noise_is_that_of_the_guarantee(
    number: int, curious: int, tmp_path: Path
) -> None:
    """The server and t sites, over 1,000 rounds, take off every mask and share that they know."""
    rounds, length, scale = 1000, 4, 1 << 20
    sharing = Sharing(sites=number, curious=curious)
    share = sharing.share_of(Exact(scale))
    rng = np.random.default_rng(number)
    sessions = sessions_of(hospitals(tmp_path, number))
    noise = share.draw(number * rounds * length, rng.bit_generator.random_raw)
    noise = noise.reshape(rounds, number, length)
    data = rng.integers(-(1 << 30), 1 << 30, (rounds, number, length))
    honest, peeled, left = slice(curious, None), [], []
    for turn in range(rounds):
        masked = [
            session.mask(turn + 1, STATE, {"x": data[turn, k] + noise[turn, k]})["x"]
            for k, session in enumerate(sessions)
        ]
        known = [
            _without(sessions, k, curious, turn + 1, masked[k]) for k in range(curious, number)
        ]
        peeled.append(known)
        added = np.sum(known, axis=0, dtype=np.uint64).view(np.int64)
        assert np.array_equal(added, (data + noise)[turn, honest].sum(0))  # exactly the honest sum
        left.append(added - data[turn, honest].sum(0))
    residual = np.array(left, float).ravel()
    n = len(residual)
    assert abs(residual.var() / scale**2 - 1) < 5 * np.sqrt(2 / n)
    assert abs(scipy.stats.kurtosis(residual)) < 5 * np.sqrt(24 / n)
    assert scipy.stats.kstest(residual / scale, "norm").pvalue > RARE
    for k in range(curious):  # what the curious drew says nothing about what is left
        assert abs(np.corrcoef(residual, noise[:, k].ravel())[0, 1]) < 5 / np.sqrt(n)
    if sharing.honest > 1:
        _hold_peeled(np.array(peeled), noise[:, honest])


def _without(
    sessions: Sequence[Session], site: int, curious: int, number: int, masked: np.ndarray
) -> np.ndarray:
    """One honest site's words without the masks that curious sites know."""
    found = masked.copy()
    for k in range(curious):
        place = site - 1  # of the honest site among the others of a curious one
        stream = sessions[k]._streams[place]
        words = stream.words(number, STATE, "x", masked.shape)
        found = found + words if stream.adds else found - words
    return found


def _hold_peeled(peeled: np.ndarray, noise: np.ndarray) -> None:
    """Each honest site's words are still uniform, and say nothing about its own noise."""
    for k in range(peeled.shape[1]):
        words, drawn = peeled[:, k].ravel(), noise[:, k].ravel().astype(float)
        seen = np.bincount(words.astype("<u8").view(np.uint8), minlength=256)
        assert scipy.stats.chisquare(seen).pvalue > RARE
        for view in (words.astype(float), words.view(np.int64).astype(float)):
            assert abs(np.corrcoef(view, drawn)[0, 1]) < 5 / np.sqrt(len(drawn))


# --- Whom a site refuses


def test_a_stranger_is_refused(tmp_path: Path) -> None:
    one, two, stranger = hospitals(tmp_path, 3)
    with pytest.raises(UsageError, match="does not trust"):
        one.session(
            [two.introduction, stranger.introduction],
            trusted={two.introduction.fingerprint},
        )
    with pytest.raises(UsageError, match="does not trust"):
        one.session([stranger.introduction], trusted={two.introduction.fingerprint})


def test_a_missing_site_is_refused(tmp_path: Path) -> None:
    one, two, three = hospitals(tmp_path, 3)
    trusted = {two.introduction.fingerprint, three.introduction.fingerprint}
    with pytest.raises(UsageError, match="is missing"):
        one.session([two.introduction], trusted=trusted)


def test_a_doubled_site_is_refused(tmp_path: Path) -> None:
    one, two, _ = hospitals(tmp_path, 3)
    with pytest.raises(UsageError, match="there twice"):
        one.session([two.introduction, two.introduction])


def test_a_site_alone_is_refused(tmp_path: Path) -> None:
    one, two, _ = hospitals(tmp_path, 3)
    with pytest.raises(UsageError, match="at least 2 sites"):
        one.session([])
    with pytest.raises(UsageError, match="at least 2 sites"):
        one.session([two.introduction], trusted=set())


def test_a_sites_own_key_from_elsewhere_is_refused(tmp_path: Path) -> None:
    one, two, _ = hospitals(tmp_path, 3)
    with pytest.raises(UsageError, match="own key"):
        one.session([two.introduction, one.introduction])
    with pytest.raises(UsageError, match="own key"):
        one.session(
            [two.introduction],
            trusted={two.introduction.fingerprint, one.introduction.fingerprint},
        )


SMALL_ORDER = [
    bytes(32),
    bytes([1]) + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]
"""Points with which everybody's secret is zero (RFC 7748, section 7)."""


@pytest.mark.parametrize("public", SMALL_ORDER)
def test_a_key_that_gives_everybody_the_same_secret_is_refused(
    public: bytes, tmp_path: Path
) -> None:
    one = Hospital(tmp_path)
    with pytest.raises(UsageError, match="everybody the same secret"):
        one.session([Introduction(public, b"n" * 16)])


def test_the_same_key_written_otherwise_is_a_stranger(tmp_path: Path) -> None:
    """X25519 ignores the highest bit; a fingerprint does not."""
    one, two, _ = hospitals(tmp_path, 3)
    real = two.introduction
    other = real._replace(public=real.public[:31] + bytes([real.public[31] ^ 0x80]))
    with pytest.raises(UsageError, match="does not trust"):
        one.session([other], trusted={real.fingerprint})


# --- Nonces and the log


def test_a_nonce_is_kept_for_its_entry_and_is_new_for_another(tmp_path: Path) -> None:
    first = Hospital(tmp_path).introduction
    assert Hospital(tmp_path).introduction == first
    assert Hospital(tmp_path, entry="2").introduction.nonce != first.nonce
    assert Hospital(tmp_path, run="ba9876543210").introduction.nonce != first.nonce
    assert len(first.nonce) == 16


def test_a_nonce_of_another_run_or_site_is_refused(tmp_path: Path) -> None:
    one, two, three = hospitals(tmp_path, 3)
    heard = two.introduction
    one.session([heard])
    one.session([heard])  # the same again is a restart
    with pytest.raises(UsageError, match=f"used before, for run {RUN}"):
        Hospital(one.folder, run="ba9876543210").session([heard])
    with pytest.raises(UsageError, match="used before"):
        one.session([three.introduction._replace(nonce=heard.nonce)])
    with pytest.raises(UsageError, match="used before"):
        one.session([two.introduction._replace(nonce=one.introduction.nonce)])
    with pytest.raises(UsageError, match="used before"):
        one.session([site.introduction._replace(nonce=bytes(16)) for site in (two, three)])


def test_the_same_vector_again_gives_the_same_words(tmp_path: Path) -> None:
    sites = hospitals(tmp_path, 3)
    first = sessions_of(sites)[0].mask(1, STATE, vector(1, 2, 3))
    again = sessions_of(sites)[0].mask(1, STATE, vector(1, 2, 3))  # after a restart
    assert again["sum 1"].tobytes() == first["sum 1"].tobytes()


@pytest.mark.parametrize("restarted", [False, True])
def test_a_mask_never_hides_a_second_vector(restarted: bool, tmp_path: Path) -> None:
    sites = hospitals(tmp_path, 2)
    session = sessions_of(sites)[0]
    session.mask(1, STATE, vector(1, 2, 3))
    if restarted:
        session = sessions_of(sites)[0]
    with pytest.raises(UsageError, match="another vector in round 1"):
        session.mask(1, STATE, vector(1, 2, 4))
    with pytest.raises(UsageError, match="another state in round 1"):
        session.mask(1, "another state", vector(1, 2, 3))
    with pytest.raises(UsageError, match="another state in round 1"):
        session.mask(1, STATE, vector(1, 2))  # the sizes are part of the order
    session.mask(2, STATE, vector(1, 2, 4))


def test_a_vector_is_on_the_disk_before_its_words_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions_of(hospitals(tmp_path, 2))[0]
    order: list[str] = []
    sync, words = os.fsync, secure_sum._Stream.words

    def synced(file: int) -> None:
        order.append("synced")
        sync(file)

    def drawn(*args: object) -> object:
        order.append("masked")
        return words(*args)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(secure_sum._Stream, "words", drawn)
    session.mask(1, STATE, vector(1, 2))
    assert order == ["synced", "synced", "masked"]  # the file, its folder, and then the mask


def test_no_word_leaves_if_the_log_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions_of(hospitals(tmp_path, 2))[0]

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        session.mask(1, STATE, vector(1, 2))


def test_a_torn_line_is_dropped_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    sites = hospitals(tmp_path, 2)
    session = sessions_of(sites)[0]
    session.mask(1, STATE, vector(1))
    (log,) = (sites[0].folder / mask_log.FOLDER).glob("[0-9a-f]*.log")
    log.write_bytes(log.read_bytes() + b'["2", "torn')
    session.mask(2, STATE, vector(2))
    assert [json.loads(line)[0] for line in log.read_text().splitlines()] == ["1", "2"]
    with pytest.raises(UsageError, match="another vector in round 1"):
        session.mask(1, STATE, vector(7))
    log.write_bytes(b"{}\n" + log.read_bytes())
    with pytest.raises(UsageError, match="is damaged"):
        session.mask(3, STATE, vector(3))


# --- Sizes and types


def test_only_whole_numbers_of_64_bits_are_masked(tmp_path: Path) -> None:
    session = sessions_of(hospitals(tmp_path, 2))[0]
    for kind in (np.float64, np.int32, np.uint64):
        with pytest.raises(UsageError, match="int64"):
            session.mask(1, STATE, {"x": np.zeros(2, kind)})


def words_like(**shapes: tuple[int, ...]) -> Arrays:
    return {name: np.zeros(shape, np.uint64) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    "other",
    [
        words_like(x=(3,)),
        words_like(x=(1, 2)),
        words_like(y=(2,)),
        words_like(x=(2,), y=(2,)),
        {},
        {"x": np.zeros(2, np.int64)},
    ],
)
def test_vectors_of_other_sizes_are_refused(other: Arrays) -> None:
    good = words_like(x=(2,))
    assert total([good, good], 1)["x"].tolist() == [0, 0]
    for masked in ([good, other], [other, good]):
        with pytest.raises(UsageError, match="the same names and sizes"):
            total(masked, 1)


def test_too_few_vectors_and_impossible_bounds_are_refused() -> None:
    good = words_like(x=(2,))
    with pytest.raises(UsageError, match="at least 2 sites"):
        total([good], 1)
    for bound in (0, 1 << 63):
        with pytest.raises(UsageError, match="bound on the sum"):
            total([good, good], bound)


def test_a_sum_beyond_its_bound_is_refused() -> None:
    words = {"x": np.array([5, -5], np.int64).view(np.uint64)}
    assert total([words, words], 10)["x"].tolist() == [10, -10]
    with pytest.raises(UsageError, match="above its bound"):
        total([words, words], 9)
    least = {"x": np.array([-(1 << 63)], np.int64).view(np.uint64)}
    with pytest.raises(UsageError, match="above its bound"):
        total([least, words_like(x=(1,))], BOUND)


def test_a_lost_site_leaves_no_sum(tmp_path: Path) -> None:
    sessions = sessions_of(hospitals(tmp_path, 3))
    masked = [session.mask(1, STATE, vector(1, 2, 3, 4)) for session in sessions]
    with pytest.raises(UsageError, match="masks do not cancel"):
        total(masked[:2], 1 << 50)


# --- Keys


def test_a_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    first = identity_in(folder)
    assert identity_in(folder).public == first.public
    assert stat.S_IMODE((folder / KEY).stat().st_mode) == 0o600
    assert (folder / KEY).stat().st_size == 32
    assert identity_in(tmp_path / "other").public != first.public
    assert first.fingerprint == fingerprint_of(first.public)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    identity_in(tmp_path)
    (tmp_path / KEY).chmod(0o640)
    with pytest.raises(UsageError, match="0640; run chmod 600"):
        identity_in(tmp_path)


@pytest.mark.parametrize("content", [b"", b"k" * 31, b"k" * 33])
def test_a_file_that_is_no_key_is_refused_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / KEY
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="32 bytes"):
        identity_in(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("to", ["nowhere", "elsewhere"])
def test_a_link_is_no_key(to: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(bytes(range(32)))
    (tmp_path / KEY).symlink_to(tmp_path / to)
    with pytest.raises(UsageError, match="not a link"):
        identity_in(tmp_path)


def test_the_log_is_its_owners_alone(tmp_path: Path) -> None:
    sites = hospitals(tmp_path, 2)
    sessions_of(sites)[0].mask(1, STATE, vector(1))
    files = list((sites[0].folder / mask_log.FOLDER).glob("*.log"))
    assert len(files) == 2
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o600 for one in files)


def test_both_ends_agree_on_a_secret_that_others_do_not_know() -> None:
    one, two, three = (Identity(X25519PrivateKey.generate()) for _ in range(3))
    assert one.secret_with(two.public) == two.secret_with(one.public)
    assert one.secret_with(three.public) != one.secret_with(two.public)


def test_a_fingerprint_is_read_as_it_is_shown() -> None:
    fingerprint = fingerprint_of(bytes(32))
    assert read_fingerprint(shown(fingerprint)) == fingerprint
    assert len(shown(fingerprint).split()) == 16
    for text in ("", "12", fingerprint + "0", "g" * 64):
        with pytest.raises(UsageError, match="64 hexadecimal digits"):
            read_fingerprint(text)


def test_an_introduction_is_read_from_digits_or_refused(tmp_path: Path) -> None:
    said = Hospital(tmp_path).introduction
    assert Introduction.read(said.public.hex(), said.nonce.hex()) == said
    for public, nonce in [("", ""), ("zz" * 32, "00" * 16), ("00" * 31, "00" * 16)]:
        with pytest.raises(UsageError, match="public key of 32 bytes"):
            Introduction.read(public, nonce)
    with pytest.raises(UsageError, match="public key of 32 bytes"):
        Introduction.read(said.public.hex(), "00" * 15)
