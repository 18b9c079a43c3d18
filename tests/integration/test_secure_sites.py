"""The real command with secure sums: what a sweep leaves, and what it says of its ε."""

import json
import re
from pathlib import Path

import pytest
from command import FEW_PATCHES, UNTRACKED, bench, results, rows

import angiobench
from benchmark.core.budget import Guarantee
from benchmark.privacy.mechanisms.shared_noise import SharedPlan, Sharing
from benchmark.sweep.plan_cache import recomputed_once

FIT = ["--unit", "patient", "--epsilon", "2", "--no-bookends", "--segmenter", "frangi"]
RUN = ["run", "--generator", "dp-simulator", "--data", "cohort", *FIT, *FEW_PATCHES]
SECURE = [*RUN, "--sites", "2", "--secure-sum", "t=1", "--noise", "system", *UNTRACKED]
AGAINST = "the server and any 1 other site together"


@pytest.fixture(scope="module")
def swept(module_cohort: Path) -> Path:
    done = bench(*SECURE, cwd=module_cohort.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "With secure sums a result's own ε holds against the server and any t other" in said
    assert "holds against the server and the other sites." not in said
    return module_cohort.parent


def test_the_result_is_of_all_patients_and_its_row_says_how(swept: Path) -> None:
    (result,) = results(swept)
    held = [Guarantee.from_dict(one["guarantee"]) for one in result["sites"]]
    assert held[0] == held[1] == Guarantee.from_dict(result["guarantee"])
    assert held[0].patients == 3
    assert not held[0].seeded
    assert recomputed_once(held[0]).epsilon == held[0].epsilon <= 2
    assert result["spec"]["federation"]["curious"] == 1
    (row,) = rows(swept)
    assert (row["curious"], row["sites"], row["epsilon_patient"]) == ("1", "2", "1.99891")
    assert row["epsilon_sites"] == "a=1.99891 b=1.99891"


def test_nothing_of_it_is_computed_twice_whoever_asks(swept: Path) -> None:
    again = bench("run", "--config", "runs/sweep.toml", *UNTRACKED, cwd=swept)
    assert "1 cells, 1 of them done before" in again.stdout, again.stdout + again.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(swept)
        angiobench.run(
            "dp-simulator",
            data="cohort",
            unit="patient",
            epsilon=2,
            bookends=False,
            segmenters="frangi",
            sites=2,
            secure_sum=1,
            noise="system",
            settings=dict(text.split("=") for text in FEW_PATCHES if "=" in text),
            jobs=0,
            tracking_uri="none",
        )
    assert len(results(swept)) == 1


def test_each_site_charged_its_own_patients_once(swept: Path) -> None:
    (result,) = results(swept)
    shown = bench("ledger", "show", cwd=swept).stdout
    entries = [line.split() for line in shown.splitlines() if result["run_key"] in line]
    assert sorted(int(entry[4]) for entry in entries) == [1, 2]


def test_what_was_summed_does_not_stay(swept: Path) -> None:
    """The kept sums bear the noise of one share."""
    assert not list(swept.rglob("reply.safetensors"))


def test_the_explanation_names_the_adversary(swept: Path) -> None:
    (result,) = results(swept)
    said = bench("explain", result["run_key"], cwd=swept).stdout
    assert f"The result's own ε holds against {AGAINST}." in said
    told = json.loads(bench("explain", result["run_key"], "--json", cwd=swept).stdout)
    assert told["holds_against"] == AGAINST
    plan = SharedPlan(
        sharing=Sharing(sites=2, curious=1), guarantee=Guarantee.from_dict(result["guarantee"])
    )
    assert told["observers"]["server"] == pytest.approx(plan.against(0).epsilon, rel=1e-3)
    assert told["observers"]["server + 1 site"] == result["guarantee"]["epsilon"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--sites", "1"], "--secure-sum t=1 needs --sites of 2 or more, got 1;"),
        (["--sites", "2", "--secure-sum", "t=2"], "Expected --secure-sum t=0 to t=1 of 2 sites"),
        (["--sites", "2", "--epsilon", "inf"], "every --epsilon must be finite"),
        (
            ["--sites", "2", "--generator", "dp-wgan", "--design", "fedgan"],
            "cannot be trained with",
        ),
        (["--sites", "2", "--design", "mixture"], "in the design mixture"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    more: list[str], said: str, module_cohort: Path
) -> None:
    done = bench(*RUN, "--secure-sum", "t=1", *more, cwd=module_cohort.parent)
    assert done.returncode == 2
    assert re.fullmatch(rf"bench: [^\n]*{re.escape(said)}[^\n]*\n", done.stderr), done.stderr


@pytest.mark.slow
def test_ray_ends_in_the_same_result(swept: Path) -> None:
    seeded = [*RUN, "--sites", "2", "--secure-sum", "t=1", "--noise", "seeded", *UNTRACKED]
    for backend in ("in-process", "ray"):
        done = bench(*seeded, "--backend", backend, "--out", backend, cwd=swept)
        assert done.returncode == 0, done.stdout + done.stderr
    one, other = (
        json.loads(next((swept / backend).glob("*/*/result.json")).read_text())
        for backend in ("in-process", "ray")
    )
    assert one["run_key"] == other["run_key"]
    assert one["test_sets"] == other["test_sets"], "of patients no seeded generator is kept"
