"""The real search on a tiny cohort: what it leaves, whom it reads, what kills it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from command import SMALL, bench, processes_in, results, wait_for

from benchmark.privacy.accounting import epsilon_spent

FAST = [*SMALL, "--set", "dp-wgan.generator_steps=3", "--generator", "dp-wgan"]
LEAKY = ["tune", *FAST, "--seeds", "1", "--on", "private", "--leaky", "--data", "cohort"]
TRIALS = 4


@pytest.fixture(scope="module", autouse=True)
def _own_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANGIOBENCH_STATE", str(tmp_path_factory.mktemp("state of tuning")))
        yield


@pytest.fixture(scope="module")
def tuned(module_cohort: Path) -> Path:
    """A search over patients of whom those of the split `test` cannot be read at all."""
    for file in [*module_cohort.rglob("*sub-05*.nii.gz"), *module_cohort.rglob("*sub-06*.nii.gz")]:
        file.write_bytes(b"nobody may open this")
    folder = module_cohort.parent
    done = bench(*LEAKY, "--epsilon", "2,5", "--trials", str(TRIALS), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Selection: not accounted" in done.stdout
    assert done.stderr == ""
    return folder


def cells(folder: Path) -> list[Path]:
    return sorted(folder.glob("runs/trials/*/dp-wgan/*/result.json"))


def level(folder: Path, epsilon: str) -> dict:
    return tomllib.loads((folder / f"runs/tuned/dp-wgan/patch/{epsilon}.toml").read_text())


def test_the_winner_is_the_best_trial_and_no_worse_than_the_default(tuned: Path) -> None:
    storage = f"sqlite:///{tuned / 'runs' / 'optuna.db'}"
    for epsilon in ("2", "5"):
        found = level(tuned, epsilon)
        how = found["provenance"]
        study = optuna.load_study(study_name=how["study"], storage=storage)
        scores = [trial.value for trial in study.trials]
        assert len(scores) == how["trials"] == TRIALS
        assert how["score"] == max(scores) >= how["default"] == scores[0]
        assert study.best_trial.params == found["settings"]
        assert "generator_steps" not in found["settings"], "it was set, so it is held fast"
    assert len(cells(tuned)) == 2 * TRIALS


def test_every_trial_is_charged_as_tuning_and_their_composed_epsilon_is_said(tuned: Path) -> None:
    shown = bench("ledger", "show", cwd=tuned).stdout
    assert len(re.findall(r"^ +\d+ .* tuning +dp-wgan ", shown, re.M)) == 2 * TRIALS
    for epsilon in (2, 5):
        how = level(tuned, str(epsilon))["provenance"]
        assert (how["on"], how["selection"]) == ("private", "not accounted")
        assert epsilon < how["epsilon_of_all_trials"] < TRIALS * epsilon


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own use of SQLAlchemy
def test_pictures_and_mlflow_have_the_studies(tuned: Path) -> None:
    for name in ("history", "settings"):
        assert (tuned / "runs" / f"tuning-{name}.png").stat().st_size > 1000
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tuned / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("angiobench").experiment_id
    runs = client.search_runs([experiment])
    parents = {r.info.run_id for r in runs if "mlflow.parentRunId" not in r.data.tags}
    assert len(parents) == 2
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") in parents]
    assert len(children) == 2 * TRIALS
    assert all("dice_val" in run.data.metrics for run in children)
    for parent in parents:
        kept = {a.path for a in client.list_artifacts(parent)}
        assert any(path.endswith(".toml") for path in kept)
        assert "tuning-settings.png" in kept


def test_the_same_command_again_computes_nothing(tuned: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in cells(tuned)}
    done = bench(*LEAKY, "--epsilon", "2,5", "--trials", str(TRIALS), cwd=tuned)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {file: file.stat().st_mtime_ns for file in cells(tuned)} == before


def test_a_run_with_tuned_settings_says_whence_they_come(
    tuned: Path, tiny_cohort: Path, tmp_path: Path
) -> None:
    shutil.copytree(tuned / "runs" / "tuned", tmp_path / "runs" / "tuned")
    run = ["run", *FAST, "--no-bookends", "--data", "cohort", "--tracking-uri", "none"]
    done = bench(*run, "--epsilon", "1,4", "--tuned", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "dp-wgan, ε = 1: nothing was tuned at or below it" in said
    assert "dp-wgan, ε = 4: settings tuned at ε = 2 on private data; selection: not acc" in said
    assert "Tuned on patients; selection: not accounted." in said
    by_epsilon = {result["spec"]["epsilon"]: result for result in results(tmp_path)}
    assert by_epsilon[1]["spec"]["tuned"] is None
    settings = by_epsilon[4]["spec"]["generator"]["settings"]
    assert level(tuned, "2")["settings"].items() <= settings.items()
    assert settings["generator_steps"] == 3
    spent = by_epsilon[4]["guarantee"]
    again = epsilon_spent(
        noise_multiplier=spent["noise_multiplier"],
        sampling_rate=spent["sampling_rate"],
        steps=spent["steps"],
        delta=spent["delta"],
        accountant=spent["accountant"],
    )
    assert again == spent["epsilon"] <= 4
    explained = bench("explain", by_epsilon[4]["run_key"], cwd=tmp_path).stdout
    assert "the selection is not accounted" in explained
    shown = bench("show", "dp-wgan", "--tuned", cwd=tmp_path).stdout
    assert "Tuned for ε = 2 (patch): 4 trials on private data" in shown


def test_two_goals_over_two_seeds_across_two_sites(tiny_cohort: Path, tmp_path: Path) -> None:
    asked = ["--epsilon", "5", "--trials", "2", "--seeds", "2", "--objective", "dice,distance"]
    sites = ["--sites", "2", "--partition", "size-skew:1,1"]
    done = bench(*LEAKY, *asked, *sites, "--tracking-uri", "none", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (study,) = studies(tmp_path)
    scores = {tuple(t.user_attrs["run_keys"]): t.values for t in study.trials}
    by_key = {
        json.loads(f.read_text())["run_key"]: json.loads(f.read_text()) for f in cells(tmp_path)
    }
    assert len(by_key) == 4
    for keys, values in scores.items():
        dice = [by_key[key]["test_sets"][0]["dice"]["mean"] for key in keys]
        distance = [by_key[key]["offline_distance"] for key in keys]
        assert values == pytest.approx([sum(dice) / 2, sum(distance) / 2])
        assert [by_key[key]["spec"]["seed"] for key in keys] == [0, 1]
        assert all(by_key[key]["spec"]["federation"]["partition"] for key in keys)
    how = level(tmp_path, "5")["provenance"]
    assert (how["seeds"], how["score"]) == (2, max(values[0] for values in scores.values()))


@pytest.mark.parametrize(
    ("blow", "exit_code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow)],
)
def test_a_killed_search_goes_on_and_loses_and_doubles_no_trial(
    tiny_cohort: Path, tmp_path: Path, blow: signal.Signals, exit_code: int
) -> None:
    asked = [*LEAKY, "--epsilon", "5", "--trials", "5", "--jobs", "2", "--tracking-uri", "none"]
    search = subprocess.Popen(
        [sys.executable, "-m", "benchmark", *asked],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(lambda: len(cells(tmp_path)) >= 2)
    search.send_signal(blow)
    assert search.wait() == exit_code
    wait_for(lambda: not processes_in(tmp_path))
    kept = {file: file.stat().st_mtime_ns for file in cells(tmp_path)}
    assert len(kept) < 5
    done = bench(*asked, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (study,) = studies(tmp_path)
    states = [trial.state.name for trial in study.trials]
    assert states.count("COMPLETE") == 5
    assert not {"RUNNING", "WAITING"} & set(states)
    assert len({str(t.params) for t in study.trials if t.state.name == "COMPLETE"}) == 5
    assert {file: file.stat().st_mtime_ns for file in kept} == kept


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of our own, on the loopback; its URL."""
    programs = shutil.which("initdb") or next(
        (str(file) for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")), None
    )
    if programs is None:
        pytest.skip("there is no PostgreSQL on this machine")
    folder = tmp_path_factory.mktemp("postgres")
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to be run by root
    if user:
        shutil.chown(folder, user)
        for parent in (folder, *folder.parents):
            if parent.name.startswith("pytest-"):
                parent.chmod(parent.stat().st_mode | 0o011)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = str(folder / "data")
    home = Path(programs).resolve().parent
    initdb = [home / "initdb", "-D", data, "-U", "bench", "--auth=trust"]
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
    serve = [home / "postgres", "-D", data, "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(serve, user=user, cwd=folder, stdout=log, stderr=log)
    try:
        wait_for(lambda: "ready to accept" in (folder / "log").read_text())
        yield f"postgresql+psycopg2://bench@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # with SIGTERM it would wait for its clients
        server.wait()


@pytest.mark.slow
def test_of_several_workers_one_may_be_killed(
    tiny_cohort: Path, tmp_path: Path, postgres: str
) -> None:
    asked = [*LEAKY, "--epsilon", "5", "--trials", "8", "--jobs", "1", "--tracking-uri", "none"]
    command = [sys.executable, "-m", "benchmark", *asked, "--storage", postgres]
    workers = [
        subprocess.Popen(
            [*command, "--out", f"runs/{name}"], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        for name in ("one", "other", "third")
    ]
    try:
        wait_for(lambda: list(tmp_path.glob("runs/one/trials/*/dp-wgan/*/charge.json")))
        workers[0].send_signal(signal.SIGKILL)
        assert workers[0].wait() == -9
        assert [worker.wait(timeout=240) for worker in workers[1:]] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    (name,) = optuna.get_all_study_names(postgres)
    trials = optuna.load_study(study_name=name, storage=postgres).trials
    states = [trial.state.name for trial in trials]
    assert 8 <= states.count("COMPLETE") <= 9, "the last two may be asked for at once"
    assert not {"RUNNING", "WAITING"} & set(states)
    finished = [str(trial.params) for trial in trials if trial.state.name == "COMPLETE"]
    assert len(set(finished)) == len(finished)
    lost = [str(trial.params) for trial in trials if trial.state.name == "FAIL"]
    assert set(lost) <= set(finished), "it was tried again"


def studies(folder: Path) -> list[optuna.Study]:
    storage = f"sqlite:///{folder / 'runs' / 'optuna.db'}"
    names = optuna.get_all_study_names(storage)
    return [optuna.load_study(study_name=name, storage=storage) for name in names]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--on", "private", "--data", "cohort"], "--on private needs --leaky"),
        (["--leaky"], "--on private needs --leaky, and only that does"),
        (["--data", "cohort"], "--data is for --on private"),
        (["--generator", "simulator"], "simulator is a bookend"),
        (["--generator", "dp-wgam"], "No generator is called 'dp-wgam'"),
        (["--objective", "beauty"], "No objective is called 'beauty'"),
        (["--objective", "fid"], "--objective fid: "),
        (["--epsilon", "0"], "got '0'."),
        (["--storage", "cellar://optuna"], "Optuna cannot use this store"),
    ],
)
def test_a_search_that_cannot_be_meant_gets_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    done = bench("tune", "--generator", "dp-wgan", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()
