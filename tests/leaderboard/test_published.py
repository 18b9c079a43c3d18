"""A stranger's result file: whole, inert, and believed only if it adds up."""

import copy
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from made import INPUTS, entry, of_patients, spec
from PIL import Image

from benchmark.core.errors import DataError
from benchmark.metrics.bootstrap import interval
from benchmark.metrics.scores import NAMES
from benchmark.sweep.sites import Federation
from leaderboard.entries import Entry, entries_of
from leaderboard.published import LARGEST, Published
from leaderboard.schema import SCHEMA, schema
from leaderboard.sharing import published
from leaderboard.verification import verified, verified_files

Said = dict[str, Any]


def png(side: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def one(cache: Path) -> Entry:
    return entry(spec(), cache, pictures={"samples": png()})


def changed(one: Entry, folder: Path, change: Callable[[Said], None]) -> Path:
    file = published(one).write(folder)
    said = json.loads(file.read_text())
    change(said)
    file.write_text(json.dumps(said))
    return file


def at(path: str, value: Any) -> Callable[[Said], None]:
    """Sets what a path of names and numbers leads to."""

    def change(said: Said) -> None:
        *way, last = (int(step) if step.isdigit() else step for step in path.split("/"))
        for step in way:
            said = said[step]  # type: ignore[index]
        said[last] = value  # type: ignore[index]

    return change


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"unit": "patient"},
        {"epsilons": (math.inf,)},
        {"generators": ("wgan",), "epsilons": (math.inf,)},
        {"generators": ("simulator",), "epsilons": (math.inf,)},
        {"generators": ("real",), "epsilons": (math.inf,)},
        {"federation": Federation(sites=3)},
        {"federation": Federation(sites=3, design="mixture"), "unit": "patient"},
        {"settings": {"dp-wgan": {"accountant": "rdp"}}},
    ],
)
def test_what_the_suite_writes_is_read_and_adds_up(
    asked: Said, cache: Path, tmp_path: Path
) -> None:
    made = entry(spec(**asked), cache, pictures={"samples": png()})
    file = published(made).write(tmp_path)
    read = Published.read(file)
    assert read == published(made)
    assert verified(read, INPUTS, cache).faults == []
    assert verified(read, INPUTS, cache).unchecked == []
    (again,) = entries_of([tmp_path])
    assert (again.spec.key, again.pictures) == (made.spec.key, made.pictures)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (at("result/test_sets/0/n", 7), "n on test is 7, and there are 6 phantoms"),
        (at("result/run_key", "0" * 12), "its key is 000000000000"),
        (at("result/spec/generator/settings/batch", 8), "its key is"),
        (at("result/spec/seed", 7), "its key is"),
        (at("result/guarantee/epsilon", 0.5), "epsilon is 0.5, and its mechanism's numbers give"),
        (at("result/guarantee/epsilon_patient", 5.0), "epsilon_patient is 5.0"),
        (at("result/guarantee/noise_multiplier", 9.0), "not the one that its settings give"),
        (at("result/guarantee/steps", 10), "not the one that its settings give"),
        (at("result/guarantee/sampling_rate", 0.001), "not the one that its settings give"),
        (at("result/guarantee/patients", 4000), "not the one that its settings give"),
        (at("result/guarantee/clip_norm", 7.0), "not the one that its settings give"),
        (at("result/guarantee/delta", 1e-3), "another unit or δ"),
        (at("result/guarantee/seeded", False), "whether the noise was seeded"),
        (at("result/guarantee/accountant", "guess"), "not the one that its settings give"),
        (at("result/test_sets/0/dice/mean", 0.99), "dice on test is not that of its patients"),
        (at("result/test_sets/0/dice/low", 0.799), "dice on test is not that of its patients"),
        (at("result/test_sets/1/patients/2/cldice", 1.0), "cldice on shifted is not"),
        (at("result/test_sets/1/dice_thick", {"mean": 1, "low": 1, "high": 1}), "dice_thick on"),
    ],
)
def test_what_does_not_add_up_is_named(
    change: Callable[[Said], None], fault: str, one: Entry, cache: Path, tmp_path: Path
) -> None:
    file = changed(one, tmp_path, change)
    check = partial(verified, phantoms=INPUTS, cache=cache)
    (verdict,) = verified_files([file], check, lambda *_: None).values()
    assert any(fault in said for said in verdict.faults), verdict


