"""One noised mean of bounded vectors: what a generator that takes no private steps learns.

Every patch is mapped to a vector. A unit u contributes the mean v_u of its patches' vectors,
clipped to norm C. With the *public* number of units N, what is released is

    γ/N · ( Σ_u z_u + Z ),    z_u = v_u · min(1, C / ‖v_u‖) / γ  cut off to whole numbers,

on the public grid γ = C / 2^30. Cutting off, towards zero, makes no vector longer, and ‖z_u‖ ≤ C /
γ is checked in whole numbers. So zeroing out a unit moves the sum by C at most, to the last bit. Z
is exact discrete Gaussian noise of scale s = ⌈2^30 σ⌉ (``discrete``). It costs what normal noise of
multiplier σ does, which ``accounting`` bounds in closed form (Balle and Wang 2018,
arXiv:1805.06530, theorem 8), and about 10^-35 more of δ. Several releases of one fit compose to μ =
√T / σ. Whatever is computed from them is post-processing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.mechanism import Grid, Integers, Noise
from benchmark.core.patches import Patches
from benchmark.privacy.arithmetic import exact_arithmetic
from benchmark.privacy.mechanisms.discrete import Exact
from benchmark.privacy.mechanisms.poisson_gaussian import plan_poisson_gaussian

Vectors = NDArray[np.float64]
Features = Callable[[Patches], Vectors]
"""A function from patches to vectors ``(n, d)``, each computed from its own patch alone."""

CHUNK = 512
FINENESS = 1 << 30
"""C / γ: the length of a clipped vector in grid steps."""

LONGEST = 1 << 20
"""The most numbers that a vector may have."""


def grid_of(noise_multiplier: float, clip_norm: float, numbers: int = LONGEST) -> Grid:
    """Make the grid and the noise of a release. They do not depend on the number of entries.

    Args:
        noise_multiplier: σ, above 0.
        clip_norm: C, above 0, in the unit of the vectors.
        numbers: d, how long a vector is; up to 2^20.

    Returns:
        Spacing C / 2^30, sensitivity C, and the law of the noise.
    """
    law = Exact(math.ceil(noise_multiplier * FINENESS) + 1)
    return Grid(spacing=clip_norm / FINENESS, sensitivity=clip_norm, law=law)


def plan_releases(
    public: PublicNumbers,
    budget: Budget,
    *,
    clip_norm: float,
    releases: int = 1,
    shares: int = 1,
) -> Guarantee:
    """Calibrate noised means for a budget; at ε = ∞ they are unclipped and without noise.

    The noise of a mean is that of ``Release``, for vectors of up to 2^20 numbers.

    Args:
        public: The declared numbers of the data.
        budget: The ε (above 0), δ and unit that are asked for.
        clip_norm: C, above 0: the longest vector that one unit contributes. Longer ones are cut to
            that length.
        releases: T, how many means the fit takes; at least 1. They are composed.
        shares: In how many parts the noise is drawn (``shared_noise``). The distance of the drawn
            noise from its law is counted for each.

    Returns:
        The guarantee that ``Release`` runs under. Its ε never exceeds the budget's.

    Raises:
        UsageError: If no noise reaches the target.
    """
    open_ = replace(
        Guarantee.of(public, replace(budget, epsilon=math.inf), epsilon=math.inf), steps=releases
    )
    if math.isinf(budget.epsilon):
        return open_
    return plan_poisson_gaussian(
        open_,
        epsilon=budget.epsilon,
        clip_norm=clip_norm,
        accountant="gaussian",
        numbers=LONGEST * shares,
        grid_of=grid_of,
    )


class Release:
    """Takes the noised means of one fit: all that such a fit learns of its patients.

    Show it to ``context.inspect`` before the first mean. Whatever is computed from a mean is
    post-processing and spends nothing.

    Args:
        guarantee: What ``plan_releases`` returned: unit, σ, C and the public numbers.
    """

    def __init__(self, guarantee: Guarantee) -> None:
        self.guarantee = guarantee

    @property
    def units(self) -> int:
        """The public number of units, N."""
        each = 1 if self.guarantee.unit == "patient" else self.guarantee.patches_per_patient
        return self.guarantee.patients * each

    @property
    def deviation(self) -> float:
        """The standard deviation of the noise in every number of a mean."""
        if self.guarantee.noise_multiplier == 0:
            return 0.0
        return self.guarantee.noise_multiplier * self.guarantee.clip_norm / self.units

    @exact_arithmetic()
    def mean(self, patches: Patches, features: Features, noise: Noise) -> Vectors:
        """Release the noised mean of the units' clipped vectors.

        With the patch as unit, a unit's vector is the patch's. With the patient as unit, it is the
        mean of the patient's patches'. A vector that is not finite counts as zero.

        Args:
            patches: The patients' own, with ``patient`` given.
            features: Maps patches to vectors ``(n, d)``, each from its own patch alone.
            noise: ``context.noise``.

        Returns:
            float64 ``(d,)``. Without noise, at ε = ∞, it is the plain mean.

        Raises:
            ValueError: If ``patches.patient`` is ``None``, or d is above 2^20.
        """
        said = self.guarantee
        vectors = vectors_of_units(patches, features, said)
        if said.noise_multiplier == 0:
            total = sum(clipped(some, said.clip_norm).sum(0) for some in vectors)
            return np.asarray(total / self.units)
        grid = grid_of(said.noise_multiplier, said.clip_norm)
        steps = sum(on_grid(some, said.clip_norm).sum(0) for some in vectors)
        noised = noise.noised(np.asarray(steps, np.int64), grid)
        return np.asarray(noised * (grid.spacing / self.units))


def vectors_of_units(
    patches: Patches, features: Features, guarantee: Guarantee
) -> Iterator[Vectors]:
    """Yield the vectors of all units, some at a time.

    The first is a zero vector of no unit, which shows the length. Patches of different patients
    never share a call of ``features``. A patient's patches always fill the declared number of
    slots, some or all of them blank. So no bit of a unit's vector depends on whether another unit
    is there, and the time depends on public numbers alone.

    Args:
        patches: The patients' own, with ``patient`` given.
        features: Maps patches to vectors ``(n, d)``.
        guarantee: Its unit decides whether a row is a patch's vector or a patient's mean.

    Yields:
        float64 ``(m, d)``, all finite.

    Raises:
        ValueError: If ``patches.patient`` is ``None``.
    """
    if patches.patient is None:
        raise ValueError("Patches of no known patient cannot be released by unit.")
    yield np.zeros((1, _length(patches, features)))
    for patient in range(patches.patients):
        mine = np.flatnonzero(patches.patient == patient)
        rows = finite(np.concatenate([*_slots(patches, mine, features)]))
        if guarantee.unit == "patch":
            yield rows
        elif 0 < len(rows) == len(mine):
            with np.errstate(over="ignore"):
                yield finite(rows.mean(0, keepdims=True))


def _slots(patches: Patches, mine: NDArray[np.int64], features: Features) -> Iterator[Vectors]:
    """The vectors of one patient's patches; those of blank slots are computed and left out."""
    slots = max(patches.patches_per_patient, len(mine), 1)
    for start in range(0, slots, CHUNK):
        some = mine[start : start + CHUNK]
        yield features(_filled(patches, some, min(CHUNK, slots - start)))[: len(some)]


