import os
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from benchmark.core.mechanism import Grid
from benchmark.privacy import randomness
from benchmark.privacy.mechanisms.discrete import Layered
from benchmark.privacy.randomness import SeededNoise, SystemNoise, keystream

# Every statistical law here is refused with a probability below 1e-7 when it holds.
RARE = 1e-7
RARE_SIGMAS = 5.5
GOLDEN_BATCH = [2, 3, 20, 24, 26, 27]
GOLDEN_NUMBERS = [-357451, -188393, 19587]

SOURCES = pytest.mark.parametrize(
    "noise", [SystemNoise(), SeededNoise(0, "laws")], ids=["system", "seeded"]
)


GRID = Grid(spacing=1.0, sensitivity=1.0, law=Layered.of_scale(2.0**18))


def normals(noise, n):
    """What the source adds to nothing, in steps of the grid."""
    return noise.noised(np.zeros(n, np.int64), GRID)


def members(noise, *, batches, n, rate):
    """A row for every batch, a column for every unit."""
    drawn = np.zeros((batches, n), bool)
    for row in drawn:
        row[noise.poisson(n, rate)] = True
    return drawn


@SOURCES
@pytest.mark.parametrize(("n", "rate"), [(60, 0.3), (4096, 1 / 64), (16, 0.5)])
def test_batch_sizes_follow_the_binomial_law(noise, n, rate):
    batches = 1500
    sizes = members(noise, batches=batches, n=n, rate=rate).sum(axis=1)
    law = stats.binom(n, rate)
    edges = np.unique(law.ppf(np.linspace(0, 1, 16)[1:-1]).astype(int))
    expected = batches * np.diff([0, *law.cdf(edges), 1])
    counts = np.bincount(np.searchsorted(edges, sizes), minlength=len(expected))
    assert expected.min() > 20
    assert stats.chisquare(counts, expected).pvalue > RARE


@SOURCES
def test_every_unit_enters_as_often_as_the_rate_says(noise):
    batches, n, rate = 1500, 300, 0.2
    often = members(noise, batches=batches, n=n, rate=rate).sum(axis=0)
    squares = (often - batches * rate) ** 2 / (batches * rate * (1 - rate))
    assert stats.chi2(n).sf(squares.sum()) > RARE
    assert stats.chi2(n).cdf(squares.sum()) > RARE


@SOURCES
@pytest.mark.parametrize("lag", [1, 2, 5])
def test_a_batch_says_nothing_about_a_later_one(noise, lag):
    rate = 0.25
    centred = members(noise, batches=800, n=200, rate=rate) - rate
    products = centred[lag:] * centred[:-lag] / (rate * (1 - rate))
    assert abs(products.sum()) / np.sqrt(products.size) < RARE_SIGMAS


@SOURCES
def test_two_units_enter_independently(noise):
    rate = 0.25
    centred = members(noise, batches=800, n=200, rate=rate) - rate
    products = centred[:, 1:] * centred[:, :-1] / (rate * (1 - rate))
    assert abs(products.sum()) / np.sqrt(products.size) < RARE_SIGMAS


@SOURCES
def test_indices_ascend_without_repetition_and_lie_below_n(noise):
    drawn = noise.poisson(500, 0.5)
    assert drawn.dtype == np.int64
    assert (np.diff(drawn) > 0).all()
    assert drawn.min() >= 0
    assert drawn.max() < 500


@SOURCES
def test_rate_zero_draws_nobody_and_rate_one_everybody(noise):
    for _ in range(20):
        assert noise.poisson(50, 0.0).tolist() == []
        assert noise.poisson(50, 1.0).tolist() == list(range(50))
    assert noise.poisson(0, 0.5).tolist() == []


@SOURCES
@pytest.mark.parametrize("rate", [-0.1, 1.0000001, float("nan"), float("inf")])
def test_a_rate_outside_the_unit_interval_is_refused_with_a_sentence(noise, rate):
    with pytest.raises(ValueError, match=r"Expected rate in \[0, 1\], got "):
        noise.poisson(10, rate)


@SOURCES
def test_noise_follows_its_law(noise):
    n = 200_000
    drawn = noise.noised(np.zeros(n, np.int64), GRID) / GRID.law.scale
    assert drawn.shape == (n,)
    assert stats.kstest(drawn, "norm").pvalue > RARE
    assert abs(drawn.mean()) < RARE_SIGMAS / np.sqrt(n)
    assert abs(drawn.var() - 1) < RARE_SIGMAS * np.sqrt(2 / n)
    assert abs((drawn**4).mean() - 3) < RARE_SIGMAS * np.sqrt(96 / n)


@SOURCES
def test_noise_is_added_to_the_sums(noise):
    sums = np.arange(100) * 10**9
    assert (np.abs(noise.noised(sums, GRID) - sums) < 10**8).all()


@SOURCES
@pytest.mark.parametrize("lag", [1, 2, 1 << 14])
def test_numbers_are_independent_of_one_another(noise, lag):
    drawn = normals(noise, 100_000) / GRID.law.scale
    products = drawn[lag:] * drawn[:-lag]
    assert abs(products.sum()) / np.sqrt(products.size) < RARE_SIGMAS


