"""Membership inference on a fit that was made before: which unit of a pair was in it?

Nobody was held out by a coin. But where the fitted units were chosen at random, a coin can be had.
Each of some fitted units is paired, at random, with a unit of the same kind that was not fitted on.
Every choice of one unit from each pair was equally likely. So given the pairs, which unit was in is
a fair coin, independent of those of all other pairs. If the coin had fallen otherwise, one unit
would have been zeroed out and another put in, which bounds what a true claim allows
(``Claim.exchanged``). The attacker guesses that the unit with the nearer synthetic patch was in.
``judgement`` computes what the guesses prove.

Patches are paired with other patches of the same patient, which the fit's seed did not choose, and
only with those that have a vessel in their middle like them. Patients are paired with held-out
patients: there the random choice is that of the cohort's split, which its owner may have made
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.audit.bound import lower_bound
from benchmark.audit.judgement import (
    COUNTS,
    SPARE,
    Claim,
    Guesses,
    Judgement,
    fewest_guesses,
    judge,
)
from benchmark.audit.membership import MOST, RECORDS, SCORES, of_patients
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream

Distances = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of units, of each of which one was in the fit.

    Attributes:
        records: The patches by which the units are recognised: ``each`` of every pair's first unit,
            then those of the second units in the same order.
        each: How many of a unit.
        first_in: ``(m,)``, whether the first unit was in.
    """

    records: Patches
    each: int
    first_in: NDArray[np.bool_]


def pairs_of_patches(
    fitted: Patches, others: Patches, *, seed: int, most: int = MOST // 2
) -> Pairs:
    """Pair fitted patches with others of the same patients.

    Args:
        fitted: The patches of the fit.
        others: Patches of the same patients in the same order, cut with another seed.
        seed: Decides pairs and orders.
        most: The most pairs.

    Raises:
        ValueError: If the patches name no patients.
    """
    rng = np.random.default_rng(stream(seed, "pairs of patches"))
    new = _unfitted(fitted, others)
    mine, theirs = _kinds(fitted), _kinds(others)
    pairs = [
        _matched(np.flatnonzero(mine == kind), new[theirs[new] == kind], rng)
        for kind in np.intersect1d(mine, theirs[new])
    ]
    found = np.concatenate([*pairs, np.empty((0, 2), np.int64)])
    found = rng.permutation(found)[:most]
    return _ordered(fitted, others, found[:, :1], found[:, 1:], rng)


