"""What each patient has paid, where one patient may have several identities.

Where an entry names one patient under several identities, he was several units of that fit, and
pays for so many. Their contributions are drawn and clipped apart, as the patches of a patient are
where the patch is the unit, and the same bound holds (``units``): composing the fit several times
would be too little, as several units of one draw pull the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmark.core.budget import Guarantee
from benchmark.core.identity import joined

History = tuple[tuple[int, int], ...]
"""What a patient has paid: an entry's number, and under how many identities it names him."""


def alike(said: Mapping[int, Mapping[str, Any]], numbers: Iterable[int]) -> Counter[History]:
    """How many patients have the same history among the entries of some numbers."""
    patient_of = joined(one for words in said.values() for one in words.get("patients", ()))
    of_patient: dict[str, Counter[int]] = {}
    for number in numbers:
        for one in said[number]["patients"]:
            of_patient.setdefault(patient_of[one], Counter())[number] += 1
    return Counter(tuple(sorted(found.items())) for found in of_patient.values())


def before_and_now(
    known: Iterable[str],
    numbers_of: Callable[[str], Iterable[int]],
    planned: Sequence[Iterable[str]],
) -> set[tuple[History, tuple[int, ...]]]:
    """What the patients of some spendings have paid, and how often each spending names them.

    Args:
        known: The identities that a ledger has.
        numbers_of: The entries that name an identity.
        planned: The identities in each spending.
    """
    asked = [set(patients) for patients in planned]
    patient_of = joined([*known, *(one for each in asked for one in each)])
    identities: dict[str, list[str]] = {}
    for one, patient in patient_of.items():
        identities.setdefault(patient, []).append(one)
    joins = [Counter(patient_of[one] for one in each) for each in asked]
    found = set()
    for patient in {patient for each in joins for patient in each}:
        paid = Counter(n for one in identities[patient] for n in numbers_of(one))
        found.add((tuple(sorted(paid.items())), tuple(each[patient] for each in joins)))
    return found


def owed(history: History, said: Mapping[int, Mapping[str, Any]]) -> list[Guarantee]:
    """The mechanisms of a patient's entries."""
    return [
        of_group(Guarantee.from_dict(said[number]["guarantee"]), count) for number, count in history
    ]


def of_group(guarantee: Guarantee, identities: int) -> Guarantee:
    """The mechanism as it is for a patient who was several of its patients."""
    if identities == 1:
        return guarantee
    each = 1 if guarantee.unit == "patient" else guarantee.patches_per_patient
    return replace(guarantee, unit="patch", patches_per_patient=identities * each)
