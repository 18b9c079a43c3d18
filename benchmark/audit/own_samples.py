"""Membership inference from what a run's generator draws, against the fit's own claim."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.audit.exchange import Pairs, judged_pairs, pairs_of_patches, pairs_of_patients
from benchmark.audit.membership import Nearest
from benchmark.audit.own_fit import FORMAT, Attempted, FitAudit
from benchmark.core.budget import Guarantee
from benchmark.core.generator import Generator, Progress, drawn, silent
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream

DRAWN, CHUNK = 8192, 1024
"""How many synthetic patches the attacker sees, and how many are drawn at a time."""


def audit_by_samples(
    generator: Generator,
    fitted: Patches,
    others: Patches,
    guarantee: Guarantee,
    *,
    run: str,
    seed: int,
    progress: Progress = silent,
) -> FitAudit | None:
    """Guess from synthetic patches which units were fitted on.

    Args:
        generator: The fitted generator.
        fitted: The patches that it was fitted on.
        others: Where the patch is the unit, other patches of the same patients; where the patient
            is, held-out patients' patches.
        guarantee: The fit's guarantee.
        run: The run's key.
        seed: Decides pairs and draws.
        progress: Called for every part of the draws.

    Returns:
        The counts; ``None`` if there is no pair to guess on.

    Raises:
        PlugInError: If the generator does not draw what it is asked for.
    """
    paired = pairs_of_patches if guarantee.unit == "patch" else pairs_of_patients
    pairs = paired(fitted, others, seed=seed)
    if not len(pairs.first_in):
        return None
    found = judged_pairs(pairs, _scores(generator, pairs, seed, progress), guarantee)
    return FitAudit(
        format=FORMAT,
        run=run,
        method="membership",
        unit=guarantee.unit,
        candidates=found.candidates,
        samples=DRAWN,
        attempts=tuple(Attempted(guesses=a.guesses, right=a.right) for a in found.attempts),
    )


def _scores(
    generator: Generator, pairs: Pairs, seed: int, progress: Progress
) -> dict[str, NDArray[np.float64]]:
    """The distances of the pairs' records from the nearest synthetic patch."""
    nearest = Nearest(pairs.records)
    for start in range(0, DRAWN, CHUNK):
        part = stream(seed, f"attacked {start}")
        nearest.hear(drawn(generator, CHUNK, seed=part, size=pairs.records.size))
        progress(start + CHUNK, DRAWN, {})
    return nearest.scores
