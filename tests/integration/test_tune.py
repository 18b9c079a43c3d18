"""The real search on a tiny cohort: what it leaves, whom it reads, what kills it."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import optuna
import pytest
from command import COMMAND, bench, processes_in, results, wait_for

from benchmark.core.budget import Guarantee, epsilon_text
from benchmark.core.editions import DEFAULT, EDITIONS
from benchmark.core.folders import machine_secret
from benchmark.core.registry import generators
from benchmark.privacy.accounting.composition import total_epsilon
from benchmark.privacy.accounting.subsampled_gaussian import epsilon_spent
from benchmark.privacy.ledger.ledger import DELTA, ledger_in
from benchmark.results.tuned_settings import Found
from benchmark.tuning.study import PHANTOM_SEED
from leaderboard.entries import entry_of

TINY = {
    "protocol.patches_per_patient": 20,
    "protocol.samples": 32,
    "protocol.fid_n": 16,
    "unet.iterations": 20,
    "unet.width": 4,
    "unet.attempts": 0,
    "dp-wgan.generator_steps": 3,
    "dp-wgan.generator_width": 4,
    "dp-wgan.critic_width": 4,
    "dp-wgan.batch": 16,
    "dp-wgan.patients_per_step": 2,
    "dp-wgan.critic_steps": 1,
    "dp-wgan.pretrain_steps": 2,
}
"""Batch and steps are held fast, so that the noise of a level is calibrated once."""

FAST = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]
FAST += ["--generator", "dp-wgan"]
LEAKY = ["tune", *FAST, "--seeds", "1", "--on", "private", "--leaky"]
QUIETLY = ["--tracking-uri", "none"]
TRIALS = 3
ASKED = ["--epsilon", "2,5", "--trials", str(TRIALS)]


class Said(NamedTuple):
    """What a command left: its exit code, and what it printed, its lines joined."""

    code: int
    out: str
    err: str


def said(*arguments: str, cwd: Path) -> Said:
    """The command in this process, and its cells, unless they are told otherwise."""
    where = ["--out", str(cwd / "runs")] if arguments[0] in ("tune", "run", "show") else []
    done = bench(*arguments, *where, cwd=cwd)
    return Said(done.returncode, " ".join(done.stdout.split()), done.stderr)


def on(cohort: Path) -> list[str]:
    return ["--data", str(cohort)]


@pytest.fixture(scope="module", autouse=True)
def _tiny_cache(
    tmp_path_factory: pytest.TempPathFactory,
    write_tiny_phantoms: Callable[[Path], None],
    cache_with_plans: Callable[[Path], Path],
) -> Iterator[None]:
    """A cache of our own: the phantoms there are tiny."""
    cache = cache_with_plans(tmp_path_factory.mktemp("cache"))
    write_tiny_phantoms(cache / f"phantom-v{EDITIONS[DEFAULT].phantoms}-seed{PHANTOM_SEED}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANGIOBENCH_CACHE", str(cache))
        yield


@pytest.fixture(scope="module")
def tuned(module_cohort: Path) -> Path:
    """A search over patients of whom those of the split `test` cannot be read at all."""
    for file in [*module_cohort.rglob("*sub-05*.nii.gz"), *module_cohort.rglob("*sub-06*.nii.gz")]:
        file.write_bytes(b"nobody may open this")
    folder = module_cohort.parent
    done = said(*LEAKY, *on(module_cohort), *ASKED, cwd=folder)
    assert done.code == 0, done
    assert "bench:" not in done.err, done
    assert "Selection: not accounted" in done.out
    assert "Validation patients have no guarantee" in done.out
    assert "ε of all trials, patch" in done.out
    assert f"Composed over the {2 * TRIALS} private fits" in done.out
    return folder


@pytest.fixture(scope="module")
def on_phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search in the default mode, by an objective that is minimised."""
    folder = tmp_path_factory.mktemp("on phantoms")
    asked = ["--epsilon", "5", "--trials", "4", "--seeds", "1", "--objective", "distance"]
    done = said("tune", *FAST, *asked, *QUIETLY, cwd=folder)
    assert done.code == 0, done
    assert "bench:" not in done.err, done
    assert "free of private data" in done.out
    assert "private fits" not in done.out
    return folder


def cells(folder: Path) -> list[Path]:
    return sorted(folder.glob("runs/trials/*/dp-wgan/*/result.json"))


def level(folder: Path, epsilon: str, unit: str = "patch") -> dict:
    return tomllib.loads((folder / f"runs/tuned/dp-wgan/{unit}/{epsilon}.toml").read_text())