def test_a_mechanism_that_claims_to_have_been_none_is_found_out(
    one: Entry, cache: Path, tmp_path: Path
) -> None:
    def nothing(said: Said) -> None:
        claimed = {"epsilon": 0.0, "epsilon_patch": 0.0, "epsilon_patient": 0.0, "steps": 0}
        said["result"]["guarantee"] |= {**claimed, "accountant": "none"}

    found = verified(Published.read(changed(one, tmp_path, nothing)), INPUTS, cache).faults
    assert "the guarantee is not the one that its settings give" in found


def test_only_the_embedded_phantoms_may_call_themselves_phantoms(
    one: Entry, cache: Path, tmp_path: Path
) -> None:
    file = changed(one, tmp_path, at("result/spec/data", "f" * 16))
    found = verified(Published.read(file), INPUTS, cache).faults
    assert any("embedded phantoms" in said for said in found)


@pytest.mark.parametrize(
    "change",
    [
        at("result/spec/generator/name", "<script>alert(1)</script>"),
        at("result/spec/generator/name", "../../etc/passwd"),
        at("result/run_key", "../../../key"),
        at("result/test_sets/0/patients/0/patient", "<img src=x onerror=alert(1)>"),
        at("result/test_sets/0/patients/0/site", "javascript:alert(1)"),
        at("result/spec/tuned", {"selection": "<b>free</b>" * 50}),
        at("result/test_sets/0/fid/reason", "x" * 500),
        at("result/suite/commit", "'; DROP TABLE runs"),
        at("result/guarantee/epsilon", -1.0),
        at("result/guarantee/epsilon", "inf'"),
        at("result/test_sets/0/dice/mean", 17.0),
        at("result/test_sets/0/dice/mean", 1e300),
        at("result/seconds/total", -5),
        at("result/more", 1),
        at("curves/critic", [[0, "a"]]),
        at("curves/<b>", [[0, 1.0]]),
        at("pictures/samples", "AAAA"),
        at("pictures/other", "AAAA"),
        at("format", 3),
        at("result/test_sets/0/name", "best"),
        at("result/test_sets/1/name", "test"),
        at("result/test_sets/0/dice", None),
        at("result/test_sets/0/patients", []),
        at("result/seconds", {}),
        at("result/spec/protocol", {}),
        at("result/spec/protocol/samples", "many"),
        at("result/spec/tuned", {"epsilon": 5.0}),
        at("result/spec/federation", {"rounds": 3}),
        at("result/spec/generator/settings/accountant", "![x](http://x)"),
        at("result/guarantee/steps", 1_000_000_000),
    ],
)
def test_a_hostile_file_is_refused(
    change: Callable[[Said], None], one: Entry, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="this is no published result"):
        Published.read(changed(one, tmp_path, change))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"format": NaN}',
        "[" * 100_000,
        " " * (LARGEST + 1),
    ],
    ids=["nothing", "list", "half", "nan", "deep", "huge"],
)
def test_what_is_no_result_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match="this is no published result"):
        Published.read(tmp_path / "a.json")


def test_a_picture_that_grows_beyond_measure_is_refused(one: Entry, tmp_path: Path) -> None:
    made = published(one)
    file = Published(
        spec=made.spec, result=made.result, curves={}, pictures={"samples": png(5000)}
    ).write(tmp_path)
    with pytest.raises(DataError, match="larger than 4096 pixels"):
        Published.read(file)


def as_it_was(said: Said) -> None:
    """The file as an earlier version of the suite wrote it."""
    said["format"] = 1
    for name in ("offline_distance", "fid"):
        said["result"][name] = said["result"]["test_sets"][0].pop(name)


