"""Files of strangers through build and verify: a sentence, or a page on which they are inert."""

import copy
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from made import INPUTS, entry, of_patients, spec
from test_published import at, png

from benchmark.cli.leaderboard import leaderboard
from benchmark.core.errors import DataError
from benchmark.sweep.sites import Federation
from leaderboard import verification
from leaderboard.board import tables_of
from leaderboard.entries import entries_of
from leaderboard.page import write_markdown
from leaderboard.published import Published, Verdict
from leaderboard.sharing import published
from leaderboard.view import view_of

ODD = [None, 0, -1, 1e15, "", "inf", "nan", "x y", [], {}, True]
Way = tuple[str | int, ...]


@pytest.fixture(scope="module")
def files(cache: Path) -> list[dict[str, Any]]:
    """What honest authors published: pooled, across sites, tuned, and of patients."""
    pictures = {"samples": png(), "neighbours": png()}
    made = [
        entry(spec(), cache, pictures=pictures),
        entry(spec(federation=Federation(sites=3)), cache),
        of_patients(entry(spec(noise="system"), cache, pictures=pictures)),
    ]
    return [json.loads(published(one).write(cache).read_text()) for one in made]


def ways(said: Any, before: Way = ()) -> Iterator[Way]:
    """To all that is in a file; of lists, to the first item."""
    inside = said.items() if isinstance(said, dict) else enumerate(said[:1])
    for name, value in inside:
        yield (*before, name)
        if isinstance(value, dict | list):
            yield from ways(value, (*before, name))


def spoilt(said: dict[str, Any], way: Way, *value: Any) -> dict[str, Any]:
    """A copy in which the last step leads to something else, or to nothing."""
    made = copy.deepcopy(said)
    place: Any = made
    for step in way[:-1]:
        place = place[step]
    if value:
        place[way[-1]] = value[0]
    else:
        del place[way[-1]]
    return made


def outcome(said: dict[str, Any], folder: Path, checked: bool, cache: Path) -> str:
    """How a file ends: refused in one sentence, or on a page."""
    file = folder / "a.json"
    file.write_text(json.dumps(said))

    def check(one: Published) -> Verdict:
        return verification.verified(one, INPUTS, cache) if checked else Verdict(["untried"], [])

    try:
        entries = entries_of([file], check)
    except DataError as error:
        return "refused" if "\n" not in str(error) else "in many words"
    tables = tables_of(entries)
    view_of(tables)
    write_markdown(tables, folder / "report.md")
    return "does not add up" if entries[0].faults else "adds up"


