"""``audited`` and ``replayed``: found by whoever builds a board, and claimed by no file."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cells import SPEC
from made import INPUTS, entry, of_patients, spec
from scored import result_of, scored_set
from test_versions import of_version

from benchmark.audit import release_laws
from benchmark.audit.record import check_may_leave, write_record
from benchmark.audit.request import Audit, budget_for, rules_of, settings_of
from benchmark.audit.slots import with_canaries
from benchmark.core.editions import DEFAULT
from benchmark.core.errors import DataError, UsageError
from benchmark.core.files import plain, write_json
from benchmark.core.protocol import protocol_recipe
from benchmark.data.patching import public_numbers
from benchmark.results.scored import Packed
from generators.dp_simulator import DpSimulator
from leaderboard.audits import read_audits, with_audits
from leaderboard.board import tables_of
from leaderboard.entries import Entry, entries_of
from leaderboard.page import write_markdown
from leaderboard.published import Published, Verdict
from leaderboard.replays import replayed
from leaderboard.rows import AUDITED, REFUSED, REPLAYED, VERIFIED
from leaderboard.sharing import published
from leaderboard.view import view_of

Record = dict[str, Any]
ASKED = {"generators": ("dp-simulator",), "unit": "patient", "epsilons": (2.0,)}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def record() -> Record:
    """An honest audit's file, without the fit: the plan is real, the guesses are made up."""
    asked = Audit(generator="dp-simulator", epsilon=2.0, unit="patient", settings={})
    params = settings_of(asked)
    recipe = protocol_recipe(rules_of(DEFAULT, "quick"))
    public = with_canaries(public_numbers(INPUTS.train, recipe), "patient", 200)
    claim = DpSimulator(params).plan(public, budget_for(2.0, "patient", public))
    attempts = [{"guesses": 15, "right": 6}, {"guesses": 15, "right": 9}]
    made: Record = plain(
        {
            "format": 1,
            "generator": {
                "name": "dp-simulator",
                "version": DpSimulator.version,
                "settings": params.as_dict(),
            },
            "epsilon": 2.0,
            "unit": "patient",
            "edition": DEFAULT,
            "preset": "quick",
            "seed": 0,
            "claim": claim.as_dict(),
            "canaries": {"canaries": 200, "guesses": 100, "right": 73},
            "laws": sorted(release_laws.LAWS),
            "broken": [],
            "membership": [{"unit": "patient", "candidates": 15, "attempts": attempts}],
        }
    )
    return made


def read(record: Record, folder: Path) -> tuple[list, list[str]]:
    write_record(record, folder)
    found, wrong = read_audits(folder, lambda version: INPUTS)
    return found, list(wrong.values())


def badges(entries: list[Entry]) -> list[list[str]]:
    return [[*row.badges] for table in tables_of(entries) for row in table.rows]


def verified(one: Entry) -> Entry:
    return replace(one, verdict=Verdict([], []))


def test_an_audit_that_adds_up_marks_the_rows_that_it_is_of_and_no_others(
    record: Record, cache: Path, tmp_path: Path
) -> None:
    audits, wrong = read(record, tmp_path)
    assert not wrong
    mine = verified(entry(spec(**ASKED), cache))
    others = [
        entry(spec(**{**ASKED, "epsilons": (5.0,)}), cache),
        entry(spec(**{**ASKED, "unit": "patch"}), cache),
        entry(spec(**ASKED, settings={"dp-simulator": {"clip_norm": "0.5"}}), cache),
        entry(spec(**ASKED, protocol="2026-1"), cache),
        of_version(mine, 1),
        of_patients(mine),
    ]
    (marked,) = badges(with_audits([mine], audits))
    assert marked == [VERIFIED, AUDITED]
    assert not any(AUDITED in each for each in badges(with_audits(others, audits)))
    forged = replace(mine, verdict=Verdict(["its Dice is made up"], []))
    assert badges(with_audits([forged], audits)) == [[REFUSED]]


def test_the_badge_says_what_the_audit_proves_and_how_to_repeat_it(
    record: Record, cache: Path, tmp_path: Path
) -> None:
    audits, _ = read(record, tmp_path)
    (table,) = tables_of(with_audits([verified(entry(spec(**ASKED), cache))], audits))
    (row,) = view_of([table])["tables"][0]["rows"]
    words = row["badges"][AUDITED]
    assert re.search(r"by 200 canaries and membership inference: ε > 0\.6\d* with 95 %", words)
    assert "does not refute the claim of 2. All 5 exact laws hold." in words
    assert "`bench audit --generator dp-simulator --epsilon 2 --unit patient" in words
    assert words in row["detail"]["checked"]
    write_markdown([table], tmp_path / "report.md")
    assert "| verified, audited |" in (tmp_path / "report.md").read_text()


def right(number: int) -> Callable[[Record], object]:
    return lambda said: said["canaries"].update(right=number)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (right(99), "it refutes its claim: ε > 3."),
        (right(101), "right <= guesses <= canaries"),
        (lambda said: said.update(bound=0.1), "breaks `AdditionalProperties`"),
        (lambda said: said.update(audited=True), "breaks `AdditionalProperties`"),
        (lambda said: said.update(format=2), "at 'format'"),
        (lambda said: said["generator"].update(version=1), "version 1, and"),
        (lambda said: said["generator"].update(name="nobody"), "nobody"),
        (lambda said: said["laws"].pop(), "its laws are not those"),
        (lambda said: said.update(laws=[]), "one without the other"),
        (lambda said: said.update(broken=["the_divisor_is_public"]), "the divisor is public"),
        (lambda said: said["claim"].update(epsilon=0.5), "its claim is not the one"),
        (lambda said: said["claim"].update(patients=9), "its claim is not the one"),
        (lambda said: said.update(epsilon=1.0), "its claim is not the one"),
        (lambda said: said["generator"]["settings"].update(clip_norm=-1), "give no plan"),
        (lambda said: said.update(canaries=None, laws=[], membership=[]), "attacked nothing"),
        (
            lambda said: said["membership"][0].update(
                candidates=100, attempts=[{"guesses": 100, "right": 100}]
            ),
            "it refutes its claim",
        ),
    ],
)
def test_an_audit_that_does_not_add_up_counts_for_nothing_and_says_why(
    change: Callable[[Record], object], why: str, record: Record, tmp_path: Path
) -> None:
    said = deepcopy(record)
    change(said)
    found, wrong = read(said, tmp_path)
    assert not found
    assert len(wrong) == 1
    assert why in wrong[0]


