"""What a sweep's fits would charge each group of patients, without charging anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.privacy.accounting.composition import total_epsilon
from benchmark.privacy.ledger.ledger import DELTA, Ledger, Spending
from benchmark.results.summary import ALL
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.sites import split
from federation.partition import Partition


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What the fits of a sweep cost a group of patients.

    Attributes:
        group: The site, or ``all``.
        patients: How many patients it has.
        fits: How many new fits charge them.
        without_bound: How many of those have no finite ε, or seeded noise on private data.
        before: What the ledger's worst patient of the group has paid, as ε at δ = 1e-5.
        after: What that patient would have paid then; of phantoms, all fits with a finite ε.
        private: Whether they are real patients, for whom a cap holds.
    """

    group: str
    patients: int
    fits: int
    without_bound: int
    before: float
    after: float
    private: bool


def groups_of(inputs: Inputs, partition: Partition | None) -> Mapping[str, Inputs]:
    """Return the groups of patients that pay alike: those of each site, or all.

    Args:
        inputs: The sweep's data.
        partition: Of the sites; ``None`` for none.
    """
    return {ALL: inputs} if partition is None else split(partition, inputs)


def charges(
    spendings: Sequence[Spending], groups: Mapping[str, Inputs], ledger: Ledger
) -> list[Charge]:
    """Compose what new fits cost each group of patients.

    Args:
        spendings: Those of the fits that would be charged.
        groups: By name, the data whose patients are a group.
        ledger: What was spent before.

    Raises:
        LedgerError: If the ledger cannot be used.
    """
    paid = [one for one in spendings if one.guarantee.epsilon > 0]
    return [_charge(name, mine, paid, ledger) for name, mine in groups.items()]


def _charge(name: str, mine: Inputs, paid: Sequence[Spending], ledger: Ledger) -> Charge:
    group = frozenset(mine.patients)
    named: dict[tuple[str, ...], tuple[str, ...]] = {}
    theirs = []
    for one in paid:
        if one.patients not in named:
            named[one.patients] = tuple(patient for patient in one.patients if patient in group)
        if named[one.patients]:
            theirs.append(replace(one, patients=named[one.patients]))
    unbound = [one for one in theirs if _has_no_bound(one)]
    before, after = ledger.worst(theirs, mine.patients) if mine.private else _of_phantoms(theirs)
    return Charge(
        group=name,
        patients=len(mine.train),
        fits=len(theirs),
        without_bound=len(unbound),
        before=before,
        after=after,
        private=mine.private,
    )


def _has_no_bound(one: Spending) -> bool:
    seeded = one.private and one.guarantee.seeded
    return seeded or math.isinf(one.guarantee.epsilon)


def _of_phantoms(spendings: Sequence[Spending]) -> tuple[float, float]:
    """What they would cost, were they patients; a fit without noise is left out."""
    finite = [one.guarantee for one in spendings if not _has_no_bound(one)]
    return 0.0, total_epsilon(finite, DELTA) if finite else 0.0