def studies(folder: Path) -> list[optuna.Study]:
    storage = f"sqlite:///{folder / 'runs' / 'optuna.db'}"
    names = optuna.get_all_study_names(storage)
    return [optuna.load_study(study_name=name, storage=storage) for name in names]


def test_the_winner_is_the_best_trial_and_no_worse_than_the_default(tuned: Path) -> None:
    storage = f"sqlite:///{tuned / 'runs' / 'optuna.db'}"
    for epsilon in ("2", "5"):
        found = level(tuned, epsilon)
        how = found["provenance"]
        study = optuna.load_study(study_name=how["study"], storage=storage)
        scores = [trial.value for trial in study.trials]
        assert len(scores) == how["trials"] == TRIALS
        assert how["score"] == max(scores) >= how["default"] == scores[0]
        assert study.best_trial.params.items() <= found["settings"].items()
        assert found["settings"]["edges"] == "moved", "the preset's, which may change"
        assert not {"generator_steps", "batch"} & set(found["settings"]), "they were set"
    assert len(cells(tuned)) == 2 * TRIALS


def test_a_file_says_how_it_was_found_but_names_no_folder(tuned: Path) -> None:
    how = level(tuned, "2")["provenance"]
    typed = ["bench", *LEAKY, "--data", "COHORT", *ASKED]
    assert sorted(shlex.split(how["command"])) == sorted(typed)
    assert "dp-wgan.batch=16" in how["held"]
    assert (how["objectives"], how["sites"], how["delta"]) == (["dice"], 1, 1e-5)
    assert how["suite_version"]
    assert str(tuned) not in json.dumps(how)


def test_every_trial_is_charged_as_tuning_and_their_composed_epsilon_is_said(tuned: Path) -> None:
    shown = said("ledger", "show", cwd=tuned).out
    assert len(re.findall(r" tuning dp-wgan ", shown)) == 2 * TRIALS
    for epsilon in (2, 5):
        how = level(tuned, str(epsilon))["provenance"]
        assert (how["on"], how["selection"]) == ("private", "not accounted")
        assert epsilon < how["epsilon_of_all_trials"] < TRIALS * epsilon
    shown = said("show", "dp-wgan", "--tuned", cwd=tuned).out
    composed = epsilon_text(how["epsilon_of_all_trials"])
    assert f"Composed over all trials: ε = {composed} for a patch;" in shown


def test_on_patients_no_level_tries_what_another_found(tuned: Path) -> None:
    first, second = ([trial.params for trial in study.trials] for study in studies(tuned))
    default, *tried = first
    assert second[0] == default, "both start from the preset"
    found = [s for s in tried if s != {**default, "pretrain": "simulator"}]  # which nobody found
    assert found
    assert all(settings not in second for settings in found)


def test_a_leaky_trial_is_marked_wherever_it_is_shown(tuned: Path) -> None:
    folder = cells(tuned)[0].parent
    assert "the selection is not accounted" in said("explain", str(folder), cwd=tuned).out
    entry = entry_of(folder)
    assert entry is not None
    assert entry.spec.tuned.selection == "not accounted"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own use of SQLAlchemy
def test_pictures_and_mlflow_have_the_studies(tuned: Path) -> None:
    for name in ("history", "settings"):
        assert (tuned / "runs" / f"tuning-{name}.png").stat().st_size > 1000
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tuned / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("angiobench").experiment_id
    runs = client.search_runs([experiment])
    parents = {r.info.run_id: r for r in runs if "mlflow.parentRunId" not in r.data.tags}
    assert len(parents) == 2
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") in parents]
    assert len(children) == 2 * TRIALS
    assert all("dice_val" in run.data.metrics for run in children)
    assert all(run.data.tags["selection"] == "not accounted" for run in runs)
    numbers = sorted(run.info.run_name.split(":")[0] for run in children)
    assert numbers == sorted(2 * [f"trial {number + 1}" for number in range(TRIALS)])
    for parent, run in parents.items():
        kept = {a.path for a in client.list_artifacts(parent)}
        assert any(path.endswith(".toml") for path in kept)
        assert "tuning-settings.png" in kept
        assert "selection: not accounted" in run.info.run_name
        epsilon = run.data.params["epsilon"]
        found = level(tuned, epsilon)
        assert run.data.metrics["best_dice"] == pytest.approx(found["provenance"]["score"])
        assert float(run.data.tags["best.clip_norm"]) == found["settings"]["clip_norm"]


