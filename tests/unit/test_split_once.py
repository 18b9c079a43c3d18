"""A cohort is split among sites once, and a digest says who is at which."""

import copy
from dataclasses import replace

import pytest
from made import INPUTS

from benchmark.core.identity import Identity
from benchmark.sweep import sites
from benchmark.sweep.plan_cells import cells
from benchmark.sweep.request import Request
from benchmark.sweep.sites import Federation, assignment_of, split
from federation.partition import Partition

THREE = Partition(text="size-skew:8,5,3", sites=3)


def test_a_cohort_is_split_once_and_the_split_goes_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = replace(INPUTS)
    once = split(THREE, inputs)
    monkeypatch.setattr(sites, "_split", None)  # another call would fail
    assert split(Partition(text="size-skew:8,5,3", sites=3), inputs) is once
    there = copy.deepcopy(inputs)  # as a cell in another process has it
    assert {name: mine.data for name, mine in split(THREE, there).items()} == {
        name: mine.data for name, mine in once.items()
    }


def test_other_inputs_are_split_anew() -> None:
    inputs = replace(INPUTS)
    before = split(THREE, inputs)
    fewer = replace(inputs, train=inputs.train[1:], patients=inputs.patients[1:])
    after = split(THREE, fewer)
    assert sum(len(mine.train) for mine in before.values()) == 16
    assert sum(len(mine.train) for mine in after.values()) == 15


def test_two_partitions_are_two_splits() -> None:
    inputs = replace(INPUTS)
    assert {*split(THREE, inputs)} != {*split(Partition(text="site", sites=3), inputs)}
    assert Federation(sites=3).asked


def test_patients_who_move_to_another_site_are_another_assignment() -> None:
    own = Partition(text="site", sites=3)
    inputs = replace(INPUTS)
    first, *others = inputs.train
    elsewhere = next(patient.site for patient in others if patient.site != first.site)
    moved = replace(inputs, train=(replace(first, site=elsewhere), *others))
    assert assignment_of(own, moved) != assignment_of(own, inputs)
    assert assignment_of(own, replace(INPUTS)) == assignment_of(own, inputs)
    assert assignment_of(THREE, inputs) != assignment_of(own, inputs)


def test_a_site_alone_is_the_same_cell_wherever_others_move() -> None:
    how = Federation(sites=3, baselines=True)
    asked = Request(generators=("dp-simulator",), epsilons=(2.0,), bookends=False, federation=how)
    first, second, third, *others = INPUTS.train
    assert len({patient.site for patient in (first, second, third)}) == 3
    moved = replace(INPUTS, train=(replace(first, site=second.site), second, third, *others))
    before, after = (cells(asked, inputs, "") for inputs in (INPUTS, moved))
    same = {one.key for one in before} & {one.key for one in after}
    alone = {one.key for one in before if one.alone_at == third.site}
    pooled = {one.key for one in before if one.federation is None}
    assert same == alone | pooled


def test_of_real_patients_no_name_can_be_guessed_from_an_assignment() -> None:
    """It is published, and whoever knows the names could try them."""
    inputs = replace(INPUTS, private=True)
    keyed = tuple(Identity.of(f"other{at}", "") for at, _ in enumerate(inputs.train))
    elsewhere = replace(inputs, patients=keyed)
    assert assignment_of(THREE, elsewhere) != assignment_of(THREE, inputs)
    renamed = tuple(replace(patient, id=f"a-{patient.id}") for patient in inputs.train)
    assert assignment_of(THREE, replace(inputs, train=renamed)) == assignment_of(THREE, inputs)


def test_the_digest_of_a_split_stays_what_published_results_have() -> None:
    assert assignment_of(THREE, replace(INPUTS)) == "f8c1b4112f417b47"
