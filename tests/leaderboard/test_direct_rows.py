"""A segmenter that was itself fitted privately, in tables, charts, commands and published files."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from made import INPUTS, entry, spec, specs

from benchmark.sweep.request import FREE
from benchmark.sweep.spec import RunSpec
from leaderboard.board import tables_of
from leaderboard.entries import Entry
from leaderboard.markdown import lines_of
from leaderboard.published import Published
from leaderboard.sharing import published
from leaderboard.verification import verified
from leaderboard.view import notes_of, view_of

DIRECT = {"generators": ("dp-segmenter",), "epsilons": (5.0,)}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


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
    said = {**one.result["guarantee"], "noise_multiplier": 0.1}
    forged = replace(one, result={**one.result, "guarantee": said})
    assert verified(forged, INPUTS, cache).faults
