"""What a page shows of patients is what may be published of them: their means, and no more."""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made import INPUTS, PRIVATE, entry, of_patients, saying, spec, specs, unfinished
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from test_page import view_in
from test_published import at, changed, png

from benchmark.core.errors import DataError
from benchmark.metrics.crossed import Crossed, Means, OneDraw
from benchmark.results.scored import Fid, Packed, ShareMean
from benchmark.terminal.reports import write_report
from leaderboard.board import tables_of
from leaderboard.entries import Entry
from leaderboard.page import write_markdown, write_page
from leaderboard.published import Published
from leaderboard.sharing import FEWEST, published
from leaderboard.verification import verified

PICTURES = {"samples": png(), "neighbours": png()}
ERROR = "DataError: /hospital/sub-17/angio.nii.gz: no vessel"


def private(cache: Path, **asked: Any) -> Entry:
    return of_patients(entry(spec(**asked), cache, pictures=PICTURES))


def shown(entries: list[Entry], folder: Path) -> tuple[dict, str]:
    """The page's view, and all the text that leaves."""
    tables = tables_of(entries)
    write_page(tables, folder / "index.html")
    write_markdown(tables, folder / "report.md")
    view = view_in((folder / "index.html").read_text())
    return view, json.dumps(view) + (folder / "report.md").read_text()


def test_a_page_of_patients_shows_means_and_nobody(cache: Path, tmp_path: Path) -> None:
    made = [private(cache, noise="system"), private(cache, noise="system", first_seed=1)]
    failed = of_patients(unfinished(spec(noise="system", first_seed=2), "failed", ERROR))
    view, text = shown([*made, failed], tmp_path)
    (row,) = view["tables"][0]["rows"]
    assert row["tests"]["test"]["dice"][0] > 0
    assert row["detail"]["curves"] == {}
    assert "neighbours" not in row["detail"]["pictures"]
    assert view["tables"][0]["data"]["test"]["sites"] == []
    assert not [word for word in ("sub-", "/hospital", "secret", "harbour") if word in text]


def test_means_of_patients_alone_have_an_interval_over_seeds_and_patients(cache: Path) -> None:
    """From the cells' means and each one's own interval; no narrower than if patients were told."""
    made = [private(cache, noise="system", first_seed=seed) for seed in range(3)]
    open_to_all = [entry(spec(noise="system", first_seed=seed), cache) for seed in range(3)]
    (hidden,), (known,) = (tables_of(cells)[0].rows for cells in (made, open_to_all))
    one, other = hidden.tests["test"], known.tests["test"]
    assert isinstance(one.told, Means)
    assert isinstance(one.dice, Crossed)
    assert isinstance(other.dice, Crossed)
    assert one.dice.mean == pytest.approx(other.dice.mean)
    assert one.dice.error > 0.9 * other.dice.error
    assert (one.dice.seeds, one.dice.patients) == (3, 6)
    (alone,) = tables_of(made[:1])[0].rows
    assert isinstance(alone.tests["test"].dice, OneDraw)


def test_of_phantoms_all_is_shown(cache: Path, tmp_path: Path) -> None:
    made = entry(spec(), cache, pictures=PICTURES)
    view, _ = shown([made, unfinished(spec(first_seed=1), "failed", ERROR)], tmp_path)
    (row,) = view["tables"][0]["rows"]
    assert row["detail"]["curves"]
    assert {*row["detail"]["pictures"]} == {*PICTURES}
    assert row["reasons"] == [ERROR]
    assert view["tables"][0]["data"]["test"]["sites"]


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ({"noise": "system"}, ["samples"]),
        ({"noise": "seeded"}, []),
        ({"noise": "system", "epsilons": (float("inf"),)}, []),
        ({"generators": ("simulator",), "epsilons": (float("inf"),)}, ["samples"]),
    ],
    ids=["system's noise", "seeded", "no finite ε", "no patient"],
)
def test_synthetic_patches_of_patients_leave_only_under_a_finite_unseeded_epsilon(
    asked: dict, seen: list[str], cache: Path, tmp_path: Path
) -> None:
    made = private(cache, **asked)
    assert list(Published.read(published(made).write(tmp_path)).pictures) == seen
    view, _ = shown([made], tmp_path)
    assert list(view["tables"][0]["rows"][0]["detail"]["pictures"]) == seen


def test_a_test_set_of_a_few_patients_has_no_mean_to_publish(cache: Path, tmp_path: Path) -> None:
    made = private(cache, noise="system")
    test, shifted = made.told.test_sets
    few = shifted.but(n=FEWEST - 1, patients=shifted.patients[: FEWEST - 1])
    one = replace(made, result=made.told.but(test_sets=(test, few)))
    said = json.loads(published(one).write(tmp_path).read_text())
    assert [tested["name"] for tested in said["result"]["test_sets"]] == ["test"]
    assert verified(Published.read(next(tmp_path.glob("*.json"))), INPUTS, cache).faults == []
    view, _ = shown([one], tmp_path)
    assert {*view["tables"][0]["rows"][0]["tests"]} == {"test"}