@SOURCES
def test_the_same_noise_never_comes_twice(noise):
    rows = [normals(noise, 64) for _ in range(200)]
    assert len({row.tobytes() for row in rows}) == len(rows)
    long = normals(noise, 3 << 14).reshape(3, -1)
    assert not any(np.array_equal(one, other) for one, other in pairwise(long))


@SOURCES
@pytest.mark.parametrize("n", [0, 1, (1 << 14) - 1, (1 << 14) + 1])
def test_as_many_numbers_come_as_were_asked_for(noise, n):
    drawn = normals(noise, n)
    assert drawn.shape == (n,)
    assert np.unique(drawn).size >= 0.9 * n


def test_only_the_seeded_source_says_that_it_is_seeded():
    assert SeededNoise(0).seeded
    assert not SystemNoise().seeded


def test_one_key_repeats_its_noise_and_its_batches():
    one, other = SeededNoise(3, "fit", "a1b2"), SeededNoise(3, "fit", "a1b2")
    for _ in range(3):
        assert one.poisson(100, 0.5).tolist() == other.poisson(100, 0.5).tolist()
        assert normals(one, 100).tolist() == normals(other, 100).tolist()


def test_seeded_noise_does_not_depend_on_how_many_batches_were_drawn():
    one, other = SeededNoise(3), SeededNoise(3)
    for _ in range(5):
        other.poisson(77, 0.5)
    assert normals(one, 50).tolist() == normals(other, 50).tolist()
    assert one.poisson(100, 0.5).tolist() != other.poisson(100, 0.5).tolist()


def test_seeded_noise_stays_what_it_was_in_earlier_versions():
    noise = SeededNoise(0, "golden")
    assert noise.poisson(40, 0.2).tolist() == GOLDEN_BATCH
    assert normals(noise, 3).tolist() == GOLDEN_NUMBERS


def test_distinct_keys_have_distinct_streams():
    keys = [(0,), (1,), ("0",), (0, 1), (1, 0), (0, "1"), ("ab", "c"), ("a", "bc"), ("abc",)]
    streams = [SeededNoise(*key) for key in keys]
    assert len({normals(stream, 16).tobytes() for stream in streams}) == len(keys)
    assert len({stream.poisson(300, 0.5).tobytes() for stream in streams}) == len(keys)


def test_batches_and_noise_of_one_key_are_two_streams():
    words = randomness._stream(5, "batches").bit_generator.random_raw
    assert normals(SeededNoise(5), 16).tolist() != (GRID.law.draw(16, words)).tolist()


def test_an_empty_key_is_refused():
    with pytest.raises(ValueError, match="at least one part"):
        SeededNoise()


def test_the_keystream_is_that_of_the_standard():
    """NIST SP 800-38A, F.5.5 (CTR-AES256.Encrypt): plain text xor cipher text."""
    key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
    counter, plain = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "6bc1bee22e409f96e93d7e117393172a"
    stream = keystream(bytes.fromhex(key + counter), 16)
    mixed = bytes(a ^ b for a, b in zip(stream, bytes.fromhex(plain), strict=True))
    assert mixed.hex() == "601ec313775789a5b7a7f504bbf3d228"


def test_many_words_have_a_key_of_their_own_from_the_operating_system(monkeypatch):
    taken = []

    def urandom(size):
        taken.append(bytes([len(taken)]) * size)
        return taken[-1]

    monkeypatch.setattr(os, "urandom", urandom)
    numbers = 1 << 14
    drawn = SystemNoise().noised(np.zeros(numbers, np.int64), GRID)
    assert {len(secret) for secret in taken} == {48}
    streams = (keystream(secret, 8 * (numbers * GRID.law.layers)) for secret in tuple(taken))
    parts = numbers // len(taken)
    expected = [
        GRID.law.draw(parts, lambda n, s=s: np.frombuffer(s, np.uint64)[:n]) for s in streams
    ]
    assert drawn.tolist() == np.concatenate(expected).tolist()


def test_few_words_are_the_operating_system_s_own(monkeypatch):
    tape = np.random.default_rng(0)
    taken = []

    def urandom(size):
        taken.append(tape.bytes(size))
        return taken[-1]

    monkeypatch.setattr(os, "urandom", urandom)
    drawn = normals(SystemNoise(), 500)
    words = np.frombuffer(b"".join(taken), np.uint64)
    assert drawn.tolist() == GRID.law.draw(500, lambda count: words[:count]).tolist()
    taken.clear()
    batch = SystemNoise().poisson(1000, 0.25)
    words = np.frombuffer(b"".join(taken), np.uint64)
    assert batch.tolist() == np.flatnonzero(words < 2**62).tolist()


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_the_most_extreme_bits_still_give_noise(monkeypatch, byte):
    monkeypatch.setattr(os, "urandom", lambda size: byte * size)
    assert (np.abs(normals(SystemNoise(), 5)) <= 20 * GRID.law.scale).all()


def test_a_rate_next_to_one_still_leaves_somebody_out(monkeypatch):
    monkeypatch.setattr(os, "urandom", lambda size: b"\xff" * size)
    assert SystemNoise().poisson(5, np.nextafter(1.0, 0.0)).tolist() == []


def test_a_forked_process_draws_other_noise_than_its_parent():
    noise = SystemNoise()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, normals(noise, 32).tobytes())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 8 * 32)
    os.close(reader)
    os.close(writer)
    assert len(theirs) == 8 * 32
    assert normals(noise, 32).tobytes() != theirs