def test_the_same_command_again_computes_nothing(tuned: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in cells(tuned)}
    composed = level(tuned, "5")["provenance"]["epsilon_of_all_trials"]
    done = said(*LEAKY, *on(tuned / "cohort"), *ASKED, cwd=tuned)
    assert done.code == 0, done
    assert "bench:" not in done.err, done
    assert {file: file.stat().st_mtime_ns for file in cells(tuned)} == before
    assert level(tuned, "5")["provenance"]["epsilon_of_all_trials"] == composed


def test_a_run_with_tuned_settings_says_whence_they_come(
    tuned: Path, tiny_cohort: Path, tmp_path: Path
) -> None:
    shutil.copytree(tuned / "runs" / "tuned", tmp_path / "runs" / "tuned")
    run = ["run", *FAST, "--no-bookends", *on(tiny_cohort), *QUIETLY, "--tuned"]
    done = said(*run, "--epsilon", "0.9,4", cwd=tmp_path)
    assert done.code == 0, done
    assert "bench:" not in done.err, done
    assert "dp-wgan, ε = 0.9: nothing was tuned at or below it" in done.out
    assert "dp-wgan, ε = 4: settings tuned at ε = 2 on private data; selection: not acc" in done.out
    assert "Tuned on patients; selection: not accounted." in done.out
    by_epsilon = {result["spec"]["epsilon"]: result for result in results(tmp_path)}
    assert by_epsilon[0.9]["spec"]["tuned"] is None
    settings = by_epsilon[4]["spec"]["generator"]["settings"]
    whole = generators.get("dp-wgan").Params.completed(settings)
    assert level(tuned, "2")["settings"].items() <= whole.items()
    assert settings["generator_steps"] == 3
    spent = by_epsilon[4]["guarantee"]
    again = epsilon_spent(
        noise_multiplier=spent["noise_multiplier"],
        sampling_rate=spent["sampling_rate"],
        steps=spent["steps"],
        delta=Guarantee.from_dict(spent).accounted_delta,
        accountant=spent["accountant"],
    )
    assert again == spent["epsilon"] <= 4
    explained = said("explain", by_epsilon[4]["run_key"], cwd=tmp_path)
    assert "the selection is not accounted" in explained.out


def test_a_search_on_phantoms_costs_nothing_and_finds_the_least(on_phantoms: Path) -> None:
    found = level(on_phantoms, "5")
    how = found["provenance"]
    assert (how["on"], how["selection"]) == ("phantom", "free of private data")
    assert how["epsilon_of_all_trials"] == 0
    (study,) = studies(on_phantoms)
    scores = [trial.value for trial in study.trials]
    assert how["score"] == min(scores) <= how["default"] == scores[0]
    assert study.best_trial.params.items() <= found["settings"].items()
    for name in ("history", "importance", "settings"):
        assert (on_phantoms / "runs" / f"tuning-{name}.png").stat().st_size > 1000
    for cell in cells(on_phantoms):
        assert json.loads(cell.read_text())["spec"]["tuned"] is None


def test_a_search_on_patients_never_replaces_what_phantoms_found(
    on_phantoms: Path, tiny_cohort: Path
) -> None:
    before = level(on_phantoms, "5")
    done = said(*LEAKY, *on(tiny_cohort), "--epsilon", "2,5", cwd=on_phantoms)
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "5.toml: these settings are free of private data" in done.err
    assert level(on_phantoms, "5") == before


def test_two_goals_over_two_seeds_across_two_sites(tiny_cohort: Path, tmp_path: Path) -> None:
    asked = ["--epsilon", "5", "--trials", "2", "--seeds", "2", "--objective", "dice,distance"]
    sites = ["--sites", "2", "--partition", "size-skew:1,1"]
    done = said(*LEAKY, *on(tiny_cohort), *asked, *sites, *QUIETLY, cwd=tmp_path)
    assert done.code == 0, done
    assert "bench:" not in done.err, done
    assert "The winner (*) has the best validation Dice" in done.out
    assert (tmp_path / "runs" / "tuning-front.png").stat().st_size > 1000
    (study,) = studies(tmp_path)
    scores = {tuple(t.user_attrs["run_keys"]): t.values for t in study.trials}
    by_key = {
        json.loads(f.read_text())["run_key"]: json.loads(f.read_text()) for f in cells(tmp_path)
    }
    assert len(by_key) == 4
    for keys, values in scores.items():
        dice = [by_key[key]["test_sets"][0]["dice"]["mean"] for key in keys]
        distance = [by_key[key]["test_sets"][0]["offline_distance"] for key in keys]
        assert values == pytest.approx([sum(dice) / 2, sum(distance) / 2])
        assert [by_key[key]["spec"]["seed"] for key in keys] == [0, 1]
        assert all(by_key[key]["spec"]["federation"]["partition"] for key in keys)
    how = level(tmp_path, "5")["provenance"]
    assert (how["seeds"], how["score"]) == (2, max(values[0] for values in scores.values()))
    assert (how["sites"], how["partition"]) == (2, "size-skew:1,1")