def finite(vectors: Vectors) -> Vectors:
    """Return the rows in which every number is finite."""
    kept: Vectors = vectors[np.isfinite(vectors).all(1)]
    return kept


def clipped(vectors: Vectors, clip_norm: float) -> Vectors:
    """Scale finite rows down to a norm of at most ``clip_norm``, up to rounding."""
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors * np.minimum(1, clip_norm / np.maximum(norms, 1e-300)))


def on_grid(vectors: Vectors, clip_norm: float) -> Integers:
    """Clip rows and convert them to steps of the grid C / 2^30.

    Args:
        vectors: float64 ``(m, d)``; a row that is not finite becomes zero.
        clip_norm: C.

    Returns:
        int64 ``(m, d)``; each row's norm is at most 2^30, exactly.
    """
    sound = np.where(np.isfinite(vectors).all(1, keepdims=True), vectors, 0.0)
    cut = np.trunc(clipped(sound, clip_norm) / clip_norm * FINENESS).astype(np.int64)
    while (long := np.square(cut).sum(1) > FINENESS**2).any():
        cut[long] -= np.sign(cut[long])
    return cut


def _length(patches: Patches, features: Features) -> int:
    """d, of a vector."""
    found = int(features(_filled(patches, np.arange(0), 1)).shape[1])
    if found > LONGEST:
        raise ValueError(f"Expected vectors of {LONGEST:,} numbers at most, got {found:,}.")
    return found


def _filled(patches: Patches, some: NDArray[np.int64], slots: int) -> Patches:
    """So many patches: some of the given ones, then blank ones."""
    shape = (slots, *patches.images.shape[1:])
    images, masks = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    images[: len(some)], masks[: len(some)] = patches.images[some], patches.masks[some]
    return Patches(images=images, masks=masks)