def test_whatever_is_missing_or_odd_in_a_file_it_is_refused_or_shown_inert(
    files: list[dict[str, Any]], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderboard.view.charts", lambda *_: [])
    tried = {"refused": 0, "does not add up": 0}
    for said in files:
        every = list(ways(said))
        for way in every:
            tried[outcome(spoilt(said, way), tmp_path, False, cache)] += 1
        for number, way in enumerate(every):
            values = itertools.islice(itertools.cycle(ODD), number, number + 3)
            for value in values:
                tried[outcome(spoilt(said, way, value), tmp_path, False, cache)] += 1
    assert all(tried.values()), tried


@pytest.mark.parametrize("value", [0, 1e-3, "inf", "odd"], ids=str)
def test_verify_never_stumbles_over_a_spec_or_a_guarantee(
    value: Any, files: list[dict[str, Any]], cache: Path, tmp_path: Path
) -> None:
    said = files[0]
    for name in ("settings", "version", "name"):
        bad = spoilt(said, ("result", "spec", "generator", name), value)
        assert outcome(bad, tmp_path, True, cache) != "adds up"
    for name in said["result"]["guarantee"]:
        bad = spoilt(said, ("result", "guarantee", name), value)
        same = said["result"]["guarantee"][name] == value
        assert (outcome(bad, tmp_path, True, cache) == "adds up") == same, name


@pytest.mark.parametrize(
    "settings",
    [{"batch": 1e15}, {"batch": "many"}, {"nothing": 1}, {}],
    ids=str,
)
def test_settings_that_no_plug_in_takes_are_a_fault(
    settings: dict, files: list[dict[str, Any]], cache: Path, tmp_path: Path
) -> None:
    bad = copy.deepcopy(files[0])
    kept = bad["result"]["spec"]["generator"]["settings"]
    bad["result"]["spec"]["generator"]["settings"] = {**kept, **settings} if settings else {}
    assert outcome(bad, tmp_path, True, cache) == "does not add up"


HOSTILE = {
    "another test set": at("result/test_sets/0/name", "best"),
    "no total": at("result/seconds", {"fit": 1.0}),
    "no samples": at("result/spec/protocol", {"patch_size": 32}),
    "no patients": at("result/test_sets/0/patients", []),
    "no Dice": at("result/test_sets/0/dice", None),
    "tuned by nobody": at("result/spec/tuned", {"study": "s"}),
    "odd sites": at("result/spec/federation", {"alone": 1}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_build_says_in_one_sentence_which_file_to_remove(
    name: str, files: list[dict[str, Any]], tmp_path: Path
) -> None:
    said = copy.deepcopy(files[0])
    HOSTILE[name](said)
    (tmp_path / "bad.json").write_text(json.dumps(said))
    command = ["build", str(tmp_path), "--out", str(tmp_path / "site")]
    done = CliRunner().invoke(leaderboard, command)
    assert isinstance(done.exception, DataError)
    assert "bad.json: this is no published result" in str(done.exception)
    assert "remove it" in str(done.exception)


def test_build_shows_what_does_not_add_up_and_goes_on(
    files: list[dict[str, Any]],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verification, "gather", lambda *_, **__: INPUTS)
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(cache))
    bad = copy.deepcopy(files[0])
    bad["result"]["guarantee"]["epsilon"] = 1.0
    for name, said in {"a": files[1], "b": bad}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(said))
    done = CliRunner().invoke(
        leaderboard, ["build", str(tmp_path), "--out", str(tmp_path / "site")]
    )
    assert done.exit_code == 0, done.output
    assert "does not add up: epsilon is 1.0" in done.output
    text = (tmp_path / "site" / "report.md").read_text()
    assert text.count("| verified |") == 2
    assert text.count("| does not add up |") == 2


def test_nobody_s_file_stands_in_for_what_was_computed_here(
    files: list[dict[str, Any]], cache: Path, tmp_path: Path
) -> None:
    mine = entry(spec(), cache)
    folder = tmp_path / "runs" / "dp-wgan" / mine.spec.key
    folder.mkdir(parents=True)
    from benchmark.core.files import write_json

    write_json(folder / "spec.json", mine.spec.as_dict())
    write_json(folder / "result.json", mine.told.as_dict())
    said = copy.deepcopy(files[0])
    said["result"]["test_sets"][0]["dice"]["low"] = 0.1
    (tmp_path / "a.json").write_text(json.dumps(said))
    published(entry(spec(), cache, dice=0.9)).write(tmp_path / "better")
    for file in (tmp_path / "a.json", tmp_path / "better"):
        for order in ([file, tmp_path / "runs"], [tmp_path / "runs", file]):
            (found,) = entries_of(order, lambda one: Verdict([], []))
            assert found.result == mine.result


def test_a_stranger_cannot_make_private_data_phantoms(cache: Path, tmp_path: Path) -> None:
    """Claiming phantoms with a hospital's digest frees none of its errors, nor of its own."""
    mine = of_patients(entry(spec(noise="system"), cache))
    said = json.loads(published(mine).write(tmp_path).read_text())
    said["result"]["private_data"] = False
    said["result"]["test_sets"] = entry(spec(), cache).told.as_dict()["test_sets"]
    said["curves"] = {"critic": [[0, 1.0]]}
    (tmp_path / "a.json").write_text(json.dumps(said))
    read = Published.read(tmp_path / "a.json")
    assert any("embedded phantoms" in f for f in verification.verified(read, INPUTS, cache).faults)
    (one,) = entries_of([tmp_path / "a.json"], lambda one: Verdict(["no"], []))
    (table,) = tables_of([one])
    assert not table.phantoms
    assert "sub-" not in json.dumps(view_of([table]))
