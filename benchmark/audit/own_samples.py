"""Membership inference from what a run's generator draws, against the fit's own claims.

Where the patient is the unit there are few pairs to guess on, which can refute little. So the claim
that follows for a patch is tested too: a generator that copies patches breaks both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.audit.exchange import Pairs, judged_pairs, pairs_of_patches, pairs_of_patients
from benchmark.audit.judgement import COUNTS, Claim, number_of_candidates
from benchmark.audit.membership import MISTAKE, MOST, SCORES, Nearest, mistake_of
from benchmark.audit.own_fit import FORMAT, Attempted, FitAudit, FitTest
from benchmark.core.budget import Guarantee
from benchmark.core.generator import Generator, Progress, drawn, silent
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream

DRAWN, CHUNK = 8192, 1024
"""How many synthetic patches the attacker sees, and how many are drawn at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """The patches that an attacker tells apart.

    Attributes:
        fitted: Those that the generator was fitted on.
        unfitted: Other patches of the same patients, in the same order.
        held_out: Patches of patients who were not fitted on.
    """

    fitted: Patches
    unfitted: Patches
    held_out: Patches


def audit_by_samples(
    generator: Generator,
    known: Known,
    guarantee: Guarantee,
    *,
    run: str,
    seed: int,
    progress: Progress = silent,
) -> FitAudit | None:
    """Guess from synthetic patches which units were fitted on.

    Args:
        generator: The fitted generator.
        known: The patches to tell apart.
        guarantee: The fit's guarantee.
        run: The run's key.
        seed: Decides pairs and draws.
        progress: Called for every part of the draws.

    Returns:
        The counts; ``None`` if there is no pair of the fit's own unit to guess on.

    Raises:
        PlugInError: If the generator does not draw what it is asked for.
    """
    games = [*_games(known, guarantee, seed)]
    if not games or games[0][0].unit != guarantee.unit:
        return None
    nearest = [Nearest(pairs.records) for _, pairs in games]
    for start in range(0, DRAWN, CHUNK):
        part = stream(seed, f"attacked {start}")
        some = drawn(generator, CHUNK, seed=part, size=known.fitted.size)
        for one in nearest:
            one.hear(some)
        progress(start + CHUNK, DRAWN, {})
    return FitAudit(
        format=FORMAT,
        run=run,
        method="membership",
        samples=DRAWN,
        tests=tuple(
            _test(claim, pairs, one.scores, _mistake(claim, guarantee, len(games)))
            for (claim, pairs), one in zip(games, nearest, strict=True)
        ),
    )


def _games(known: Known, guarantee: Guarantee, seed: int) -> Iterator[tuple[Claim, Pairs]]:
    """The claims that can be tested, that of the fit's own unit first."""
    if guarantee.unit == "patient":
        patients = pairs_of_patients(known.fitted, known.held_out, seed=seed)
        if len(patients.first_in):
            yield Claim.of(guarantee), patients
    claim = Claim.of_a_patch(guarantee)
    mistake = mistake_of("patch", guarantee.unit) / (COUNTS * len(SCORES))
    most = number_of_candidates(MOST // 2, claim.exchanged, mistake=mistake)
    patches = pairs_of_patches(known.fitted, known.unfitted, seed=seed, most=most)
    if len(patches.first_in):
        yield claim, patches


def _mistake(claim: Claim, guarantee: Guarantee, tests: int) -> float:
    return MISTAKE if tests == 1 else mistake_of(claim.unit, guarantee.unit)


def _test(
    claim: Claim, pairs: Pairs, scores: dict[str, NDArray[np.float64]], mistake: float
) -> FitTest:
    found = judged_pairs(pairs, scores, claim, mistake=mistake)
    return FitTest(
        unit=claim.unit,
        candidates=found.candidates,
        attempts=tuple(Attempted(guesses=a.guesses, right=a.right) for a in found.attempts),
    )
