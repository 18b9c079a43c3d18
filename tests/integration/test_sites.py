"""The real command with sites: what a federated sweep leaves, and what happens if one fails."""

import csv
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from statistics import fmean

import pytest
from command import (
    COMMAND,
    SMALL,
    STEPS,
    UNTRACKED,
    UNTRAINED,
    bench,
    plug_in,
    processes_in,
    results,
    rows,
    stamps_of,
    wait_for,
)

from benchmark.core.budget import Guarantee, epsilon_text
from benchmark.privacy.accounting.subsampled_gaussian import epsilon_spent
from benchmark.results.bookends import METHODS

SITES = ["run", "--generator", "dp-wgan", "--data", "cohort", "--sites", "2", *SMALL]
SWEEP = [*SITES, *STEPS, "--epsilon", "5,inf", "--baselines", "--noise", "seeded"]
SWEEP += ["--rounds", "3", "--local-steps", "2"]


@pytest.fixture(scope="module")
def swept(module_cohort: Path) -> Path:
    done = bench(*SWEEP, cwd=module_cohort.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"dp-wgan +5 +all sites, federated +0\.\d+ +0\.\d+", done.stdout)
    assert "Composed over the 4 private fits" in done.stdout
    assert "server + all other sites" in done.stdout
    said = " ".join(done.stdout.split())
    assert "A federated result's own ε holds against the server and the other sites." in said
    return module_cohort.parent


def federated(folder: Path) -> list[dict]:
    return [result for result in results(folder) if result["spec"]["sites"] == 2]


def test_every_line_says_where_it_was_trained_and_what_each_site_paid(swept: Path) -> None:
    table = [r for r in rows(swept) if r["generator"] == "dp-wgan"]
    trained = [(r["epsilon"], r["sites"], r["trained_at"]) for r in table]
    assert sorted(trained) == sorted(
        (epsilon, sites, where)
        for epsilon in ("5", "inf")
        for sites, where in (("2", "all"), ("1", "all"), ("1", "a"), ("1", "b"))
    )
    for row in table:
        paid = dict(pair.split("=") for pair in row["epsilon_sites"].split())
        assert set(paid) == ({"a", "b"} if row["sites"] == "2" else set())
        assert all(float(spent) <= float(row["epsilon"]) for spent in paid.values())


def test_every_sites_epsilon_can_be_recomputed_and_the_largest_is_the_results(swept: Path) -> None:
    (private,) = [r for r in federated(swept) if r["spec"]["epsilon"] == 5]
    said = {one["site"]: one["guarantee"] for one in private["sites"]}
    assert {site: g["patients"] for site, g in said.items()} == {"a": 2, "b": 1}
    for g in said.values():
        assert g["steps"] == 6, "three rounds of two local steps"
        assert g["epsilon"] <= 5
        assert g["epsilon"] == epsilon_spent(
            noise_multiplier=g["noise_multiplier"],
            sampling_rate=g["sampling_rate"],
            steps=g["steps"],
            delta=Guarantee.from_dict(g).accounted_delta,
            accountant=g["accountant"],
        )
    for kind in ("epsilon", "epsilon_patch", "epsilon_patient"):
        assert private["guarantee"][kind] == max(g[kind] for g in said.values())
    explained = bench("explain", private["run_key"], cwd=swept).stdout
    assert "And at each site?" in explained
    assert "Who could see what?" in explained
    observers = json.loads(bench("explain", private["run_key"], "--json", cwd=swept).stdout)
    assert {*observers["observers"].values()} == {private["guarantee"]["epsilon"]}
    assert f"server + all other sites: ε = {epsilon_text(private['guarantee']['epsilon'])}" in (
        explained
    )


