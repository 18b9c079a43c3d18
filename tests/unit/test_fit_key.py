"""The key of a fit: which fields of a cell are part of it, and which only judge it."""

import math
from dataclasses import fields, replace

import pytest
from cells import SPEC

from benchmark.core.protocol import Protocol
from benchmark.results.fit_key import JUDGING_FIELDS, JUDGING_RULES, fit_key
from benchmark.results.spec import VALIDATION, RunSpec
from benchmark.results.spec_parts import AcrossSites, OneSite, OwnPatients, PlugIn, TunedBy

DECIDING_FIELDS = {
    *("generator", "protocol", "epsilon", "delta", "unit", "data", "noise", "seed"),
    *("sites", "federation", "canaries", "schema"),
}
DECIDING_RULES = {"patch_size", "patches_per_patient", "spacing_mm", "edition"}


def test_every_field_of_a_spec_is_known_to_decide_a_fit_or_only_to_judge_it() -> None:
    known = {field.name for field in fields(RunSpec)}
    assert known == DECIDING_FIELDS | {*JUDGING_FIELDS}, (
        "say of the new field whether it decides a fit: here, or in JUDGING_FIELDS"
    )
    assert not DECIDING_FIELDS & {*JUDGING_FIELDS}


def test_every_rule_of_a_protocol_is_known_to_decide_a_fit_or_only_to_judge_it() -> None:
    known = {field.name for field in fields(Protocol)}
    assert known == DECIDING_RULES | {*JUDGING_RULES}, (
        "say of the new value whether it decides a fit: here, or in JUDGING_RULES"
    )
    assert not DECIDING_RULES & {*JUDGING_RULES}


def generator(**changes: object) -> PlugIn:
    return replace(SPEC.generator, **changes)


def protocol(**changes: object) -> dict[str, object]:
    return {**SPEC.protocol, **changes}


DECIDES = {
    "generator": {"generator": generator(name="wgan")},
    "version": {"generator": generator(version=2)},
    "settings": {"generator": generator(settings={"batch": 9, "clip_norm": 0.5})},
    "epsilon": {"epsilon": math.inf},
    "delta": {"delta": 1e-6},
    "unit": {"unit": "patient"},
    "data": {"data": "e"},
    "noise": {"noise": "system"},
    "seed": {"seed": 1},
    "sites": {"sites": 3},
    "partition": {"federation": OneSite(partition="site", of=3, alone="a")},
    "assignment": {"federation": OneSite(partition="site", of=3, alone="a", assignment="0" * 16)},
    "rounds": {
        "federation": AcrossSites(partition="site", design="mixture", rounds=1, local_steps=1)
    },
    "canaries": {"canaries": 16},
    "schema": {"schema": 99},
    "patch_size": {"protocol": protocol(patch_size=64)},
    "patches_per_patient": {"protocol": protocol(patches_per_patient=2)},
    "spacing_mm": {"protocol": protocol(spacing_mm=0.5)},
    "edition": {"protocol": protocol(edition="2026-2")},
    "purpose": {"test_data": {VALIDATION: "t"}},
}


@pytest.mark.parametrize("change", DECIDES.values(), ids=DECIDES)
def test_what_decides_a_fit_changes_its_key(change: dict) -> None:
    assert fit_key(replace(SPEC, **change)) != fit_key(SPEC)


JUDGES = {
    "segmenter": {"segmenter": PlugIn(name="frangi", version=1, settings={})},
    "test_data": {"test_data": {"test": "t", "other": "o"}},
    "fid_weights": {"fid_weights": "w"},
    "validation": {"validation": "v"},
    "tuned": {"tuned": TunedBy(epsilon=2, study="s", on="phantom", selection="not accounted")},
    "own": {"own": OwnPatients(patients=(1,), mixture="half")},
    "samples": {"protocol": protocol(samples=9)},
    "fid_n": {"protocol": protocol(fid_n=9)},
    "fid_dims": {"protocol": protocol(fid_dims=192)},
}


@pytest.mark.parametrize("change", JUDGES.values(), ids=JUDGES)
def test_what_only_judges_changes_the_cell_and_not_its_fit(change: dict) -> None:
    other = replace(SPEC, **change)
    assert other.key != SPEC.key
    assert fit_key(other) == fit_key(SPEC)


def test_one_value_has_one_key() -> None:
    assert fit_key(replace(SPEC, epsilon=2)) == fit_key(SPEC)
    assert len(fit_key(SPEC)) == 12
