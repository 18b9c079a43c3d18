"""What can be asked of secure sums, and what is refused in one sentence."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
from made import INPUTS, SITES, entry, spec

from benchmark.cli.main import bench
from benchmark.core.designs import check_shares_noise, federated
from benchmark.core.errors import UsageError
from benchmark.core.federation import FederatedGenerator
from benchmark.core.registry import generators
from benchmark.privacy.mechanisms.shared_noise import SharedPlan, Sharing
from benchmark.results.summary import called
from benchmark.sweep.payment import spendings_of
from benchmark.sweep.request import Request, check
from benchmark.sweep.site_plans import job_of, plan_at_site, plan_together, site_plans
from benchmark.sweep.sites import Federation
from benchmark.sweep.tracking.logged import marks, parameters

CAN = ("dp-merf", "dp-simulator", "private-evolution")
ASKED: dict[str, Any] = {"unit": "patient", "epsilons": (2.0,), "generators": ("dp-merf",)}


def asked(*, curious: int = 1, sites: int = 3, design: str = "", **said: Any) -> Request:
    how = Federation(sites=sites, curious=curious, design=design)
    return Request(**{**ASKED, "bookends": False, "federation": how, **said})


@pytest.mark.parametrize("name", CAN)
def test_what_can_share_its_noise_may_be_asked_for_it(name: str) -> None:
    check(asked(generators=(name,)))


@pytest.mark.parametrize(
    ("said", "law"),
    [
        ({"sites": 1}, "name them with --sites"),
        ({"curious": 3}, "Expected --secure-sum t=0 to t=2 of 3 sites, got t=3"),
        ({"curious": -1}, "Expected --secure-sum t=0 to t=2 of 3 sites, got t=-1"),
        ({"epsilons": (2.0, math.inf)}, "every --epsilon must be finite"),
        ({"generators": ("private-selection",)}, "private-selection cannot be trained with secure"),
        ({"design": "mixture"}, "dp-merf cannot be trained with secure sums in the design mixture"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(said: dict[str, Any], law: str) -> None:
    with pytest.raises(UsageError, match=re.escape(law)):
        check(asked(**said))


def test_a_refusal_names_the_generators_that_can() -> None:
    kind = federated(generators.get("private-selection"))
    with pytest.raises(UsageError) as caught:
        check_shares_noise(kind, "plurality")
    assert all(name in str(caught.value) for name in CAN)


FEDERATED = [n for n in generators.names() if issubclass(generators.get(n), FederatedGenerator)]


@pytest.mark.parametrize("name", FEDERATED)
def test_whoever_says_that_it_shares_noise_has_a_plan_of_it(name: str) -> None:
    kind = generators.get(name)
    made, job = kind(kind.smoke), job_of(spec(**{**ASKED, "federation": Federation(sites=3)}))
    for design in kind.designs:
        if kind.shares_noise(design):
            sharing, schedule = Sharing(sites=3, curious=1), made.schedule(design=design)
            plan = made.plan_in_shares(job.public(30), job.budget(), schedule, sharing)
            assert isinstance(plan, SharedPlan)
            assert 0 < plan.guarantee.epsilon <= 2
    assert not federated(kind, "mixture").shares_noise("mixture")


def test_every_site_plans_charges_and_claims_the_whole_fit(tmp_path: Path) -> None:
    how = {**ASKED, "federation": Federation(sites=3, curious=1)}
    made = spec(**how)
    plans = site_plans(made, INPUTS, tmp_path)
    assert [*plans] == [*SITES]
    (plan,) = {*plans.values()}
    assert plan == job_of(made).shared_plan(16, 3).guarantee
    assert plan == plan_together(made, 16, tmp_path), "as it is kept"
    assert plan.patients == 16
    alone = plan_at_site(spec(**{**how, "federation": Federation(sites=3)}), 6, 16, tmp_path)
    assert plan.noise_multiplier == pytest.approx(alone.noise_multiplier, rel=1e-3)
    spent = spendings_of(made, plan, INPUTS, tmp_path)
    assert [one.guarantee.epsilon for one in spent] == [plan.epsilon] * 3
    assert sum(len(one.patients) for one in spent) == 16


def test_a_row_and_its_tags_say_how_it_was_added_up(tmp_path: Path) -> None:
    made = spec(**{**ASKED, "federation": Federation(sites=3, curious=1)})
    assert called(made) == "dp-merf, 3 sites, secure sums, t = 1"
    tags = {
        "secure_sum": "t=1",
        "epsilon_holds_against": "the server and any 1 other site together",
    }
    assert marks(made) == tags
    flat = parameters(entry(made, tmp_path).told)
    assert flat["federation.curious"] == "1"
    assert marks(spec(**{**ASKED, "federation": Federation(sites=3)})) == {}


@pytest.mark.parametrize(("text", "curious"), [("t=1", 1), ("0", 0), ("t=12", 12)])
def test_t_is_written_as_an_equation(text: str, curious: int) -> None:
    words = ["--generator", "dp-merf", "--secure-sum", text]
    context = bench.commands["run"].make_context("run", words)
    assert context.params["secure_sum"] == curious


@pytest.mark.parametrize("text", ["t", "t=", "t=-1", "1.0", "n=1", "t=1000000000"])
def test_what_is_no_t_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Expected --secure-sum as t=1"):
        bench.commands["run"].make_context("run", ["--generator", "x", "--secure-sum", text])