def test_each_site_charges_its_own_patients(swept: Path) -> None:
    shown = bench("ledger", "show", cwd=swept).stdout
    for result in results(swept):
        entries = [line.split() for line in shown.splitlines() if result["run_key"] in line]
        patients = sorted(int(entry[4]) for entry in entries)
        alone = (result["spec"]["federation"] or {}).get("alone")
        whole = {"a": [2], "b": [1], None: [3]}[alone]
        if result["spec"]["generator"]["name"] in METHODS:
            whole = []  # nobody is read, so nobody is entered
        assert patients == ([1, 2] if result["spec"]["sites"] == 2 else whole)


def test_the_matrix_is_the_mean_over_the_patients_of_each_site(swept: Path) -> None:
    with (swept / "runs" / "matrix.csv").open() as lines:
        squares = list(csv.DictReader(lines))
    assert len(squares) == 2 * 4 * 2
    names = {"2": "all sites, federated", "1": "all patients, pooled"}
    for result in (r for r in results(swept) if r["spec"]["generator"]["name"] == "dp-wgan"):
        spec, test = result["spec"], result["test_sets"][0]
        trained = (spec["federation"] or {}).get("alone") or names[str(spec["sites"])]
        for site in "ab":
            (square,) = [
                s
                for s in squares
                if (s["trained"], s["tested"]) == (trained, site)
                and float(s["epsilon"]) == float(spec["epsilon"])
            ]
            mine = [p["dice"] for p in test["patients"] if p["site"] == site]
            assert float(square["dice"]) == pytest.approx(fmean(mine), abs=1e-5)
            assert int(square["patients"]) == len(mine) == 1
    assert (swept / "runs" / "matrix.png").stat().st_size > 1000