def few_in_the_main_set(cache: Path) -> Entry:
    """A hospital with two test patients in the main set, whose distances and shares are told."""
    made = private(cache, noise="system")
    test, shifted = made.told.test_sets
    fid = Fid(value=4.56, kid=0.789, n=9, dims=64)
    few = test.but(
        n=2, patients=test.patients[:2], offline_distance=0.0123, mask_distance=0.0456, fid=fid
    )
    shares = {"test": 0.321, "shifted": 0.5}
    return replace(made, result=made.told.but(test_sets=(few, shifted), fraction_of_real=shares))


WITHHELD = ("0.0123", "0.0456", "4.56", "0.789", "0.321", "offline_distance", "fid")


def test_a_test_set_that_is_withheld_takes_its_distances_along(cache: Path, tmp_path: Path) -> None:
    one = few_in_the_main_set(cache)
    text = json.dumps(json.loads(published(one).write(tmp_path).read_text())["result"])
    text = text.replace("fid_weights", "").replace("fid_n", "").replace("fid_dims", "")
    assert not [word for word in WITHHELD if word in text]
    assert json.loads(text)["fraction_of_real"] == {"shifted": 0.5}
    assert verified(Published.read(next(tmp_path.glob("*.json"))), INPUTS, cache).faults == []
    view, shown_text = shown([one], tmp_path)
    (row,) = view["tables"][0]["rows"]
    assert row["fid"] is row["distance"] is None
    assert not [word for word in WITHHELD[:5] if word in shown_text]


def test_a_score_that_few_patients_have_stays_though_their_test_set_is_large(
    cache: Path, tmp_path: Path
) -> None:
    made = private(cache, noise="system")
    test, shifted = made.told.test_sets
    rows = (row.but(dice_thick=0.73125 if k == 2 else None) for k, row in enumerate(test.patients))
    alone = ShareMean(mean=0.73125, low=0.73125, high=0.73125)
    told = test.but(patients=Packed(rows), dice_thick=alone)
    one = replace(made, result=made.told.but(test_sets=(told, shifted)))
    text = published(one).write(tmp_path).read_text()
    assert "0.73125" not in text
    assert json.loads(text)["result"]["test_sets"][0]["dice_thin"] is not None
    assert "0.73125" not in shown([one], tmp_path)[1]


def test_a_missing_number_of_patients_is_named_as_unchecked(cache: Path, tmp_path: Path) -> None:
    def put(said: dict) -> None:
        del said["result"]["test_sets"][0]["n"]

    file = changed(private(cache, noise="system"), tmp_path, put)
    found = verified(Published.read(file), INPUTS, cache)
    assert not found.faults
    assert any("over how many patients" in said for said in found.unchecked)


def test_a_picture_that_holds_words_is_no_picture(cache: Path, tmp_path: Path) -> None:
    words, file = PngInfo(), io.BytesIO()
    words.add_text("Comment", "Jane Doe /data/secret")
    Image.new("L", (8, 8)).save(file, "PNG", pnginfo=words)

    def put(said: dict) -> None:
        said["pictures"]["samples"] = base64.b64encode(file.getvalue()).decode()

    with pytest.raises(DataError, match="samples holds more than pixels"):
        Published.read(changed(private(cache, noise="system"), tmp_path, put))


def test_distances_to_enough_patients_leave_with_them(cache: Path, tmp_path: Path) -> None:
    file = published(private(cache, noise="system")).write(tmp_path)
    test, shifted = json.loads(file.read_text())["result"]["test_sets"]
    assert test["offline_distance"] == 0.05
    assert "offline_distance" not in shifted


def test_of_patients_one_coarse_duration_leaves_and_nothing_of_stages_or_memory(
    cache: Path, tmp_path: Path
) -> None:
    made = private(cache, noise="system")
    times = {"fit": 31.234, "score": 7.67, "total": 48.904}
    rounds = {"rounds": 3, "seconds": 1.234, "bytes": 900}
    one = saying(made, seconds=times, rounds=rounds)
    result = json.loads(published(one).write(tmp_path).read_text())["result"]
    assert result["seconds"] == {"total": 50.0}
    assert result["rounds"] == {"rounds": 3, "bytes": 900}
    assert "peak_mib" not in result
    view, _ = shown([one], tmp_path)
    assert view["tables"][0]["rows"][0]["seconds"] == 50.0
    assert view["tables"][0]["rows"][0]["peak"] is None


