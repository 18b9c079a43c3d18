"""The run key and the store: what names a result, and what survives a kill."""

import errno
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from cells import SPEC
from scored import NO_FID, result_of, scored_set

from benchmark.core.errors import DataError
from benchmark.core.files import write_json, write_text
from benchmark.results.disclosure import synthetic_may_leave, without_patients
from benchmark.results.result import Result
from benchmark.results.spec import canonical, spec_from
from benchmark.results.spec_parts import AcrossSites, PlugIn
from benchmark.results.store import ERROR, RESULT, Store, read_result, write_result
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


def test_secure_sums_are_in_the_key_and_local_noise_is_as_it_was() -> None:
    how = AcrossSites(partition="site", design="averaged-critics", rounds=3, local_steps=2)
    made = replace(SPEC, sites=3, federation=how)
    before = {"partition": "site", "design": "averaged-critics", "rounds": 3, "local_steps": 2}
    assert made.as_dict()["federation"] == before
    assert spec_from({**made.as_dict(), "federation": before}).key == made.key
    keys = {replace(made, federation=replace(how, curious=t)).key for t in (None, 0, 1)}
    assert len(keys) == 3
    secure = replace(made, federation=replace(how, curious=0))
    assert secure.as_dict()["federation"] == {**before, "curious": 0}
    assert spec_from(secure.as_dict()) == secure


def test_the_canonical_form_is_valid_json_also_for_infinity() -> None:
    assert json.loads(canonical({"e": math.inf, "n": [1.0, 0.5]})) == {"e": "inf", "n": [1, 0.5]}


DAMAGES = ["", "{", "[]", '{"run_key": "another"}']


@pytest.mark.parametrize("text", DAMAGES)
def test_a_damaged_result_is_said_to_be_one_and_never_computed_again_in_silence(
    tmp_path: Path, text: str
) -> None:
    store = Store(tmp_path)
    with store.held(SPEC):
        folder = store.begin(SPEC)
    assert store.result(SPEC) is None
    (folder / RESULT).write_text(text)
    with pytest.raises(DataError, match="this is not the result that the suite wrote") as refused:
        store.result(SPEC)
    assert str(folder / RESULT) in str(refused.value)
    assert "costs its patients again" in str(refused.value)
    write_result(folder, result_of())
    assert store.result(SPEC) == result_of()


EDITED = {
    "a field that is missing": (lambda said: said.pop("seconds"), "seconds"),
    "another type": (lambda said: said.update(private_data="perhaps"), "private_data"),
    "a share above 1": (lambda said: said["test_sets"][0]["dice"].update(high=1.5), "high"),
    "a nan": (lambda said: said["test_sets"][0]["dice"].update(mean="nan"), "mean"),
    "a better mean": (
        lambda said: said["test_sets"][0]["dice"].update(mean=0.95),
        "dice on test is not that of its patients",
    ),
    "an unknown field": (lambda said: said.update(more=1), "more"),
    "an unknown number": (lambda said: said["guarantee"].update(sigma=1), "sigma"),
    "another cell's": (lambda said: said.update(run_key="0" * 12), "it is of the run 000000000000"),
}


@pytest.mark.parametrize("name", EDITED)
def test_a_result_that_somebody_edited_is_refused_in_one_sentence(
    name: str, tmp_path: Path
) -> None:
    change, fault = EDITED[name]
    folder = Store(tmp_path).begin(SPEC)
    said = result_of(SPEC, scored_set(rows=6)).as_dict()
    change(said)
    write_json(folder / RESULT, said)
    with pytest.raises(DataError) as refused:
        read_result(folder)
    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_board_or_report_leaves_no_edited_result_out_in_silence(tmp_path: Path) -> None:
    folder = Store(tmp_path).begin(SPEC)
    said = result_of(SPEC, scored_set(rows=6)).as_dict()
    EDITED["a better mean"][0](said)
    write_json(folder / RESULT, said)
    with pytest.raises(DataError, match="dice on test is not that of its patients"):
        entries_of([tmp_path])


def test_a_result_is_written_as_it_was_read() -> None:
    said = result_of(SPEC, scored_set(rows=6), peak_mib=900.0).as_dict()
    assert Result.read(said).as_dict() == said
    assert [*Result.read(said).as_dict()] == [*said]


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


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "file"
    write_text(file, "old")
    monkeypatch.setattr("benchmark.core.files.os.fsync", full)
    with pytest.raises(OSError, match=re.escape(str(file))):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_what_utf_8_cannot_hold_is_written_as_escapes(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "half a \ud800 pair")
    assert (tmp_path / "file").read_text() == "half a \\ud800 pair"


def test_mlflow_gets_finite_numbers_alone() -> None:
    guarantee = replace(
        result_of().guarantee, epsilon_patch=math.inf, epsilon_patient=None, noise_multiplier=0.0
    )
    found = metrics(result_of(guarantee=guarantee))
    assert {name for name in found if not name.endswith("_test")} == {
        "noise_multiplier",
        "offline_distance",
        "seconds",
    }
    assert found["dice_test"] == 0.8


def test_a_kept_result_of_an_earlier_version_is_read_as_the_present_one(tmp_path: Path) -> None:
    now = result_of(private=True)
    said = now.as_dict()
    main = dict(said["test_sets"][0])
    beside = {name: main.pop(name) for name in ("offline_distance", "fid")}
    folder = Store(tmp_path).begin(SPEC)
    for words in (said, {**said, **beside, "test_sets": [main]}):
        write_json(folder / RESULT, words)
        assert read_result(folder) == now


def test_mlflow_gets_no_distance_to_a_few_patients_and_no_exact_duration() -> None:
    def private(rows: int) -> Result:
        main = scored_set(rows=rows, offline_distance=1.5, mask_distance=0.25, fid=NO_FID)
        times = {"fit": 1.234, "total": 3.21}
        return result_of(SPEC, main, private=True, seconds=times, peak_mib=1.5)

    told = without_patients(private(rows=1))
    assert not {"offline_distance", "mask_distance"} & {*metrics(told)}
    assert metrics(told)["seconds"] == 3.0
    hidden = ("1.5", "0.25", "1.234", "3.21", '"fid"')
    assert not [word for word in hidden if word in json.dumps(told.as_dict())]
    assert metrics(without_patients(private(rows=5)))["offline_distance"] == 1.5


def test_scores_of_single_patients_leave_for_phantoms_alone() -> None:
    def told(private: bool) -> Result:
        return without_patients(result_of(SPEC, scored_set(rows=6), private=private))

    assert not told(private=True).test_sets[0].has("patients")
    assert told(private=False).test_sets[0].has("patients")


@pytest.mark.parametrize(
    ("epsilon", "seeded", "may"),
    [
        (0.0, True, True),
        (0.0, False, True),
        (2.0, False, True),
        (2.0, True, False),
        (math.inf, False, False),
        (math.inf, True, False),
    ],
)
def test_what_was_made_from_patients_leaves_under_a_finite_unseeded_epsilon_alone(
    epsilon: float, seeded: bool, may: bool
) -> None:
    assert synthetic_may_leave(epsilon, seeded=seeded) is may
