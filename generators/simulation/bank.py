"""A bank of candidate populations, each with its judge. It is made without data and cached.

Candidates come from the simulator's prior by a public seed. Making a bank takes seconds, so it is
kept in the cache folder: the SHA-256 of the content, then the content. No guarantee depends on a
kept bank, because what it says about a unit is cut off to [0, 1].
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from benchmark.core.folders import cache_folder
from benchmark.core.seeds import stream
from generators.simulation.families import family
from generators.simulation.family import Family
from generators.simulation.judges import FILTERS, Judges, learnt, together

METHOD = "bank/1"
"""Raised whenever the same recipe makes another bank."""

CHECKSUM_BYTES = 32
EDGE = 0.02
"""How far shares of a range are kept from its ends before they become logits."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a bank.

    Attributes:
        candidates: K.
        seed: The public seed.
        spread: The spread of a population's patches around its parameters, in logits.
        patches: How many patches a judge learns from.
        hidden: The hidden units of a judge.
        steps: The training steps of a judge.
        size: The side of a patch.
        design: The design of the simulator (``families``).
        pixel_mm: A pixel's nominal side, for designs that have one.
    """

    candidates: int
    seed: int
    spread: float
    patches: int
    hidden: int
    steps: int
    size: int
    design: str = "tubes"
    pixel_mm: float = 0.8

    @property
    def family(self) -> Family:
        """The family of the candidates."""
        return family(self.design, self.pixel_mm)

    @property
    def key(self) -> str:
        """The file name of its bank."""
        said = json.dumps([METHOD, asdict(self)], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:32]


def parameters(candidates: int, seed: int, of: Family) -> NDArray[np.float32]:
    """Return the candidates' parameters in [0, 1], ``(K, p)``; this needs no training."""
    return of.prior(candidates, np.random.default_rng(stream(seed, "candidates")))


def around(
    theta: NDArray[np.float32], n: int, spread: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw parameters ``(n, p)`` of patches of one population: its own, varied in logits.

    Args:
        theta: The population's parameters ``(p,)``, in [0, 1].
        n: How many patches.
        spread: The standard deviation of the logits.
        rng: The random generator.
    """
    share = np.clip(theta.astype(np.float64), EDGE, 1 - EDGE)
    logits = np.log(share / (1 - share)) + spread * rng.standard_normal((n, len(theta)))
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def judges_of(recipe: Recipe) -> Judges:
    """Return the candidates' judges, from the cache or newly trained."""
    return _opened_or_made(recipe, cache_folder() / "banks")


@lru_cache(maxsize=2)
def _opened_or_made(recipe: Recipe, folder: Path) -> Judges:
    file = folder / recipe.key
    kept = _opened(file, recipe)
    if kept is not None:
        return kept
    made = _made(recipe)
    with contextlib.suppress(OSError):
        _keep(file, save(made._asdict()))
    return made


def _made(recipe: Recipe) -> Judges:
    found = []
    for number, theta in enumerate(parameters(recipe.candidates, recipe.seed, recipe.family)):
        seed = stream(recipe.seed, f"candidate {number}")
        rng = np.random.default_rng(seed)
        drawn = around(theta, recipe.patches, recipe.spread, rng)
        images, masks = recipe.family.draw(drawn, recipe.size, rng)
        found.append(learnt(images, masks, hidden=recipe.hidden, steps=recipe.steps, seed=seed))
    return together(found)


def _opened(file: Path, recipe: Recipe) -> Judges | None:
    try:
        content = file.read_bytes()
        checksum, packed = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
        if hashlib.sha256(packed).digest() != checksum:
            return None
        kept = Judges(**load(packed))
    except (OSError, TypeError, ValueError, SafetensorError):
        return None
    return kept if kept.first.shape == (recipe.candidates, FILTERS, recipe.hidden) else None


def _keep(file: Path, packed: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
    partial.write_bytes(hashlib.sha256(packed).digest() + packed)
    partial.replace(file)
