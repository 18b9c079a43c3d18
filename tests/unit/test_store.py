"""The run key and the store: what names a result, and what survives a kill."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from cells import SPEC

from benchmark.core.files import write_json, write_text
from benchmark.results.disclosure import without_patients
from benchmark.results.spec import PlugIn, canonical
from benchmark.results.store import ERROR, RESULT, Store, read_result
from benchmark.sweep.tracking.logged import metrics
from leaderboard.entries import entries_of


def test_two_and_two_point_zero_are_one_value() -> None:
    assert replace(SPEC, epsilon=2).key == SPEC.key
    assert len(SPEC.key) == 12


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": 2.5},
        {"epsilon": math.inf},
        {"delta": 1e-6},
        {"unit": "patient"},
        {"seed": 1},
        {"noise": "system"},
        {"data": "e"},
        {"test_data": {"test": "u"}},
        {"fid_weights": "w"},
        {"protocol": {"patch_size": 64}},
        {"generator": PlugIn(name="dp-wgan", version=2, settings={"batch": 8, "clip_norm": 0.5})},
        {"generator": PlugIn(name="dp-wgan", version=1, settings={"batch": 9, "clip_norm": 0.5})},
        {"sites": 3},
    ],
)
def test_whatever_decides_a_result_changes_its_key(change: dict) -> None:
    assert replace(SPEC, **change).key != SPEC.key


def test_the_canonical_form_is_valid_json_also_for_infinity() -> None:
    assert json.loads(canonical({"e": math.inf, "n": [1.0, 0.5]})) == {"e": "inf", "n": [1, 0.5]}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run_key": "another"}'])
def test_a_damaged_result_is_no_result(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path)
    with store.held(SPEC):
        folder = store.begin(SPEC)
    (folder / RESULT).write_text(text)
    assert store.result(SPEC) is None
    write_json(folder / RESULT, {"run_key": SPEC.key})
    assert store.result(SPEC) == {"run_key": SPEC.key}


def test_a_held_cell_is_left_to_its_holder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.held(SPEC) as first, store.held(SPEC) as second:
        assert first
        assert not second
    with store.held(SPEC) as again:
        assert again


def test_beginning_again_forgets_the_failure(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.fail(SPEC, "no luck")
    assert store.error(SPEC) == "no luck"
    store.begin(SPEC)
    assert not (store.folder(SPEC) / ERROR).exists()


def test_a_cell_that_failed_before_it_began_is_counted(tmp_path: Path) -> None:
    Store(tmp_path).fail(SPEC, "cannot be planned\nno luck")
    (found,) = entries_of([tmp_path])
    assert (found.spec, found.status, found.reason) == (SPEC, "failed", "no luck")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_text(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "new \ud800")
    assert file.read_text() == "old"


def _result(*, private: bool) -> dict:
    patients = [{"patient": "sub-1", "dice": 0.5}]
    return {
        "private_data": private,
        "guarantee": {"epsilon_patch": "inf", "epsilon_patient": None, "noise_multiplier": 0.0},
        "seconds": {"total": 3.0},
        "fraction_of_real": None,
        "test_sets": [
            {
                "name": "test",
                "dice": {"mean": 0.5},
                "hd95_mm": {"mean": math.nan},
                "fid": {"value": None},
                "offline_distance": 1.5,
                "patients": patients,
            }
        ],
    }


def test_mlflow_gets_finite_numbers_alone() -> None:
    found = metrics(_result(private=False))
    assert found == {
        "noise_multiplier": 0.0,
        "offline_distance": 1.5,
        "seconds": 3.0,
        "dice_test": 0.5,
    }


def test_a_kept_result_of_an_earlier_version_is_read_as_the_present_one(tmp_path: Path) -> None:
    now = _result(private=True) | {"run_key": "abc", "spec": {"test_data": {"test": "t"}}}
    main = dict(now["test_sets"][0])
    beside = {name: main.pop(name) for name in ("offline_distance", "fid")}
    (tmp_path / "abc").mkdir()
    for said in (now, {**now, **beside, "test_sets": [main]}):
        write_json(tmp_path / "abc" / RESULT, said)
        assert read_result(tmp_path / "abc")["test_sets"][0]["offline_distance"] == 1.5
        assert "fid" not in read_result(tmp_path / "abc")


def test_mlflow_gets_no_distance_to_a_few_patients_and_no_exact_duration() -> None:
    small = _result(private=True) | {"seconds": {"fit": 1.234, "total": 3.21}, "peak_mib": 1.5}
    told = without_patients(small)
    assert "offline_distance" not in metrics(told)
    assert metrics(told)["seconds"] == 3.0
    assert not [word for word in ("1.5", "1.234", "3.21", "fid") if word in json.dumps(told)]
    many = [{"patient": f"sub-{number}", "dice": 0.5} for number in range(5)]
    small["test_sets"][0]["patients"] = many
    assert metrics(without_patients(small))["offline_distance"] == 1.5


def test_scores_of_single_patients_leave_for_phantoms_alone() -> None:
    assert "patients" not in without_patients(_result(private=True))["test_sets"][0]
    assert "patients" in without_patients(_result(private=False))["test_sets"][0]
