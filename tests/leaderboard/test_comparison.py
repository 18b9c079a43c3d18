"""``bench compare``: two fits, patient by patient, with p-values that are corrected."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import rich.console
import scipy.stats
from made import entry, of_patients, specs

from benchmark.metrics.crossed import Crossed
from benchmark.metrics.ranking import holm
from benchmark.terminal.comparison import differences, scores_table
from leaderboard.entries import Entry
from leaderboard.scores import scores_on
from leaderboard.sharing import shared


@pytest.fixture(scope="module")
def two(cache: Path) -> tuple[Entry, Entry]:
    one, other = (entry(made, cache, dice=0.7 + made.seed / 20) for made in specs(seeds=2))
    return one, other


def dice_of(run: Entry) -> list[float]:
    return [one.dice for one in scores_on("test", run).patients]


def test_a_difference_is_students_of_the_same_patients(two: tuple[Entry, Entry]) -> None:
    found = next(d for d in differences(*two) if (d.test_set, d.score) == ("test", "dice"))
    theirs = scipy.stats.ttest_rel(dice_of(two[1]), dice_of(two[0]))
    assert isinstance(found.gain, Crossed)
    assert found.p == pytest.approx(theirs.pvalue)
    low, high = theirs.confidence_interval()
    assert (found.gain.low, found.gain.high) == pytest.approx((low, high))
    assert found.right - found.left == pytest.approx(found.gain.mean)
    assert found.patients == 6


def test_scores_that_no_patient_has_are_not_compared(two: tuple[Entry, Entry]) -> None:
    names = {found.score for found in differences(*two)}
    assert "dice_thick" not in names
    assert {"dice", "hd95_mm", "dice_thin"} <= names


def test_the_table_corrects_for_all_that_it_shows(two: tuple[Entry, Entry]) -> None:
    found = differences(*two)
    table = scores_table(found, "a", "b")
    shown = [*next(column for column in table.columns if column.header == "p").cells]
    corrected = holm([one.p for one in found if one.p is not None])
    assert shown == [f"{p:.2g}" for p in corrected]
    console = rich.console.Console(width=200, file=io.StringIO())
    with console.capture() as said:
        console.print(table)
    words = " ".join(said.get().split())
    assert f"corrected by Holm for the {len(found)} tests that are shown" in words
    assert "of these two fits" in words


def test_of_one_patient_there_is_no_test(two: tuple[Entry, Entry]) -> None:
    def alone(run: Entry) -> Entry:
        tests = tuple(test.but(patients=test.patients[:1]) for test in run.told.test_sets)
        return replace(run, result=run.told.but(test_sets=tests))

    found = differences(*map(alone, two))
    assert {one.p for one in found} == {None}
    assert "–" in [*scores_table(found, "a", "b").columns[4].cells]


def test_other_patients_and_patients_who_are_not_told_are_not_paired(
    two: tuple[Entry, Entry],
) -> None:
    one, other = two
    elsewhere = replace(other, spec=replace(other.spec, test_data={"test": "f" * 16}))
    assert differences(one, elsewhere) == []
    hidden = [shared(of_patients(run), phantoms=False) for run in two]
    assert differences(*hidden) == []