def test_a_file_of_the_format_before_is_read_as_the_present_one(
    one: Entry, cache: Path, tmp_path: Path
) -> None:
    before = Published.read(changed(one, tmp_path, as_it_was))
    assert before == published(one)
    assert verified(before, INPUTS, cache).faults == []


def test_of_private_files_of_the_format_before_no_withheld_distance_is_read(
    cache: Path, tmp_path: Path
) -> None:
    def change(said: Said) -> None:
        as_it_was(said)
        del said["result"]["test_sets"][0]
        said["result"]["seconds"] = {"fit": 30.12, "total": 48.9}
        said["result"]["peak_mib"] = 900.5

    private = of_patients(entry(spec(noise="system"), cache))
    read = Published.read(changed(private, tmp_path, change))
    assert [test.name for test in read.result.test_sets] == ["shifted"]
    assert "0.05" not in json.dumps(read.result.as_dict())
    assert read.result.seconds == {"total": 50.0}
    assert verified(read, INPUTS, cache).faults == []


def test_distances_stand_with_the_main_test_set_alone(one: Entry, tmp_path: Path) -> None:
    def elsewhere(said: Said) -> None:
        main, other = said["result"]["test_sets"]
        other |= {name: main.pop(name) for name in ("offline_distance", "fid")}

    for change in (elsewhere, at("result/offline_distance", 0.05), at("result/fid", {})):
        with pytest.raises(DataError, match="this is no published result"):
            Published.read(changed(one, tmp_path, change))


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"value": 3.0, "n": 512, "dims": 64}, "no weights to compute one with"),
        ({"value": 3.0, "n": 512, "dims": 2048}, "not the one of its protocol"),
        ({"value": 3.0, "n": 5120, "dims": 64}, "not the one of its protocol"),
    ],
)
def test_an_fid_that_its_spec_does_not_give_is_named(
    said: Said, fault: str, one: Entry, cache: Path, tmp_path: Path
) -> None:
    file = changed(one, tmp_path, at("result/test_sets/0/fid", said))
    assert any(fault in found for found in verified(Published.read(file), INPUTS, cache).faults)


def test_what_was_seen_of_single_patients_stays_at_home(cache: Path, tmp_path: Path) -> None:
    private = of_patients(entry(spec(noise="system"), cache))
    before = copy.deepcopy(private)
    file = published(private).write(tmp_path)
    text = file.read_text()
    assert "sub-" not in text
    assert "secret" not in text
    assert Published.read(file).curves == {}
    found = verified(Published.read(file), INPUTS, cache)
    assert found.faults == []
    assert found.unchecked == [
        "the number of patients (16), which only their hospital knows",
        "the intervals, as scores of single patients do not leave a hospital",
    ]
    assert private == before


def without(number: int) -> Callable[[Said], None]:
    """Leaves one patient out, and makes the means those of the others."""

    def change(said: Said) -> None:
        tested = said["result"]["test_sets"][0]
        del tested["patients"][number]
        for name in NAMES:
            values = [row[name] for row in tested["patients"] if row[name] is not None]
            tested[name] = interval(values)._asdict() if values else None

    return change


def untold(said: Said) -> None:
    """Says nothing of patients, and any Dice."""
    tested = said["result"]["test_sets"][0]
    del tested["patients"]
    tested["dice"] = {"mean": 0.99, "low": 0.98, "high": 1.0}


@pytest.mark.parametrize("change", [without(0), untold], ids=["worst left out", "untold"])
def test_scores_without_all_the_phantoms_do_not_add_up(
    change: Callable[[Said], None], one: Entry, cache: Path, tmp_path: Path
) -> None:
    found = verified(Published.read(changed(one, tmp_path, change)), INPUTS, cache).faults
    assert "the patients on test are not the phantoms of that test set" in found


def test_what_could_not_be_read_is_not_written(one: Entry, tmp_path: Path) -> None:
    bad = replace(one, result=one.told.but(seconds={"total": -1.0}))
    with pytest.raises(DataError, match="cannot be published"):
        published(bad).write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_schema_for_readers_without_the_suite_is_that_of_the_types() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == schema()
