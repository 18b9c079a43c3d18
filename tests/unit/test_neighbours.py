"""Neighbours: every one differs by one unit, and draws follow the patches that are left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmark.core.patches import Patches
from benchmark.privacy.neighbours import blank, blank_units, neighbours, nobody, others
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.replay import Moved
from generators.checks import PUBLIC, patches

UNITS = {"patient": PUBLIC.patients, "patch": PUBLIC.patients * PUBLIC.patches_per_patient}


def by_slot(data: Patches) -> list[bytes]:
    """What every slot of every patient holds; nothing where it is empty."""
    held = [b""] * UNITS["patch"]
    for patient in range(data.patients):
        for place, row in enumerate(np.flatnonzero(data.patient == patient)):
            held[patient * data.patches_per_patient + place] = data.images[row].tobytes()
    return held


def test_neighbours_lie_at_both_ends_and_in_the_middle() -> None:
    whole = patches()
    gone = []
    for near in neighbours(whole, "patch"):
        missing = {*by_slot(whole)} - {*by_slot(near.patches)}
        assert len(missing) == 1
        gone.append((by_slot(whole).index(*missing), near.is_blank))
    assert gone == [(0, False), (4, False), (7, False), (47, False), (3 * 8 + 4, True)]
    left = [near.patches for near in neighbours(whole, "patient")]
    assert [len(one) for one in left] == [40, 40, 48]
    assert [sorted({*range(6)} - {*one.patient.tolist()}) for one in left] == [[0], [5], []]


@pytest.mark.parametrize("full", [True, False])
def test_a_patch_that_is_left_enters_whenever_it_did(full: bool) -> None:
    """Else a fit that draws slots would seem to move by all patches that moved up."""
    whole = patches()
    if not full:  # a slot of the first patient is empty
        kept = np.arange(len(whole)) != 5
        arrays = {name: getattr(whole, name)[kept] for name in ("images", "masks", "patient")}
        whole = replace(whole, **arrays)
    for near in neighbours(whole, "patch"):
        if near.places is None:
            continue
        assert sorted(near.places) == list(range(UNITS["patch"]))
        here, there = SeededNoise("draws"), Moved(SeededNoise("draws"), near.places)
        for _ in range(20):
            drawn, moved = here.poisson(UNITS["patch"], 0.4), there.poisson(UNITS["patch"], 0.4)
            assert (np.diff(moved) > 0).all()
            held = {by_slot(whole)[unit] for unit in drawn}
            assert {by_slot(near.patches)[unit] for unit in moved} - {b""} == held & {
                *by_slot(near.patches)
            } - {b""}


def test_draws_of_another_number_of_units_stay() -> None:
    moved = Moved(SeededNoise(1), np.array([2, 1, 0]))
    assert moved.poisson(5, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert Moved(SeededNoise(1), np.array([1, 2, 0])).poisson(3, 1.0).tolist() == [0, 1, 2]


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_blank_in_their_places(unit: str) -> None:
    whole = patches()
    gone = blank_units(whole, unit, np.array([1, 3]))
    each = len(whole) // UNITS[unit]
    expected = np.repeat(np.isin(np.arange(UNITS[unit]), [1, 3]), each)
    assert np.array_equal(~gone.images.any((1, 2, 3)), expected)
    assert np.array_equal(~gone.masks.any((1, 2, 3)), expected)
    assert np.array_equal(gone.patient, whole.patient)
    assert whole.images.any((1, 2, 3)).all(), "the data themselves stay"


def test_other_data_have_the_public_numbers_and_the_first_has_no_patient_s_patch() -> None:
    whole = patches()
    made = others(whole)
    assert next(iter(made)) == "wholly other data"
    assert not {*by_slot(made["wholly other data"])} & {*by_slot(whole)}
    for data in (*made.values(), blank(whole), nobody(whole)):
        assert (data.patients, data.patches_per_patient) == (PUBLIC.patients, 8)
    assert len(nobody(whole)) == 0
