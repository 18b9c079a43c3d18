"""A cohort is split among sites once, however many cells ask."""

import copy
from dataclasses import replace

import pytest
from made import INPUTS

from benchmark.sweep import sites
from benchmark.sweep.sites import Federation, split
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