def test_a_site_without_held_out_patients_stays_in_the_matrix(
    module_cohort: Path, tmp_path: Path
) -> None:
    cohort = ["--data", str(module_cohort), "--sites", "2", "--partition", "size-skew:8,1"]
    asked = ["run", "--generator", "dp-wgan", *cohort, *UNTRAINED, *UNTRACKED, "--epsilon", "5"]
    asked += ["--rounds", "1", "--local-steps", "1", "--no-bookends", "--noise", "seeded"]
    done = bench(*asked, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No held-out patients at: site-2." in done.stdout
    with (tmp_path / "runs" / "matrix.csv").open() as lines:
        squares = {s["tested"]: (s["dice"] != "", s["patients"]) for s in csv.DictReader(lines)}
    assert squares == {"site-1": (True, "2"), "site-2": (False, "0")}
    assert (tmp_path / "runs" / "matrix.png").stat().st_size > 1000


def test_no_critic_and_no_reply_is_kept(swept: Path) -> None:
    assert not list(swept.glob("runs/**/checkpoint.safetensors"))
    assert not list(swept.glob("runs/**/reply.safetensors"))


def test_the_same_command_again_computes_nothing(swept: Path) -> None:
    folders = [file.parent for file in swept.glob("runs/*/*/result.json")]
    before = {folder: stamps_of(folder) for folder in folders}
    again = bench(*SWEEP, cwd=swept)
    assert "11 cells, 11 of them done before" in again.stdout
    assert {folder: stamps_of(folder) for folder in folders} == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own use of SQLAlchemy
def test_mlflow_has_the_rounds_the_sites_and_the_matrix(swept: Path) -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{swept / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("angiobench").experiment_id
    (run,) = client.search_runs([experiment], "params.sites = '2' and params.epsilon = '5.0'")
    assert run.info.run_name == "dp-wgan, 2 sites ε=5 patch seed 0"
    assert run.data.params["federation.rounds"] == "3"
    (private,) = [r for r in federated(swept) if r["spec"]["epsilon"] == 5]
    for site in private["sites"]:
        assert run.data.metrics[f"site_epsilon.{site['site']}"] == site["guarantee"]["epsilon"]
    for curve in ("round_seconds", "round_bytes", "distance_to_prior"):
        assert not client.get_metric_history(run.info.run_id, curve), "no seed may undo a curve"
    assert not client.list_artifacts(run.info.run_id, "rounds"), "a seed would undo their noise"
    parent = run.data.tags["mlflow.parentRunId"]
    assert {"matrix.csv", "matrix.png"} <= {a.path for a in client.list_artifacts(parent)}


def test_a_released_generator_is_scored_where_the_patients_are(
    swept: Path, module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*SITES, *STEPS, "--rounds", "3", "--local-steps", "2", "--epsilon", "5"]
    asked += ["--no-bookends"]  # planned before, by the sweep
    (tmp_path / "cohort").symlink_to(module_cohort)
    assert bench(*asked, cwd=tmp_path).returncode == 0
    (folder,) = tmp_path.glob("runs/dp-wgan/*")
    assert len([*folder.glob("rounds/round-*.png")]) == 3, "its noise is the system's"
    done = bench("score", str(folder), "--data", "cohort", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines() if "sub-0" in line] == [
        "sub-05",
        "sub-06",
    ]
    refused = bench("score", "runs", "--data", "cohort", cwd=swept)
    assert refused.returncode == 2
    assert "there is no released generator" in refused.stderr


@pytest.mark.slow  # `tests/endurance` kills one at a random instant
def test_a_killed_federated_sweep_goes_on_to_the_same_model(
    tiny_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = [*SITES, "--epsilon", "5", "--no-bookends", "--noise", "seeded", "--rounds", "60"]
    long += ["--local-steps", "2", *UNTRACKED]
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    (undisturbed / "cohort").symlink_to(tiny_cohort)
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    assert bench(*long, cwd=undisturbed).returncode == 0
    sweep = subprocess.Popen([*COMMAND, *long], cwd=tmp_path, stdout=subprocess.DEVNULL)
    wait_for(lambda: list(tmp_path.glob("runs/*/*/checkpoint.safetensors")))
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    wait_for(lambda: not processes_in(tmp_path))
    assert not results(tmp_path), "it was killed in time"
    done = bench(*long, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = results(tmp_path)
    (whole,) = results(undisturbed)
    assert result["test_sets"] == whole["test_sets"]
    assert result["rounds"]["rounds"] == 60, "also those before the kill"
    assert result["rounds"]["bytes"] == whole["rounds"]["bytes"]
    shown = bench("ledger", "show", cwd=tmp_path).stdout
    assert shown.count(result["run_key"]) == 2 + 2, "each site under its own entry"


FAULTY = '''
"""A DP-WGAN whose sites fail in the second round, until they are mended."""
from pathlib import Path
from generators.dp_wgan import DpWgan

class Faulty(DpWgan):
    name = "faulty"
    def site_side(self, patches, guarantee, schedule):
        side = super().site_side(patches, guarantee, schedule)
        compute = side.compute
        def fails(number, state, context):
            if number == 2 and not Path("mended").exists():
                raise RuntimeError("the heart of sub-01")
            return compute(number, state, context)
        side.compute = fails
        return side
'''


def test_a_failing_site_is_named_with_its_round_and_the_same_command_goes_on(
    tiny_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    path = plug_in(tmp_path, "generators", "faulty", "Faulty", FAULTY)
    asked = ["run", "--generator", "faulty", "--epsilon", "5", "--data", "cohort", *UNTRAINED]
    asked += ["--sites", "2", "--rounds", "3", "--local-steps", "2", *UNTRACKED]
    done = bench(*asked, "--no-bookends", cwd=tmp_path, path=path)
    assert done.returncode == 1
    assert "Site a, round 2: it failed." in done.stdout
    assert "sub-01" not in done.stdout, "the reason stays at the site"
    (own,) = tmp_path.glob("runs/faulty/*/sites/a/error.txt")
    assert "the heart of sub-01" in own.read_text()
    assert not results(tmp_path)
    (tmp_path / "mended").touch()
    done = bench(*asked, "--no-bookends", cwd=tmp_path, path=path)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = results(tmp_path)
    assert result["rounds"]["rounds"] == 3, "the first was kept"
    assert result["guarantee"]["seeded"] is False
    shown = bench("ledger", "show", cwd=tmp_path).stdout
    assert shown.count(result["run_key"]) == 4, "both had drawn round 2, and pay for it again"


def test_a_bookend_that_is_asked_for_across_sites_says_that_it_is_not(
    module_cohort: Path, tmp_path: Path
) -> None:
    asked = [
        "run",
        "--generator",
        "simulator",
        "--data",
        str(module_cohort),
        *UNTRAINED,
        *UNTRACKED,
    ]
    done = bench(*asked, "--sites", "2", "--no-bookends", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "simulator is a bookend" in " ".join(done.stdout.split())
    assert [result["spec"]["sites"] for result in results(tmp_path)] == [1]


BAND = Path("docs/examples/private-band/private_band.py")
"""A plug-in that says nothing of sites, as most of others."""


def test_a_plug_in_that_says_nothing_of_sites_is_mixed(
    module_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    code = BAND.read_text().replace('"private-band"', '"band"')
    path = plug_in(tmp_path, "generators", "band", "PrivateBand", code)
    asked = ["run", "--generator", "band", "--data", str(module_cohort), "--sites", "2"]
    asked += [*UNTRAINED, *UNTRACKED, "--epsilon", "5", "--unit", "patient", "--no-bookends"]
    done = bench(*asked, "--baselines", cwd=tmp_path, path=path)
    assert done.returncode == 0, done.stdout + done.stderr
    (together,) = federated(tmp_path)
    assert together["spec"]["federation"]["design"] == "mixture"
    said = {one["site"]: one["guarantee"] for one in together["sites"]}
    alone = {
        result["spec"]["federation"]["alone"]: result["guarantee"]
        for result in results(tmp_path)
        if "alone" in (result["spec"]["federation"] or {})
    }
    for site in "ab":
        for number in ("epsilon", "noise_multiplier", "patients", "steps"):
            assert said[site][number] == alone[site][number], "as a fit of that site alone"
    assert together["guarantee"]["epsilon"] == max(one["epsilon"] for one in said.values()) <= 5
    assert together["rounds"]["rounds"] == 1
    shown = bench("ledger", "show", cwd=tmp_path).stdout
    assert shown.count(together["run_key"]) == 2, "each site once"
    (folder,) = (f.parent for f in tmp_path.glob(f"runs/*/*{together['run_key']}*/result.json"))
    scored = bench(
        "score", str(folder), "--data", str(module_cohort), *UNTRAINED[-2:], cwd=tmp_path, path=path
    )
    assert scored.returncode == 0, scored.stdout + scored.stderr
    again = bench(*asked, "--baselines", cwd=tmp_path, path=path)
    assert "4 cells, 4 of them done before" in again.stdout


PLAIN = '''
"""A generator that reads no patient, and so has nothing to train at sites."""
from generators.simulator import Simulator

class Plain(Simulator):
    name = "plain"
'''


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sites", "2", "--generator", "plain"], "plain cannot be trained across sites"),
        (["--sites", "3"], "have 2 sites (a, b) of their own"),
        (["--sites", "2", "--partition", "alphabet"], "Expected --partition to be one of"),
        (["--sites", "2", "--partition", "size-skew:1"], "one for each of the 2 sites"),
        (["--sites", "4", "--partition", "scanner"], "3 patients cannot be split over 4 sites"),
        (["--sites", "2", "--design", "gossip"], "No design is called 'gossip'"),
        (["--sites", "2", "--design", "mixture", "--rounds", "3"], "fits once, in one round"),
        (["--rounds", "3"], "--rounds 3 needs --sites of 2 or more, got 1;"),
    ],
)
def test_sites_that_cannot_be_get_one_sentence(
    arguments: list[str], sentence: str, module_cohort: Path, tmp_path: Path
) -> None:
    path = plug_in(tmp_path, "generators", "plain", "Plain", PLAIN)
    base = ["run", "--generator", "dp-wgan", "--data", str(module_cohort), *SMALL]
    done = bench(*base, *arguments, cwd=tmp_path, path=path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()
