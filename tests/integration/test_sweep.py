"""The real command on a tiny cohort: what it leaves, and what it computes once."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
from command import (
    COMMAND,
    SMALL,
    STEPS,
    UNTRACKED,
    UNTRAINED,
    bench,
    fetched,
    results,
    rows,
)

from benchmark.audit import laws, release_laws
from benchmark.core.budget import Guarantee
from benchmark.privacy.accounting.subsampled_gaussian import epsilon_spent
from benchmark.results.bookends import METHODS

COLUMNS = (
    "generator,segmenter,epsilon,unit,epsilon_patch,epsilon_patient,delta,seed,sites,test_set,"
    "dice,dice_low,dice_high,fraction_of_real,fid,fid_dims,fid_n,offline_distance,"
    "seconds,status,run_key,hd95_mm,bavd_mm,cldice,precision,recall,dice_thin,dice_medium,dice_thick,kid,"
    "trained_at,epsilon_sites,selection,noise,lost_steps,control,patients,"
    "free,over_free,gain,mask_distance,seeds,dice_mean,dice_mean_low,dice_mean_high,seed_sd,patient_sd,curious"
)


def stamps(folder: Path) -> dict[Path, int]:
    files = [f for f in folder.glob("runs/*/*/*") if f.is_file()]
    return {f: f.stat().st_mtime_ns for f in files}


SWEEP = ["run", "--generator", "real,dp-wgan,wgan", "--epsilon", "5,inf", "--data", "cohort"]
SWEEP += [*SMALL, *STEPS, "--set", "wgan.generator_steps=3", "--noise", "seeded"]


@pytest.fixture(scope="module")
def swept(module_cohort: Path) -> Path:
    folder = module_cohort.parent
    done = bench(*SWEEP, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_summary_has_one_row_a_cell_and_test_set(swept: Path) -> None:
    table = rows(swept)
    assert (swept / "runs" / "summary.csv").read_text().splitlines()[0] == COLUMNS
    assert [(r["generator"], r["epsilon"]) for r in table] == [
        ("real", "inf"),
        ("simulator", "0"),
        ("threshold", "0"),
        ("frangi", "0"),
        ("dp-wgan", "5"),
        ("dp-wgan", "inf"),
        ("wgan", "inf"),
    ]
    assert {r["status"] for r in table} == {"done"}
    assert all(
        0 <= float(r["dice_low"]) <= float(r["dice"]) <= float(r["dice_high"]) for r in table
    )
    assert {r["fid"] for r in table} == {""}


def test_dice_is_given_as_a_fraction_of_the_real_bookends(swept: Path) -> None:
    table = rows(swept)
    real = float(table[0]["dice"])
    assert real > 0.3
    for row in table[1:]:
        assert float(row["fraction_of_real"]) == pytest.approx(float(row["dice"]) / real, rel=1e-3)
    for result in results(swept):
        if result["spec"]["generator"]["name"] != "real":
            assert result["fraction_of_real"]["test"] == pytest.approx(
                result["test_sets"][0]["dice"]["mean"] / real, rel=1e-3
            )


def test_every_epsilon_can_be_recomputed_from_the_results_numbers(swept: Path) -> None:
    private = [r["guarantee"] for r in results(swept) if r["spec"]["epsilon"] == 5]
    assert len(private) == 1
    for g in private:
        again = epsilon_spent(
            noise_multiplier=g["noise_multiplier"],
            sampling_rate=g["sampling_rate"],
            steps=g["steps"],
            delta=Guarantee.from_dict(g).accounted_delta,
            accountant=g["accountant"],
        )
        assert again == g["epsilon"] <= 5
        assert g["unit"] == "patch"
        assert g["relation"] == "zero-out"
        assert g["seeded"] is True
        assert g["clip_norm"] > 0
        assert g["epsilon_patient"] > g["epsilon_patch"] == g["epsilon"]


def test_every_fit_is_in_the_ledger_and_their_composed_epsilon_is_said(
    module_cohort: Path, swept: Path
) -> None:
    assert bench("ledger", "verify", cwd=swept).stdout.endswith("none changed.\n")
    shown = bench("ledger", "show", cwd=swept).stdout
    for result in results(swept):
        charge = swept / "runs" / result["spec"]["generator"]["name"] / result["run_key"]
        if result["spec"]["generator"]["name"] in METHODS:
            assert not (charge / "charge.json").exists(), "nobody was read"
            continue
        entry = json.loads((charge / "charge.json").read_text())["ledger_entry"]
        lines = [
            line
            for line in shown.splitlines()
            if line.split()[:1] == [str(entry)] and result["run_key"] in line
        ]
        assert len(lines) == 1
    assert "3 patients have paid ε = ∞" in shown
    twice = [
        "run",
        "--generator",
        "dp-wgan",
        "--epsilon",
        "2,5",
        "--data",
        "cohort",
        "--out",
        "two",
    ]
    done = bench(*twice, *UNTRAINED, *STEPS, *UNTRACKED, "--no-bookends", cwd=swept)
    said = re.search(r"Composed over the 2 private fits: ε = (\S+) for a patch", done.stdout)
    assert said, done.stdout
    assert 5 < float(said[1]) < 7


def test_a_result_is_explained_by_its_key_or_its_folder(swept: Path) -> None:
    for result in results(swept):
        name, key = result["spec"]["generator"]["name"], result["run_key"]
        said = bench("explain", key, cwd=swept).stdout
        assert said == bench("explain", f"runs/{name}/{key}", cwd=swept).stdout
        what = f"The generator {name} was fitted on 3 patients"
        if name in METHODS:
            what = f"The segmenter {name} rested on published constants alone"
        assert said.startswith(f"What was done?\n{what}")
        assert "What is not covered?" in said


def test_an_audit_says_what_it_proves_and_is_charged_on_own_data(
    tiny_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    asked = ["audit", "--generator", "dp-wgan", "--epsilon", "5", "--canaries", "16"]
    asked += [
        "--set",
        "dp-wgan.generator_steps=4",
        "--set",
        "dp-wgan.batch=64",
        "--data",
        str(tiny_cohort),
    ]
    done = bench(*asked, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Claim: ε = " in done.stdout
    assert "guesses on 16 canaries, which prove" in done.stdout
    assert "The claim is not refuted." in done.stdout
    assert "for a patch is not refuted." in done.stdout
    assert f"All {len(laws.LAWS)} exact laws of the private step hold." in done.stdout
    assert done.stdout.count("Area under the curve by ") == 2
    assert (tmp_path / "membership.png").stat().st_size > 1000
    assert "measured on your patients, outside of any guarantee" in done.stdout
    shown = bench("ledger", "show", cwd=tmp_path).stdout
    assert "audit of dp-wgan" in shown
    assert "3 patients have paid" in shown
    bench("ledger", "cap", "0.5", cwd=tmp_path)
    assert "above the cap" in bench(*asked, cwd=tmp_path).stderr


def test_an_audit_of_a_release_says_how_many_laws_it_measured(
    tiny_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    asked = ["audit", "--generator", "dp-simulator", "--epsilon", "2", "--unit", "patient"]
    asked += ["--canaries", "16"]
    asked += ["--set", "dp-simulator.populations=60", "--set", "dp-simulator.patches=4"]
    done = bench(*asked, "--data", str(tiny_cohort), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "(σ = 1.995, q = 1, T = 1)" in done.stdout
    assert f"All {len(release_laws.LAWS)} exact laws of the private step hold." in done.stdout
    assert "for a patch is not refuted." in done.stdout
    assert "By 2 patients, each fitted on or held out by a coin" in done.stdout
    assert "for a patient is not refuted." in done.stdout


def test_an_audit_of_a_segmenter_has_no_synthetic_patches_to_look_at(
    tiny_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    asked = ["audit", "--generator", "dp-segmenter", "--epsilon", "5", "--canaries", "16"]
    asked += [
        "--set",
        "dp-segmenter.steps=4",
        "--set",
        "dp-segmenter.batch=64",
        "--data",
        str(tiny_cohort),
    ]
    done = bench(*asked, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"All {len(laws.LAWS)} exact laws of the private step hold." in done.stdout
    assert "Nothing synthetic is made" in done.stdout
    assert not [*tmp_path.glob("*.png")]
    assert "audit of dp-segmenter" in bench("ledger", "show", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("unet", "--epsilon", "5"), "learns from synthetic patches"),
        (("wgan", "--epsilon", "5"), "claims nothing that could be refuted"),
        (("dp-wgan", "--epsilon", "inf"), "claims nothing that could be refuted"),
        (("dp-wgan", "--epsilon", "5", "--set", "dp-wgan.clip=1"), "clip_norm"),
    ],
)
def test_what_cannot_be_audited_is_refused_before_any_phantom_is_made(
    asked: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(tmp_path / "cache"))
    refused = bench("audit", "--generator", *asked, cwd=tmp_path)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert not [*tmp_path.iterdir()]


def test_the_charge_was_on_disk_before_the_result(swept: Path) -> None:
    for file in swept.glob("runs/*/*/result.json"):
        if file.parts[-3] in METHODS:
            continue  # nobody is charged
        charge = file.with_name("charge.json")
        assert charge.stat().st_mtime_ns < file.stat().st_mtime_ns
        assert (
            json.loads(charge.read_text())["epsilon"]
            == (json.loads(file.read_text())["guarantee"]["epsilon"])
        )


def test_patches_of_patients_and_unprotected_weights_stay_out_of_the_results(swept: Path) -> None:
    for result in results(swept):
        spec = result["spec"]
        folder = swept / "runs" / spec["generator"]["name"] / result["run_key"]
        made = spec["generator"]["name"] not in METHODS
        released = made and float(spec["epsilon"]) == 0  # a seed in the spec undoes other fits
        assert (folder / "samples.png").exists() == released
        assert (folder / "generator").exists() == released


def test_the_same_command_again_computes_nothing(swept: Path) -> None:
    before = stamps(swept)
    again = bench(*SWEEP, cwd=swept)
    assert again.returncode == 0
    assert "7 cells, 7 of them done before" in again.stdout
    assert "dp-wgan" in again.stdout
    assert stamps(swept) == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own use of SQLAlchemy
def test_mlflow_has_one_parent_and_a_child_for_each_cell(swept: Path) -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{swept / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("angiobench")
    runs = client.search_runs([experiment.experiment_id])
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert len(parents) == 1
    assert {r.data.tags["run_key"] for r in children} == {r["run_key"] for r in results(swept)}
    by_key = {r["run_key"]: r for r in results(swept)}
    for run in children:
        result = by_key[run.data.tags["run_key"]]
        assert run.data.metrics["dice_test"] == result["test_sets"][0]["dice"]["mean"]
        assert run.data.params["epsilon"] == str(result["spec"]["epsilon"])
        assert all(abs(value) < 1e300 for value in run.data.metrics.values())
        artifacts = {a.path for a in client.list_artifacts(run.info.run_id)}
        assert "result.json" in artifacts
    private = next(r for r in children if r.data.params["epsilon"] == "5.0")
    assert private.info.run_name == "dp-wgan ε=5 patch seed 0"
    assert not client.get_metric_history(private.info.run_id, "generator_loss"), (
        "no noise protects it"
    )
    took = (private.info.end_time - private.info.start_time) / 1000
    assert took == pytest.approx(private.data.metrics["seconds"], abs=0.01)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_cell_that_mlflow_has_half_is_logged_again_whole(swept: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{swept / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("angiobench").experiment_id
    cells = client.search_runs([experiment], "params.epsilon = '5.0'")
    client.update_run(cells[0].info.run_id, status="RUNNING")
    assert bench(*SWEEP, cwd=swept).returncode == 0
    again = client.search_runs([experiment], "params.epsilon = '5.0'")
    assert [r.info.status for r in again] == ["FINISHED"]
    assert again[0].info.run_id != cells[0].info.run_id


def test_the_ui_shows_the_sweep_on_this_machine_alone(swept: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ui = subprocess.Popen(
        [*COMMAND, "ui", "runs", "--port", str(port)],
        cwd=swept,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        told = [ui.stdout.readline() for _ in range(2)]
        assert f"http://127.0.0.1:{port}/#/compare-runs" in told[0]
        assert f"http://127.0.0.1:{port}/#/experiments/" in told[1]
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name"
        assert b"angiobench" in fetched(f"{url}?experiment_name=angiobench")
    finally:
        ui.terminate()
        ui.communicate(timeout=30)
    with socket.socket() as again:  # MLflow ended with the command
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_mlflow_down_loses_no_result(swept: Path) -> None:
    done = bench(*SWEEP, "--tracking-uri", "http://127.0.0.1:9", cwd=swept)
    assert done.returncode == 0
    assert done.stdout.count("MLflow at http://127.0.0.1:9 failed") == 1
    assert len(rows(swept)) == 7