def test_where_all_test_sets_are_small_nothing_is_published(cache: Path, tmp_path: Path) -> None:
    made = private(cache, noise="system")
    few = tuple(t.but(n=2, patients=t.patients[:2]) for t in made.told.test_sets)
    one = replace(made, result=made.told.but(test_sets=few))
    with pytest.raises(DataError, match="fewer than 5"):
        published(one)
    view, text = shown([one], tmp_path)
    assert view["tables"][0]["rows"][0]["status"] == "withheld"
    assert "fewer than 5" in text


def test_a_report_beside_the_results_shows_its_owner_means_over_few_and_says_so(
    cache: Path, tmp_path: Path
) -> None:
    one = few_in_the_main_set(cache)
    write_report([one], tmp_path)
    view = view_in((tmp_path / "report.html").read_text())
    (row,) = view["tables"][0]["rows"]
    assert row["tests"]["test"]["patients"] == 2
    assert row["distance"] == 0.0123
    said = " ".join(view["tables"][0]["notes"])
    assert "whoever has these data, and nobody else" in said
    assert "(test: 2)" in said
    assert "1 of 1 cells are finished" in said
    markdown = (tmp_path / "report.md").read_text()
    assert "nobody else" in markdown
    assert not [word for word in ("sub-", "/secret") if word in json.dumps(view) + markdown]


def test_every_mean_stands_beside_the_number_of_its_patients(cache: Path, tmp_path: Path) -> None:
    view, text = shown([entry(spec(), cache)], tmp_path)
    assert view["tables"][0]["rows"][0]["tests"]["shifted"]["patients"] == 6
    assert view["tables"][0]["data"]["test"]["all"][0]["patients"] == 6
    assert "| patients |" in text
    file = json.loads(published(entry(spec(), cache)).write(tmp_path).read_text())
    assert [test["n"] for test in file["result"]["test_sets"]] == [6, 6]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (at("result/test_sets/0/patients", PRIVATE), "scores of single patients"),
        (at("result/test_sets/0/n", 4), "over 4 patients, and tell of them"),
        (at("curves/critic", [[0, 1.0]]), "training curves"),
        (at("result/skipped", ["sub-03 has no mask"]), "who was left out"),
        (at("result/notes", ["Jane Doe has no vessel."]), "notes of files"),
        (at("result/rounds", {"rounds": 3, "seconds": 1.5}), "more than how many"),
        (at("result/rounds", {"jane doe": 1.0}), "more than how many"),
        (at("result/fraction_of_real", {"elsewhere": 0.9}), "does not tell of"),
        (at("result/cost_of_skipping", "Jane Doe was left out."), "no sentence of this suite"),
        (at("result/test_sets/0/fid/reason", "Jane Doe."), "why it has no FID"),
        (at("pictures/neighbours", "PNG"), "neighbours"),
        (at("result/seconds/total", 48.9), "how long"),
        (at("result/seconds/fit", 30.0), "how long"),
        (at("result/peak_mib", 900.5), "how much memory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_tells_of_single_patients_is_refused(
    change: Any, fault: str, cache: Path, tmp_path: Path
) -> None:
    def put(said: dict) -> None:
        change(said)
        if said["result"]["test_sets"][0].get("patients") == PRIVATE:
            rows = entry(spec(), cache).told.as_dict()["test_sets"][0]["patients"]
            said["result"]["test_sets"][0]["patients"] = rows
        if "neighbours" in said["pictures"]:
            said["pictures"]["neighbours"] = base64.b64encode(png()).decode()

    file = changed(private(cache, noise="system"), tmp_path, put)
    found = verified(Published.read(file), INPUTS, cache).faults
    assert any(fault in said for said in found), found


@pytest.mark.parametrize("asked", [{"noise": "seeded"}, {"epsilons": (float("inf"),)}])
def test_a_file_with_patches_that_may_not_leave_is_refused(
    asked: dict, cache: Path, tmp_path: Path
) -> None:
    made = published(private(cache, **asked))
    file = replace(made, pictures={"samples": png()}).write(tmp_path)
    found = verified(Published.read(file), INPUTS, cache).faults
    assert any("synthetic patches" in said for said in found), found


def test_phantoms_cannot_be_called_private_to_hide_their_scores(
    cache: Path, tmp_path: Path
) -> None:
    def hide(said: dict) -> None:
        said["result"]["private_data"] = True
        said["curves"] = {}
        for tested in said["result"]["test_sets"]:
            del tested["patients"]

    file = changed(entry(spec(), cache), tmp_path, hide)
    found = verified(Published.read(file), INPUTS, cache).faults
    assert any("embedded phantoms" in said for said in found), found


def test_a_failed_sweep_is_called_what_its_spec_says(cache: Path, tmp_path: Path) -> None:
    made = [of_patients(unfinished(one, "failed", ERROR)) for one in specs(noise="system")]
    view, text = shown(made, tmp_path)
    (table,) = view["tables"]
    assert f"cohort {made[0].spec.data[:8]}" in table["title"]
    assert "--data COHORT" in table["rows"][0]["detail"]["command"]
    assert "phantoms" not in text
