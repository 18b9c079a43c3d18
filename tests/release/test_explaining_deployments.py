"""``bench explain`` of what a deployment left at its server."""

import json
from pathlib import Path

import pytest
from agreements import PATIENTS, left_by_a_server
from command import bench
from deployments import NAMES

from benchmark.core.budget import epsilon_text
from benchmark.core.files import write_json
from federation.finished import RESULT, Finished
from federation.job import Job


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with local noise."""
    folder = tmp_path / "run"
    left_by_a_server(folder)
    return folder


def secured(run: Path) -> Finished:
    """The same with secure sums for t = 1, in that folder."""
    before = Finished.read(run)
    said = {name: value for name, value in vars(before._job).items() if name != "run"}
    job = Job.of(**{**said, "curious": 1})
    planned = job.shared_plan(PATIENTS * len(NAMES), len(NAMES)).guarantee
    made = Finished.of(job, [one.but(guarantee=planned) for one in before.sites], before.rounds)
    write_json(run / RESULT, made.as_dict())
    return made


def test_it_says_what_each_site_is_promised_and_how_it_may_leave(run: Path) -> None:
    done = bench("explain", str(run), cwd=run)
    assert done.returncode == 0, done.stderr
    assert f"{PATIENTS * 3} patients of 3 sites" in done.stdout
    for site, held in Finished.read(run).guarantees.items():
        assert f"{site}, {PATIENTS} patients, ε = {epsilon_text(held.epsilon)}" in done.stdout
    assert "`bench candidate` draws what may leave" in done.stdout
    assert "Who could see what?" in done.stdout
    assert "segmenter" not in done.stdout


def test_of_secure_sums_it_names_the_adversary_and_no_simulation(run: Path) -> None:
    made = secured(run)
    done = bench("explain", str(run), cwd=run)
    assert done.returncode == 0, done.stderr
    assert f"against {made.holds_against}" in done.stdout
    assert f"{PATIENTS * 3} patients of 3 sites" in done.stdout
    assert "simulated" not in done.stdout


def test_the_machine_readable_form_has_the_numbers(run: Path) -> None:
    said = json.loads(bench("explain", str(run), "--json", cwd=run).stdout)
    finished = Finished.read(run)
    assert (said["run"], said["private_data"]) == (finished.run, True)
    assert said["guarantee"]["epsilon"] == finished.epsilon
    assert [*said["sites"]] == [*NAMES]
    assert said["holds_against"] == finished.holds_against


def test_the_page_is_one_file(run: Path) -> None:
    page = bench("explain", str(run), "--html", cwd=run).stdout
    assert page.startswith("<!doctype html>")
    assert f"What run {Finished.read(run).run} of dp-simulator promises" in page


def test_what_is_no_deployment_is_refused_in_a_sentence(run: Path) -> None:
    (run / RESULT).write_text("{}")
    done = bench("explain", str(run), cwd=run)
    assert (done.returncode, "not what a deployment leaves" in done.stderr) == (2, True)
