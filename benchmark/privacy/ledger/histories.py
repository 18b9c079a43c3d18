"""The spending histories of patients, where one patient may have several identities.

If an entry names one patient under several identities, the patient was several units of that fit
and pays for each. Their contributions are drawn and clipped separately, like the patches of a
patient where the patch is the unit. So the same bound holds (``units``). Composing the fit several
times would give too little, as several units of one draw shift the sum together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from benchmark.core.budget import Guarantee
from benchmark.core.identity import joined

History = tuple[tuple[int, int], ...]
"""A patient's spending: each entry's number, and under how many identities it names the patient."""


def alike(said: Mapping[int, Mapping[str, Any]], numbers: Iterable[int]) -> Counter[History]:
    """Count how many patients have the same history.

    Args:
        said: The content of every entry, by its number.
        numbers: The entries that count.

    Returns:
        The number of patients by history.
    """
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
    """Find the histories of the patients in planned spendings.

    Args:
        known: The identities that a ledger has.
        numbers_of: Returns the entries that name an identity.
        planned: The identities in each spending.

    Returns:
        Each distinct history, with how often each planned spending names such a patient.
    """
    asked = [frozenset(patients) for patients in planned]
    groups = set(asked)  # the seeds of a sweep name the same patients
    patient_of = joined([*known, *(one for each in groups for one in each)])
    identities: dict[str, list[str]] = {}
    for one, patient in patient_of.items():
        identities.setdefault(patient, []).append(one)
    named = {each: Counter(patient_of[one] for one in each) for each in groups}
    joins = [named[each] for each in asked]
    found = set()
    for patient in {patient for each in named.values() for patient in each}:
        paid = Counter(n for one in identities[patient] for n in numbers_of(one))
        found.add((tuple(sorted(paid.items())), tuple(each[patient] for each in joins)))
    return found


def owed(history: History, said: Mapping[int, Mapping[str, Any]]) -> list[Guarantee]:
    """Return the mechanisms that a patient pays for.

    Args:
        history: The patient's history.
        said: The content of every entry, by its number.
    """
    return [of_group(_guarantee(said[number]), count) for number, count in history]


def _guarantee(words: Mapping[str, Any]) -> Guarantee:
    return _read(json.dumps(words["guarantee"], sort_keys=True))


@lru_cache(maxsize=4096)
def _read(text: str) -> Guarantee:
    """A guarantee from its JSON: a sweep's seeds have the same one."""
    return Guarantee.from_dict(json.loads(text))


def of_group(guarantee: Guarantee, identities: int) -> Guarantee:
    """Return a mechanism as it is for a patient who was several of its patients.

    Args:
        guarantee: The mechanism.
        identities: How many of its patients are this one; at least 1.

    Returns:
        The same for 1. Otherwise a guarantee with the patch as unit and all the patient's units as
        patches.
    """
    if identities == 1:
        return guarantee
    each = 1 if guarantee.unit == "patient" else guarantee.patches_per_patient
    return replace(guarantee, unit="patch", patches_per_patient=identities * each)
