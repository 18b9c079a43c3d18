"""A segmenter that was itself fitted privately, in tables, charts, commands and published files."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from made import (
    INPUTS,
    VALIDATED,
    entry,
    of_patients,
    scored_on_validation,
    spec,
    specs,
)

from benchmark.results.bookends import FREE
from benchmark.results.spec import RunSpec
from leaderboard.board import tables_of
from leaderboard.entries import Entry
from leaderboard.markdown import lines_of
from leaderboard.notes import notes_of
from leaderboard.published import Published
from leaderboard.sharing import published, shared
from leaderboard.verification import verified
from leaderboard.view import view_of

DIRECT = {"generators": ("dp-segmenter",), "epsilons": (5.0,)}


def direct(cache: Path, made: RunSpec | None = None) -> Entry:
    return entry(made or spec(**DIRECT), cache)


def test_it_stands_in_every_table_that_shares_all_but_the_segmenter(cache: Path) -> None:
    unet, frangi = (entry(spec(segmenters=(name,)), cache) for name in ("unet", "frangi"))
    elsewhere = entry(spec(delta=1e-6), cache)
    tables = tables_of([direct(cache), unet, frangi, elsewhere])
    found = {
        (table.common.segmenter.name, table.common.delta): [row.who for row in table.rows]
        for table in tables
    }
    here, there = unet.spec.delta, 1e-6
    assert found == {
        ("unet", here): ["dp-wgan", "dp-segmenter"],
        ("frangi", here): ["dp-wgan", "dp-segmenter"],
        ("unet", there): ["dp-wgan"],
    }
    (alone,) = tables_of([direct(cache)])
    assert [row.who for row in alone.rows] == ["dp-segmenter"]


def test_it_is_said_to_be_without_synthesis_and_has_no_distance(cache: Path) -> None:
    sweep = [entry(one, cache) for one in specs(bookends=True)]
    (table,) = tables_of([*sweep, direct(cache)])
    assert [row.who for row in table.rows] == ["real", "dp-wgan", "dp-segmenter", *FREE]
    assert [row.is_bookend for row in table.rows] == [True, False, False, True, True, True]
    shown = view_of([table])["tables"][0]["rows"][2]
    assert shown["direct"]
    assert shown["distance"] is shown["fid"] is None
    assert "there are no synthetic patches" in shown["detail"]["privacy"]
    assert "no synthetic patches to compare" in shown["detail"]["fid"]
    assert any("dp-segmenter: the segmenter itself was fitted" in note for note in notes_of(table))
    line = next(line for line in lines_of(table.rows, "test") if "dp-segmenter" in line)
    assert "missing" not in line
    assert math.isclose(table.rows[2].tests["test"].fraction_of_real or 0, 1.0)


def test_a_published_file_of_it_is_recomputed_like_any_other(cache: Path, tmp_path: Path) -> None:
    file = published(direct(cache)).write(tmp_path)
    assert file.name.startswith("dp-segmenter-")
    one = Published.read(file)
    assert verified(one, INPUTS, cache) == ([], [])
    said = replace(one.result.guarantee, noise_multiplier=0.1)
    forged = replace(one, result=one.result.but(guarantee=said))
    assert verified(forged, INPUTS, cache).faults


def free_row(cache: Path, name: str) -> Published:
    (made,) = (one for one in specs(bookends=True) if one.generator.name == name)
    return published(scored_on_validation(entry(made, cache), 0.6))


@pytest.mark.parametrize("name", FREE)
def test_a_free_row_is_recomputed_with_its_validation_score(
    cache: Path, tmp_path: Path, name: str
) -> None:
    one = Published.read(free_row(cache, name).write(tmp_path))
    assert verified(one, VALIDATED, cache) == ([], [])
    told = one.result.validation
    better = told.but(dice=told.dice.but(mean=0.1))
    fewer = told.but(patients=told.patients[1:])
    for said, fault in (
        (better, "dice on val is not that of its patients"),
        (fewer, "the patients on val are not the phantoms"),
    ):
        forged = replace(one, result=one.result.but(validation=said))
        assert any(fault in found for found in verified(forged, VALIDATED, cache).faults)
    assert "its validation patients are not the embedded phantoms" in (
        verified(one, INPUTS, cache).faults
    )


def test_a_method_with_other_constants_does_not_add_up(cache: Path) -> None:
    one = free_row(cache, "threshold")
    plug_in = replace(one.spec.generator, settings={"share": 0.02})
    made = replace(one.spec, generator=plug_in, segmenter=plug_in)
    forged = replace(one, spec=made, result=one.result.but(spec=made, run_key=made.key))
    assert "its constants are not the published ones" in verified(forged, VALIDATED, cache).faults


def test_only_a_free_row_says_something_of_validation_patients(cache: Path) -> None:
    one = published(scored_on_validation(entry(spec(), cache), 0.6))
    found = verified(one, VALIDATED, cache).faults
    assert "it is no free row, and says something of validation patients" in found


def test_of_few_validation_patients_nothing_leaves_but_their_owner_keeps_it(cache: Path) -> None:
    (made,) = (one for one in specs(bookends=True) if one.generator.name == "frangi")
    one = of_patients(scored_on_validation(entry(made, cache), 0.6))
    few = one.told.validation.but(patients=one.told.validation.patients[:4])
    small = replace(one, result=one.told.but(validation=few))
    assert not shared(one, phantoms=False).told.validation.has("patients")
    assert not shared(small, phantoms=False).told.has("validation")
    assert shared(small, phantoms=False, for_owner=True).told.validation.n == 6