def pairs_of_patients(fitted: Patches, others: Patches, *, seed: int) -> Pairs:
    """Pair fitted patients with held-out ones.

    Args:
        fitted: The patches of the fit.
        others: The held-out patients' patches, cut by the same recipe.
        seed: Decides pairs, patches and orders.

    Raises:
        ValueError: If the patches name no patients.
    """
    rng = np.random.default_rng(stream(seed, "pairs of patients"))
    mine, theirs = _owners(fitted), _owners(others)
    pairs = _matched(np.unique(mine), np.unique(theirs), rng)
    each = min(RECORDS, max(1, MOST // max(1, 2 * len(pairs))))

    def rows(owner: NDArray[np.int64], units: NDArray[np.int64]) -> NDArray[np.int64]:
        chosen = [rng.choice(np.flatnonzero(owner == unit), each) for unit in units]
        return np.array(chosen, np.int64).reshape(len(units), each)

    return _ordered(fitted, others, rows(mine, pairs[:, 0]), rows(theirs, pairs[:, 1]), rng)


def judged_pairs(
    pairs: Pairs, scores: Mapping[str, Distances], claim: Claim, *, mistake: float
) -> Judgement:
    """Judge a claim by guesses on pairs.

    Args:
        pairs: The pairs, at least one.
        scores: The distances of their records from the nearest synthetic patch, by kind.
        claim: The claim for zeroing out one unit.
        mistake: The largest probability that a true claim is refuted.
    """
    many, exchanged = len(pairs.first_in), claim.exchanged
    nearer = {name: _first_is_nearer(scores[name], many, pairs.each) for name in SCORES}
    counts = _numbers_of_guesses(many, exchanged, mistake)
    rules: dict[str, Guesses] = {
        f"the {k} clearest pairs by {name}": _clearest(nearer[name], k)
        for name in SCORES
        for k in counts
    }
    return judge(exchanged, rules, pairs.first_in, mistake=mistake)


def largest_by_pairs(pairs: int, exchanged: Claim, *, mistake: float) -> float:
    """Return the ε that is refuted if all guesses on so many pairs are right.

    Args:
        pairs: How many pairs there are, at least one.
        exchanged: The claim for exchanging one unit for another.
        mistake: The largest probability that a true claim is refuted.
    """
    counts = _numbers_of_guesses(pairs, exchanged, mistake)
    confidence = 1 - mistake / (len(counts) * len(SCORES))
    return max(
        lower_bound(
            canaries=pairs, guesses=k, right=k, delta=exchanged.delta, confidence=confidence
        )
        for k in counts
    )


def _first_is_nearer(distances: Distances, pairs: int, each: int) -> Distances:
    """By how much each pair's first unit is nearer than the second, ``(m,)``."""
    first, second = of_patients(distances.reshape(2 * pairs, each)).reshape(2, pairs)
    return np.asarray(second - first)


def _numbers_of_guesses(pairs: int, claim: Claim, mistake: float) -> list[int]:
    """How many of the clearest pairs are guessed on, fixed by public numbers alone."""
    fewest = fewest_guesses(pairs, claim, mistake=mistake / (COUNTS * len(SCORES)))
    start = min(pairs, int(np.ceil(SPARE * fewest)))
    return sorted({round(k) for k in np.geomspace(start, pairs, COUNTS)})


def _clearest(nearer: Distances, count: int) -> Guesses:
    """On the pairs with the largest differences, the nearer unit is guessed in."""
    made = np.zeros(len(nearer), np.int8)
    rows = np.argsort(-np.abs(nearer), kind="stable")[:count]
    made[rows] = np.where(nearer[rows] > 0, 1, -1)
    return made


def _unfitted(fitted: Patches, others: Patches) -> NDArray[np.int64]:
    """The rows of patches that are not also among the fitted ones."""
    known = {_content(fitted, row) for row in range(len(fitted))}
    rows = [row for row in range(len(others)) if _content(others, row) not in known]
    return np.array(rows, np.int64)


def _content(patches: Patches, row: int) -> bytes:
    return bytes(patches.images[row].tobytes() + patches.masks[row].tobytes())


def _kinds(patches: Patches) -> NDArray[np.int64]:
    """Whose patch each is, and whether a vessel is in its middle, as one number."""
    return np.asarray(2 * _owners(patches) + patches.centred, np.int64)


def _owners(patches: Patches) -> NDArray[np.int64]:
    if patches.patient is None:
        raise ValueError("Patches of no known patient cannot be paired.")
    return np.asarray(patches.patient)


def _matched(
    mine: NDArray[np.int64], theirs: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """As many pairs as there can be, at random ``(m, 2)``."""
    many = min(len(mine), len(theirs))
    some = [rng.permutation(units)[:many] for units in (mine, theirs)]
    return np.stack(some, axis=1).astype(np.int64)


def _ordered(
    fitted: Patches,
    others: Patches,
    mine: NDArray[np.int64],
    theirs: NDArray[np.int64],
    rng: np.random.Generator,
) -> Pairs:
    """The pairs, each in an order of its own coin."""
    first_in = rng.random(len(mine)) < 0.5

    def records(kind: str) -> NDArray[Any]:
        ins = np.asarray(getattr(fitted, kind))[mine]
        outs = np.asarray(getattr(others, kind))[theirs]
        coin = first_in.reshape(-1, *[1] * (ins.ndim - 1))
        both = np.concatenate([np.where(coin, ins, outs), np.where(coin, outs, ins)])
        return both.reshape(-1, *both.shape[2:])

    patches = Patches(images=records("images"), masks=records("masks"))
    return Pairs(records=patches, each=mine.shape[1], first_in=first_in)
