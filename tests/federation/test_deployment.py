"""The real thing on the loopback: a SuperLink, SuperNodes, TLS and registered keys."""

import random
import re
import shutil
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kills import KILLS, SEED
from loopback import Loopback, run_in_flowers_simulation

from benchmark.core.folders import LEDGER, machine_secret
from benchmark.privacy.ledger.ledger import Ledger
from federation.backend import simulate
from federation.configuration import job_of
from federation.deployment import post_of
from federation.secure_identity import identity_in
from federation.strategy import Rules

DEFAULTS = tomllib.loads((Path("federation") / "pyproject.toml").read_text())
SMALL = {
    "settings": "latent=4 generator_width=4 critic_width=4 batch=8",
    "patch_size": 16,
    "patches_per_patient": 20,
    "local_steps": 2,
    "noise": "seeded",
}


def configuration(**config: Any) -> dict[str, Any]:
    defaults = DEFAULTS["tool"]["flwr"]["app"]["config"]
    return {**defaults, **{name.replace("_", "-"): value for name, value in config.items()}}


@pytest.fixture(scope="module")
def cohorts(module_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two hospitals, each with the patients of one site of the tiny cohort."""
    root, made = tmp_path_factory.mktemp("hospitals"), {}
    head, *rows = (module_cohort / "participants.tsv").read_text().splitlines()
    for site in "ab":
        made[site] = root / site
        mine = [row for row in rows if row.split("\t")[1] == site]
        shutil.copytree(module_cohort, made[site])
        for row in rows:
            if row not in mine:
                for folder in made[site].rglob(row.split("\t")[0]):
                    shutil.rmtree(folder)
        (made[site] / "participants.tsv").write_text("\n".join([head, *mine]) + "\n")
    return made


@pytest.fixture
def consortium(cohorts: dict[str, Path], tmp_path: Path) -> Iterator[Loopback]:
    with Loopback(tmp_path / "consortium", cohorts) as running:
        yield running


def simulated(cohorts: dict[str, Path], folder: Path, **config: Any) -> bytes:
    """The weights that the same run ends with in one process."""
    known = {
        name: identity_in(folder / name / "state").fingerprint
        for name in (cohorts if "secure_sum" in config else ())
    }
    posts = [
        post_of(
            SimpleNamespace(
                node_config={
                    "site": name,
                    "partition-id": index,
                    "data": str(cohort),
                    "state": str(folder / name / "state"),
                    "cache": str(folder / name / "cache"),
                    "phantom": True,
                    "seeded-noise": True,
                    **agreed(name, known, config),
                }
            ),
            "0123456789ab",
        )
        for index, (name, cohort) in enumerate(cohorts.items())
    ]
    job = job_of(configuration(**config), patients=sum(len(post.patients) for post in posts))
    state, _ = simulate("in-process", job, posts, Rules(sites=len(posts), timeout_s=60))
    generator = job.made()
    generator.close(state, job.patch_size)
    generator.save(folder)
    return (folder / "weights.safetensors").read_bytes()


def agreed(name: str, known: dict[str, str], config: dict[str, Any]) -> dict[str, Any]:
    """What a site's own configuration says of secure sums."""
    if not known:
        return {}
    others = [one for other, one in known.items() if other != name]
    return {"secure-sum": config["secure_sum"], "trusted": ",".join(others)}


def weights(consortium: Loopback) -> bytes:
    (found,) = (consortium.folder / "out").glob("*/generator/weights.safetensors")
    return found.read_bytes()


@pytest.mark.slow
def test_over_tls_the_model_is_that_of_the_simulation_bit_for_bit(
    cohorts: dict[str, Path], tmp_path: Path
) -> None:
    with Loopback(tmp_path / "consortium", cohorts, tls=True) as running:
        done = running.run(rounds=2, **SMALL)
        assert running.results(), done.stdout + done.stderr + running.log("superlink")
        assert weights(running) == simulated(cohorts, tmp_path, rounds=2, **SMALL)
        again = running.run(rounds=2, **SMALL)
        assert (done.returncode, again.returncode) == (0, 0), again.stdout + again.stderr
    for site in "ab":
        state = running.folder / site / "state"
        (entry,) = Ledger(state / LEDGER, machine_secret(state)).entries()
        assert entry.said["run"] == running.results()[0]["run"]


SECURE = {
    **{name: value for name, value in SMALL.items() if name not in ("settings", "local_steps")},
    **{"generator": "dp-merf", "unit": "patient", "epsilon": "2", "secure_sum": 1},
}


@pytest.mark.slow
def test_over_tls_secure_sums_end_in_the_model_of_the_simulation_bit_for_bit(
    cohorts: dict[str, Path], tmp_path: Path
) -> None:
    with Loopback(tmp_path / "consortium", cohorts, tls=True) as running:
        refused = running.run(**SECURE)
        assert refused.returncode == 1, "no site has agreed yet"
        assert "refuses the run by its own rules" in refused.stderr
        running.agree(1)
        done = running.run(**SECURE)
        assert running.results(), done.stdout + done.stderr + running.log("superlink")
        assert weights(running) == simulated(cohorts, tmp_path, **SECURE)
        (found,) = running.results()
        assert found["holds_against"] == "the server and any 1 other site together"
    for site in "ab":
        state = running.folder / site / "state"
        (entry,) = Ledger(state / LEDGER, machine_secret(state)).entries()
        assert entry.said["guarantee"]["patients"] == 3
        assert (state / "secure-sums.key").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_flowers_own_simulation_has_secure_sums_too(
    module_cohort: Path, cohorts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    allowed = {"phantom": True, "seeded_noise": True}
    done = run_in_flowers_simulation(tmp_path, module_cohort, 2, **SECURE, **allowed)
    found = list((tmp_path / "out").glob("*/generator/weights.safetensors"))
    assert found, done.stdout + done.stderr
    alone = tmp_path / "one process"
    alone.mkdir()
    assert found[0].read_bytes() == simulated(cohorts, alone, **SECURE)


@pytest.mark.slow
def test_flowers_own_simulation_ends_in_the_same_model(
    module_cohort: Path, cohorts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    allowed = {"phantom": True, "seeded_noise": True}
    done = run_in_flowers_simulation(tmp_path, module_cohort, 2, rounds=2, **SMALL, **allowed)
    found = list((tmp_path / "out").glob("*/generator/weights.safetensors"))
    assert found, done.stdout + done.stderr
    alone = tmp_path / "one process"
    alone.mkdir()
    assert found[0].read_bytes() == simulated(cohorts, alone, rounds=2, **SMALL)


@pytest.mark.slow
def test_a_superlink_that_was_killed_goes_on_where_it_was(
    cohorts: dict[str, Path], consortium: Loopback, tmp_path: Path
) -> None:
    running = threading.Thread(target=consortium.run, kwargs={"rounds": 4, **SMALL})
    running.start()
    until = time.monotonic() + 300
    while not list((consortium.folder / "out").glob("*/checkpoint.safetensors")):
        assert time.monotonic() < until
        time.sleep(0.2)
    for name in [*consortium.hospitals, "superlink"]:
        consortium.kill(name)
    running.join()
    assert not consortium.results()
    (consortium.folder / "superlink.db").unlink(missing_ok=True)
    consortium.start_superlink()
    for index, name in enumerate(consortium.hospitals):
        consortium.start_supernode(index, name)
    done = consortium.run(rounds=4, **SMALL)
    assert consortium.results(), done.stdout + done.stderr + consortium.log("superlink")
    rounds = consortium.results()[0]["rounds"]
    assert [turn["number"] for turn in rounds] == [1, 2, 3, 4], "of the whole fit"
    assert weights(consortium) == simulated(cohorts, tmp_path, rounds=4, **SMALL)


@pytest.mark.slow
def test_a_supernode_that_dies_in_a_round_is_named_and_the_command_goes_on(
    cohorts: dict[str, Path], consortium: Loopback, tmp_path: Path
) -> None:
    ended: list[Any] = []
    told = {"rounds": 4, "timeout": 120.0, **SMALL}
    running = threading.Thread(target=lambda: ended.append(consortium.run(**told)))
    running.start()
    until = time.monotonic() + 300
    while not list((consortium.folder / "out").glob("*/checkpoint.safetensors")):
        assert time.monotonic() < until
        assert not ended, ended[0].stderr
        time.sleep(0.2)
    consortium.kill("b")
    running.join()
    (failed,) = ended
    assert failed.returncode == 1
    assert re.search(r"Site b, round [234]: it (failed|did not answer)", failed.stderr)
    assert not consortium.results()
    consortium.start_supernode(1, "b")
    done = consortium.run(**told)
    assert done.returncode == 0, done.stdout + done.stderr + consortium.log("superlink")
    assert weights(consortium) == simulated(cohorts, tmp_path, rounds=4, **SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["superlink", "b", "server"])
def test_over_tls_kills_at_random_instants_end_in_the_same_model(
    victim: str, cohorts: dict[str, Path], tmp_path: Path
) -> None:
    """Once here, twenty times in ``make endurance``."""
    told, draws = {"rounds": 6, "timeout": 120.0, **SMALL}, random.Random(SEED)
    with Loopback(tmp_path / "consortium", cohorts, tls=True) as running:
        for _ in range(min(KILLS, 20)):
            going = threading.Thread(target=running.run, kwargs=told)
            going.start()
            time.sleep(draws.uniform(3, 25))
            if victim == "server":
                running.kill_server()
            else:
                running.kill(victim)
            going.join()
            if victim == "superlink":
                running.start_superlink()
            elif victim != "server":
                running.start_supernode(list(cohorts).index(victim), victim)
        done = running.run(**told)
        assert running.results(), done.stdout + done.stderr + running.log("superlink")
        assert weights(running) == simulated(cohorts, tmp_path, rounds=6, **SMALL)
    for site in "ab":
        state = running.folder / site / "state"
        assert len(Ledger(state / LEDGER, machine_secret(state)).entries()) == 1


@pytest.mark.slow
def test_a_site_that_is_not_there_is_named_in_a_sentence(consortium: Loopback) -> None:
    consortium.stop("b")
    assert consortium.run(rounds=2, start=25.0, timeout=60.0, **SMALL).returncode == 1
    said = (consortium.folder / "out" / "error.txt").read_text()
    assert "Expected 2 sites" in said or "did not answer" in said
    assert not consortium.results()


@pytest.mark.slow
def test_a_site_without_seeded_noise_refuses_the_servers_seed(
    cohorts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loopback.ALLOWED", "phantom=true")
    with Loopback(tmp_path / "consortium", cohorts) as running:
        running.run(rounds=2, **SMALL)
        said = (running.folder / "out" / "error.txt").read_text()
    assert re.search("Site [ab], joining: it refuses the run by its own rules", said)


@pytest.mark.slow
def test_a_site_with_patients_and_no_cap_lets_no_server_spend_anything(
    cohorts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loopback.ALLOWED", "slot=1.0")
    quiet = {**SMALL, "noise": "system", "unit": "patient"}
    with Loopback(tmp_path / "consortium", cohorts) as running:
        running.run(rounds=2, **quiet)
        assert "refuses the run by its own rules" in (running.folder / "out/error.txt").read_text()
        for site in cohorts:
            state = running.folder / site / "state"
            assert Ledger(state / LEDGER, machine_secret(state)).set_cap(8.0)
        running.run(rounds=2, **quiet)
        (found,) = running.results()
        assert found["epsilon_patient"] <= 5
        for site in cohorts:
            state = running.folder / site / "state"
            (total,) = {
                one.epsilon for one in Ledger(state / LEDGER, machine_secret(state)).totals()
            }
            assert 0 < total <= 5


def test_the_guide_uses_no_option_that_the_loopback_does_not() -> None:
    """What `docs/federation.md` tells a consortium to type is what the tests above ran."""
    guide = (Path("docs") / "federation.md").read_text()
    ran = (Path("tests") / "federation" / "loopback.py").read_text()
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", guide.split("## For real")[1], re.S))
    typed = re.sub(r"\\\n", " ", blocks)
    ours = [
        line
        for line in typed.splitlines()
        if re.match(r"\$ (bench federate|flwr|flower-|openssl)", line)
    ]
    assert len(ours) >= 7
    for option in {o for line in ours for o in re.findall(r"(?<= )--?[a-zA-Z][\w-]+", line)}:
        assert f'"{option}"' in ran, f"{option} is in the guide and not tried"
    for name, value in re.findall(r"(FLWR_\w+|OMP_\w+)=(\S+)", typed):
        assert f'"{name}": "{value}"' in ran