def test_what_is_no_json_is_no_audit(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("[" * 100_000)
    found, wrong = read_audits(tmp_path, lambda version: INPUTS)
    assert not found
    assert len(wrong) == 2
    assert read_audits(tmp_path / "nowhere", lambda version: INPUTS) == ([], {})


def test_an_audit_of_patients_leaves_no_file() -> None:
    check_may_leave(private=False)
    with pytest.raises(UsageError, match="stay at home"):
        check_may_leave(private=True)


@pytest.mark.parametrize("name", ["audit", "replay", "badges", "verified"])
def test_no_result_file_can_claim_a_badge(name: str, cache: Path, tmp_path: Path) -> None:
    file = published(entry(spec(**ASKED), cache)).write(tmp_path)
    said = json.loads(file.read_text())
    for part in (said, said["result"]):
        part[name] = {AUDITED: "yes", REPLAYED: "yes"}
        file.write_text(json.dumps(said))
        with pytest.raises(DataError):
            Published.read(file)
        del part[name]


def stored(one: Entry, folder: Path) -> Path:
    """The cell as a run of one's own."""
    where = folder / one.spec.generator.name / one.spec.key
    where.mkdir(parents=True)
    write_json(where / "spec.json", plain(one.spec.as_dict()))
    write_json(where / "result.json", one.told.as_dict())
    return folder


def nothing_wrong(one: Published) -> Verdict:
    return Verdict([], [])


@pytest.mark.parametrize("mine_first", [False, True])
def test_a_published_cell_that_came_out_the_same_here_is_replayed(
    mine_first: bool, cache: Path, tmp_path: Path
) -> None:
    one = entry(spec(**ASKED), cache)
    published(one).write(tmp_path / "results")
    paths = [tmp_path / "results", stored(one, tmp_path / "runs")]
    found = entries_of(paths[::-1] if mine_first else paths, nothing_wrong)
    assert badges(found) == [[VERIFIED, REPLAYED]]
    assert badges(entries_of(paths[:1], nothing_wrong)) == [[VERIFIED]]
    assert badges(entries_of(paths[1:], nothing_wrong)) == [["computed here"]]


def test_one_that_came_out_otherwise_is_not_and_the_row_says_by_how_much(
    cache: Path, tmp_path: Path
) -> None:
    one = entry(spec(**ASKED), cache)
    published(one).write(tmp_path / "results")
    again = entry(spec(**ASKED), cache, dice=0.77)
    paths = [tmp_path / "results", stored(again, tmp_path / "runs")]
    (table,) = tables_of(entries_of(paths, nothing_wrong))
    assert [*table.rows[0].badges] == ["computed here"]
    assert table.rows[0].cells[0].result == again.result, "nobody's file stands in for ours"
    (row,) = view_of([table])["tables"][0]["rows"]
    assert "mean Dice differs by 0.03 at most" in " ".join(row["detail"]["checked"])


def test_a_single_patients_score_that_differs_is_no_replay(cache: Path, tmp_path: Path) -> None:
    one = entry(spec(**ASKED), cache)
    published(one).write(tmp_path / "results")
    test, *others = one.told.test_sets
    first, *rest = test.patients
    rows = Packed((first.but(dice=first.dice + 0.001), *rest))
    mean = test.dice.but(mean=test.dice.mean + 0.001 / len(rows))
    result = one.told.but(test_sets=(test.but(patients=rows, dice=mean), *others))
    paths = [tmp_path / "results", stored(replace(one, result=result), tmp_path / "runs")]
    assert badges(entries_of(paths, nothing_wrong)) == [["computed here"]]


def test_of_a_row_every_seed_must_have_been_computed_again(cache: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        one = entry(replace(spec(**ASKED), seed=seed), cache)
        published(one).write(tmp_path / "results")
    paths = [tmp_path / "results", stored(one, tmp_path / "runs")]
    assert badges(entries_of(paths, nothing_wrong)) == [[VERIFIED]]


def test_what_does_not_add_up_is_not_replayed(cache: Path, tmp_path: Path) -> None:
    one = entry(spec(**ASKED), cache)
    published(one).write(tmp_path / "results")
    paths = [tmp_path / "results", stored(one, tmp_path / "runs")]
    found = entries_of(paths, lambda one: Verdict(["its Dice is made up"], []))
    assert badges(found) == [["computed here"]]


def test_a_replay_of_a_shared_fit_is_said_to_be_another_draw() -> None:
    told = result_of(SPEC, scored_set(rows=6))
    here = result_of(SPEC, scored_set(dice=0.7, rows=6), fit_of="0" * 12)
    found = replayed(told, here)
    assert not found.is_same
    assert "two draws of the fit" in found.words
    other = replayed(told, here.but("fit_of"))
    assert "Another processor may round otherwise" in other.words