def test_a_cap_stops_the_search_and_what_was_paid_for_is_kept(
    tiny_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    assert said("ledger", "cap", "2", cwd=tmp_path).code == 0
    asked = ["--unit", "patient", "--epsilon", "1", "--trials", "9", *QUIETLY]
    done = said(*LEAKY, *on(tiny_cohort), *asked, cwd=tmp_path)
    assert done.code == 2, done
    assert re.fullmatch(r"bench: dp-wgan would take .* above the cap of 2; .*\n", done.err)
    how = level(tmp_path, "1", "patient")["provenance"]
    assert how["trials"] == len(cells(tmp_path))
    assert 1 < how["trials"] < 9
    assert 1 < how["epsilon_of_all_trials"] <= 2


@pytest.mark.parametrize(
    ("blow", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGKILL, -9)],
)
@pytest.mark.slow  # `tests/endurance` kills one at a random instant
def test_a_killed_search_goes_on_and_loses_and_doubles_no_trial(
    tiny_cohort: Path, tmp_path: Path, blow: signal.Signals, exit_code: int
) -> None:
    asked = [*LEAKY, *on(tiny_cohort), "--epsilon", "5", "--trials", "5", *QUIETLY]
    search = subprocess.Popen(
        [*COMMAND, *asked, "--jobs", "2"],
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
    done = said(*asked, cwd=tmp_path)
    assert done.code == 0, done
    assert "bench:" not in done.err, done
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
    asked = [*LEAKY, *on(tiny_cohort), "--epsilon", "5", "--trials", "8", "--jobs", "1", *QUIETLY]
    command = [*COMMAND, *asked, "--storage", postgres]
    machines = {name: tmp_path / "state" / name for name in ("one", "other", "third")}
    machine_secret(machines["one"])
    for name in ("other", "third"):
        shutil.copytree(machines["one"], machines[name])
    workers = [
        subprocess.Popen(
            [*command, "--out", f"runs/{name}"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "ANGIOBENCH_STATE": str(state)},
        )
        for name, state in machines.items()
    ]
    try:
        wait_for(lambda: list(tmp_path.glob("runs/one/trials/*/dp-wgan/*/charge.json")), 300)
        workers[0].send_signal(signal.SIGKILL)
        assert workers[0].wait() == -9
        assert [worker.wait(timeout=400) for worker in workers[1:]] == [0, 0]
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
    ledgers = [ledger_in(state).entries() for state in machines.values()]
    assert all(ledgers), "every machine had a part of it"
    fits = [Guarantee.from_dict(e.said["guarantee"]) for entries in ledgers for e in entries]
    files = [tmp_path / f"runs/{name}/tuned/dp-wgan/patch/5.toml" for name in ("other", "third")]
    composed = [Found.read(file).provenance.epsilon_of_all_trials for file in files]
    assert max(composed) >= total_epsilon(fits, DELTA, unit="patch")
    assert min(composed) > max(
        ledger_in(state).total_of({e.said["run"] for e in entries}, unit="patch")
        for state, entries in zip(machines.values(), ledgers, strict=True)
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--on", "private", "--data", "cohort"], "--on private needs --leaky"),
        (["--leaky"], "--on private needs --leaky, and only that does"),
        (["--data", "cohort"], "--data is for --on private"),
        (
            ["--on", "private", "--leaky", "--data", "cohort", "--annotators", "broad"],
            "--annotators broad is of phantoms, and --on private tunes on your own patients",
        ),
        (["--generator", "simulator"], "simulator is a bookend"),
        (["--generator", "dp-wgam"], "No generator is called 'dp-wgam'"),
        (["--objective", "beauty"], "No objective is called 'beauty'"),
        (["--objective", "fid"], "--objective fid: "),
        (["--epsilon", "0"], "got '0'."),
        (["--storage", "cellar://optuna"], "Optuna cannot use this store"),
        (["--storage", "cellar://me:secret@optuna"], "//me:***@optuna: Optuna cannot use"),
        (["--delta", "0.1"], "delta"),
    ],
)
def test_a_search_that_cannot_be_meant_gets_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    done = said("tune", "--generator", "dp-wgan", *arguments, cwd=tmp_path)
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()
