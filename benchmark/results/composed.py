"""The composed privacy cost of all private fits of a sweep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from benchmark.core.budget import Guarantee, Unit
from benchmark.privacy.accounting.composition import total_epsilon
from benchmark.results.outcome import Outcome
from benchmark.results.result import Result
from benchmark.results.store import Store
from benchmark.results.summary import ALL


class Together(NamedTuple):
    """The composed ε of all private fits of a sweep.

    Attributes:
        fits: The number of fits with a finite ε; the others cannot be composed.
        unit: Their unit.
        delta: δ of the whole.
        epsilon: Composed, for the unit.
        epsilon_patient: Composed, for a patient.
    """

    fits: int
    unit: Unit
    delta: float
    epsilon: float
    epsilon_patient: float


def together(outcomes: Sequence[Outcome], store: Store) -> Together | None:
    """Compose the ε of all private fits of a sweep.

    A fit that several cells share counts once. Sites have patients of their own: each site's fits
    are composed, and the largest total counts.

    Args:
        outcomes: The sweep's cells.
        store: Where the results are.

    Returns:
        The composed cost; ``None`` for fewer than two private fits.
    """
    by_run = {
        result.fitted_as: _fit(outcome, result)
        for outcome in outcomes
        if (result := store.result(outcome.spec))
    }
    fits = [fit for fit in by_run.values() if fit]
    if len(fits) < 2:
        return None
    first = next(iter(fits[0].values()))
    unit, delta = first.unit, max(said.delta for fit in fits for said in fit.values())
    sites = {site for fit in fits for site in fit if site != ALL}
    seen = [[fit[s] for fit in fits for s in {site, ALL} & fit.keys()] for site in sites or {ALL}]
    return Together(
        fits=len(fits),
        unit=unit,
        delta=delta,
        epsilon=max(total_epsilon(each, delta, unit=unit) for each in seen),
        epsilon_patient=max(total_epsilon(each, delta) for each in seen),
    )


def _fit(outcome: Outcome, result: Result) -> dict[str, Guarantee]:
    """A private fit's guarantees by the site whose patients they are of, or of all alike."""
    found = result.guarantees or {outcome.spec.alone_at or ALL: result.guarantee}
    return found if all(0 < one.epsilon < math.inf for one in found.values()) else {}
