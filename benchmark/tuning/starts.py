"""The privacy cost of a study. Each of its cells is entered with its trial before it starts.

A ledger knows the fits of its own machine, while a study may have workers on many. A start without
a result counts, and one that continued from a checkpoint counts again. So the sum is an upper
bound.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmark.core.budget import Guarantee, Unit
from benchmark.core.files import plain
from benchmark.core.folders import machine_secret
from benchmark.privacy.accounting.composition import total_epsilon
from benchmark.privacy.ledger.ledger import DELTA, Spending
from benchmark.results.composed import Together

if TYPE_CHECKING:
    import optuna

STARTED = "started"


def place_of(root: Path, state: Path) -> str:
    """Return a name for a store on a machine that reveals neither.

    Args:
        root: The store's folder.
        state: The state folder, with the machine's secret.

    Returns:
        Eight hexadecimal digits.
    """
    said = str(root.resolve()).encode()
    return hmac.new(machine_secret(state), said, hashlib.sha256).hexdigest()[:8]


def enter(trial: optuna.Trial, spendings: Sequence[Spending], place: str) -> None:
    """Record the start of a cell in its trial: a guarantee for each site, in the sites' order.

    Args:
        trial: Optuna's trial.
        spendings: The spendings of the cell, one for each site.
        place: From ``place_of``.
    """
    name = f"{STARTED} {spendings[0].run} {place} {uuid4().hex[:8]}"
    trial.set_user_attr(name, [plain(one.guarantee.as_dict()) for one in spendings])


def entered(study: optuna.Study, run: str, place: str) -> bool:
    """Tell whether a start of this cell at this place was recorded."""
    return any(name.startswith(f"{STARTED} {run} {place} ") for name, _ in _starts([study]))


def composed(studies: Sequence[optuna.Study], unit: Unit) -> float:
    """Compose the ε of all starts of some studies of one cohort, by all workers.

    Sites have patients of their own: the site that paid most counts.

    Args:
        studies: The studies.
        unit: The unit of the ε.
    """
    starts = dict(_starts(studies))
    sites = zip(*starts.values(), strict=True)
    paid = ([Guarantee.from_dict(said) for said in one] for one in sites)
    return max((total_epsilon(each, DELTA, unit=unit) for each in paid), default=0.0)


def spent(studies: Sequence[optuna.Study], unit: Unit) -> Together:
    """Compose what all starts cost together, for the unit and for a patient."""
    return Together(
        fits=len(dict(_starts(studies))),
        unit=unit,
        delta=DELTA,
        epsilon=composed(studies, unit),
        epsilon_patient=composed(studies, "patient"),
    )


def _starts(studies: Sequence[optuna.Study]) -> Iterator[tuple[str, Any]]:
    for study in studies:
        for trial in study.get_trials(deepcopy=False):
            yield from (
                (name, said) for name, said in trial.user_attrs.items() if name.startswith(STARTED)
            )
