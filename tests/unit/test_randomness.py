import os
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri

from benchmark.privacy import randomness
from benchmark.privacy.randomness import SeededNoise, SystemNoise

# Every statistical law here is refused with a probability below 1e-7 when it holds.
RARE = 1e-7
RARE_SIGMAS = 5.5
GOLDEN_BATCH = [2, 3, 20, 24, 26, 27]
GOLDEN_NORMALS = [0.6805765, 0.5174939, 0.0766271]

SOURCES = pytest.mark.parametrize(
    "noise", [SystemNoise(), SeededNoise(0, "laws")], ids=["system", "seeded"]
)


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
def test_normals_follow_the_standard_normal_law(noise):
    n = 200_000
    drawn = noise.normal(n)
    assert drawn.shape == (n,)
    assert drawn.dtype == np.float32
    assert stats.kstest(drawn.astype(float), "norm").pvalue > RARE
    assert abs(drawn.mean(dtype=float)) < RARE_SIGMAS / np.sqrt(n)
    assert abs(drawn.var(dtype=float) - 1) < RARE_SIGMAS * np.sqrt(2 / n)
    assert abs((drawn.astype(float) ** 4).mean() - 3) < RARE_SIGMAS * np.sqrt(96 / n)


@SOURCES
@pytest.mark.parametrize("lag", [1, 2, 1 << 14])
def test_normals_are_independent_of_one_another(noise, lag):
    drawn = noise.normal(100_000).astype(float)
    products = drawn[lag:] * drawn[:-lag]
    assert abs(products.sum()) / np.sqrt(products.size) < RARE_SIGMAS


@SOURCES
def test_the_same_noise_never_comes_twice(noise):
    rows = [noise.normal(64) for _ in range(200)]
    assert len({row.tobytes() for row in rows}) == len(rows)
    long = noise.normal(3 << 14).reshape(3, -1)
    assert not any(np.array_equal(one, other) for one, other in pairwise(long))


@SOURCES
@pytest.mark.parametrize("n", [0, 1, (1 << 14) - 1, (1 << 14) + 1])
def test_as_many_normals_come_as_were_asked_for(noise, n):
    drawn = noise.normal(n)
    assert drawn.shape == (n,)
    assert np.isfinite(drawn).all()
    assert np.unique(drawn).size >= 0.9 * n


def test_only_the_seeded_source_says_that_it_is_seeded():
    assert SeededNoise(0).seeded
    assert not SystemNoise().seeded


def test_one_key_repeats_its_noise_and_its_batches():
    one, other = SeededNoise(3, "fit", "a1b2"), SeededNoise(3, "fit", "a1b2")
    for _ in range(3):
        assert one.poisson(100, 0.5).tolist() == other.poisson(100, 0.5).tolist()
        assert one.normal(100).tolist() == other.normal(100).tolist()


def test_seeded_noise_does_not_depend_on_how_many_batches_were_drawn():
    one, other = SeededNoise(3), SeededNoise(3)
    for _ in range(5):
        other.poisson(77, 0.5)
    assert one.normal(50).tolist() == other.normal(50).tolist()
    assert one.poisson(100, 0.5).tolist() != other.poisson(100, 0.5).tolist()


def test_seeded_noise_stays_what_it_was_in_earlier_versions():
    noise = SeededNoise(0, "golden")
    assert noise.poisson(40, 0.2).tolist() == GOLDEN_BATCH
    assert noise.normal(3).tolist() == pytest.approx(GOLDEN_NORMALS, abs=1e-6)


def test_distinct_keys_have_distinct_streams():
    keys = [(0,), (1,), ("0",), (0, 1), (1, 0), (0, "1"), ("ab", "c"), ("a", "bc"), ("abc",)]
    streams = [SeededNoise(*key) for key in keys]
    assert len({stream.normal(16).tobytes() for stream in streams}) == len(keys)
    assert len({stream.poisson(300, 0.5).tobytes() for stream in streams}) == len(keys)


def test_batches_and_noise_of_one_key_are_two_streams():
    noise = SeededNoise(5)
    same = np.empty(16, np.float32)
    randomness._box_muller(same, randomness._stream(5, "batches"))
    assert noise.normal(16).tolist() != same.tolist()


@pytest.mark.parametrize("n", [1, 2, 7, 16_384, 16_385])
def test_a_normal_takes_the_next_32_bits_of_its_stream(n: int) -> None:
    noise, rng = SeededNoise(5), randomness._stream(5, "noise")
    for _ in range(2):  # an odd number leaves no bits behind for the next draw
        found = noise.normal(n)
        for start in range(0, n, 16_384):
            block = found[start : start + 16_384]
            pairs = (len(block) + 1) // 2
            uniform = (rng.integers(0, 1 << 32, 2 * pairs, np.uint32) + 0.5) / 2.0**32
            radius = np.sqrt(-2 * np.log(uniform[:pairs]))
            angle = 2 * np.pi * uniform[pairs:]
            normals = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
            assert np.allclose(block, normals[: len(block)], atol=1e-5)


def test_an_empty_key_is_refused():
    with pytest.raises(ValueError, match="at least one part"):
        SeededNoise()


def test_system_noise_takes_every_bit_from_the_operating_system(monkeypatch):
    tape = np.random.default_rng(0)
    taken = []

    def urandom(size):
        taken.append(tape.bytes(size))
        return taken[-1]

    monkeypatch.setattr(os, "urandom", urandom)
    drawn = SystemNoise().normal(1000)
    words = np.frombuffer(b"".join(taken), np.uint64)
    uniforms = ((words >> np.uint64(12)).astype(float) + 0.5) / 2**52
    assert drawn == pytest.approx(ndtri(uniforms).reshape(4, 1000).sum(axis=0) / 2, abs=1e-5)
    taken.clear()
    batch = SystemNoise().poisson(1000, 0.25)
    words = np.frombuffer(b"".join(taken), np.uint64)
    assert batch.tolist() == np.flatnonzero(words < 2**62).tolist()


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_the_most_extreme_bits_still_give_finite_noise(monkeypatch, byte):
    monkeypatch.setattr(os, "urandom", lambda size: byte * size)
    assert np.abs(SystemNoise().normal(5)) == pytest.approx(2 * -ndtri(2.0**-53), abs=1e-5)


def test_a_rate_next_to_one_still_leaves_somebody_out(monkeypatch):
    monkeypatch.setattr(os, "urandom", lambda size: b"\xff" * size)
    assert SystemNoise().poisson(5, np.nextafter(1.0, 0.0)).tolist() == []


def test_a_forked_process_draws_other_noise_than_its_parent():
    noise = SystemNoise()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, noise.normal(32).tobytes())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 4 * 32)
    os.close(reader)
    os.close(writer)
    assert len(theirs) == 4 * 32
    assert noise.normal(32).tobytes() != theirs
