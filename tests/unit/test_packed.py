"""Patients' scores as one array: nothing of them is lost, and many results share what they can."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from scored import mean

from benchmark.metrics.scores import METRICS, NAMES
from benchmark.results.scored import Packed, PatientScores, TestSet

LATER = [metric.name for metric in METRICS if metric.since]
CAN_LACK = [metric.name for metric in METRICS if metric.can_lack and not metric.since]


def patient(number: int, **said: object) -> PatientScores:
    scores = {name: 0.1 + number / 70 for name in NAMES if name not in LATER}
    told = {"patient": f"sub-{number:02d}", "site": "east", "empty": False, **scores, **said}
    return PatientScores.model_validate(told)


def test_patients_come_back_as_they_were_given() -> None:
    rows = [
        patient(1),
        patient(2, site="", empty=True, dice=0.0),
        patient(3, **dict.fromkeys(CAN_LACK)),
        patient(4, **dict.fromkeys(LATER, 0.25)),
    ]
    packed = Packed(rows)
    assert list(packed) == rows
    assert [one.as_dict() for one in packed] == [one.as_dict() for one in rows]
    assert packed[-1] == rows[-1]
    assert packed[1:3] == Packed(rows[1:3])
    assert packed != Packed(rows[::-1])
    assert packed == tuple(rows)
    with pytest.raises(IndexError):
        packed[4]


@pytest.mark.parametrize("name", NAMES)
def test_a_column_has_every_patients_own_value(name: str) -> None:
    rows = [patient(number) for number in (3, 1, 2)]
    rows.append(patient(1, **dict.fromkeys(CAN_LACK)))  # twice in the list: a forged file
    assert Packed(rows).column(name) == [one.score(name) for one in rows]
    assert Packed(rows[:3]).by_patient(name) == {one.patient: one.score(name) for one in rows[:3]}


def test_a_file_is_written_as_it_was_read() -> None:
    values = dict.fromkeys(NAMES, 0.1 + 1 / 70)
    means = {name: mean(value).as_dict() for name, value in values.items() if name not in LATER}
    said = {"name": "test", "n": 1, **means, "patients": [patient(1).as_dict()]}
    read = TestSet.model_validate(said)
    assert read.as_dict() == json.loads(json.dumps(said))
    assert TestSet.model_validate({"name": "test", **means}).patients == ()
    assert TestSet.model_validate({**said, "patients": read.patients}) == read


def test_a_hundred_sets_of_patients_take_little_more_than_their_numbers() -> None:
    rows = [patient(number) for number in range(40)]
    Packed(rows)
    tracemalloc.start()
    kept = [Packed(rows) for _ in range(100)]
    taken = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    assert taken < 2 * 8 * len(NAMES) * len(rows)
