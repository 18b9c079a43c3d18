"""Who could see what of a result: from its own guarantees, and never less than is known."""

import math
import time
from dataclasses import replace

import pytest
from cells import SPEC
from scored import result_of

from benchmark.core.budget import Budget, PublicNumbers
from benchmark.core.federation import Schedule
from benchmark.core.registry import generators
from benchmark.privacy.accounting.coalitions import local_view, secure_view
from benchmark.privacy.mechanisms.release import plan_releases
from benchmark.privacy.mechanisms.shared_noise import SharedPlan, Sharing
from benchmark.results.explanation import explain
from benchmark.results.observers import observed_in
from benchmark.results.result import Result, SiteResult
from benchmark.results.spec_parts import AcrossSites, PlugIn
from benchmark.terminal.consortium import observers_table

PUBLIC = PublicNumbers(patients=14, patches_per_patient=10, patch_size=32)
SITE = plan_releases(PUBLIC, Budget(epsilon=2.0, delta=1e-5, unit="patient"), clip_norm=1.0)


def result(
    name: str = "dp-simulator", version: int | None = None, sites: int = 3, design: str = "one-mean"
) -> Result:
    version = version or generators.get(name).version
    how = AcrossSites(partition="site", design=design, rounds=1, local_steps=1)
    plug_in = PlugIn(name=name, version=version, settings={})
    spec = replace(SPEC, generator=plug_in, epsilon=2.0, federation=how)
    held = tuple(SiteResult(site=f"s{k}", guarantee=SITE) for k in range(sites))
    return result_of(spec, guarantee=SITE, sites=held)


def test_what_a_federated_result_shows_follows_from_its_sites() -> None:
    found = observed_in(result())
    assert found is not None
    assert found.seen == local_view([SITE] * 3, only_sums=True)
    assert (found.unit, found.delta, found.epsilon) == ("patient", 1e-5, 2.0)


@pytest.mark.parametrize(
    ("name", "version", "design"),
    [
        ("dp-wgan", None, "averaged-critics"),
        ("dp-wgan", None, "fedgan"),
        ("dp-simulator", 999, "one-mean"),
        ("dp-simulator", None, "mixture"),
        ("dp-simulator", None, "gradient-sums"),
    ],
)
def test_of_what_does_not_say_that_it_adds_sums_an_outsider_sees_as_much_as_the_server(
    name: str, version: int | None, design: str
) -> None:
    found = observed_in(result(name, version, design=design))
    assert found is not None
    assert {*vars(found.seen).values()} == {SITE.epsilon}


def test_one_generator_may_add_sums_in_one_design_alone() -> None:
    found = observed_in(result("dp-wgan", design="gradient-sums"))
    assert found is not None
    assert found.seen == local_view([SITE] * 3, only_sums=True)


def test_a_plug_in_that_names_no_designs_gets_no_smaller_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for said in (True, ["one-mean"], None):
        monkeypatch.setattr(generators.get("dp-simulator"), "summing_designs", said)
        found = observed_in(result())
        assert found is not None
        assert found.seen.outsider == SITE.epsilon


def secure_result(curious: int) -> Result:
    """A result of secure sums, whose sites all have the guarantee of the whole fit."""
    public = replace(PUBLIC, patients=42)
    schedule = Schedule(design="summed-statistics", rounds=1, local_steps=1)
    budget = Budget(epsilon=2.0, delta=1e-5, unit="patient")
    kind = generators.get("dp-simulator")
    sharing = Sharing(sites=3, curious=curious)
    plan = kind(kind.Params()).plan_in_shares(public, budget, schedule, sharing)
    one = result()
    how = AcrossSites(partition="site", **vars(schedule), curious=curious)
    held = tuple(one_site.but(guarantee=plan.guarantee) for one_site in one.sites)
    return one.but(
        spec=replace(one.spec, federation=how, sites=3), guarantee=plan.guarantee, sites=held
    )


@pytest.mark.parametrize("curious", [0, 1, 2])
def test_of_secure_sums_the_result_s_own_epsilon_is_that_of_its_declared_adversary(
    curious: int,
) -> None:
    made = secure_result(curious)
    found = observed_in(made)
    assert found is not None
    assert found.way == f"secure sums, t = {curious}"
    assert found.seen == secure_view(made.guarantee, 3, curious)
    plan = SharedPlan(sharing=Sharing(sites=3, curious=curious), guarantee=made.guarantee)
    against = [plan.against(c).epsilon for c in range(3)]
    told = [found.seen.server, found.seen.server_and_site, found.seen.all_others]
    assert told == pytest.approx(against, rel=1e-3)
    assert told[curious] == made.guarantee.epsilon <= 2
    assert found.seen.outsider == found.seen.server


def test_the_words_on_secure_sums_name_the_adversary_and_count_everybody_once() -> None:
    said = explain(secure_result(1))
    assert "was fitted on 42 phantoms" in said
    assert "The sites used secure sums, t = 1" in said
    assert (
        "ε = 1.999 for a patient holds for the patients of every site, against the server and any "
        "1 other site together"
    ) in said
    assert "The result's own ε holds against the server and any 1 other site together." in said
    assert "server + all other sites: ε = 2.952" in said
    assert "claim no less" not in said
    assert "against the server, as long as no other site is curious." in explain(secure_result(0))


def test_of_secure_sums_with_numbers_of_no_mechanism_nothing_is_claimed() -> None:
    made = secure_result(1)
    odd = tuple(one.but(guarantee=replace(one.guarantee, accountant="mine")) for one in made.sites)
    found = observed_in(made.but(sites=odd))
    assert found is not None
    assert {*vars(found.seen).values()} == {math.inf}


def test_of_an_unknown_generator_no_less_than_the_target_is_said() -> None:
    found = observed_in(result("from-elsewhere", 1))
    assert found is not None
    assert found.seen.outsider == SITE.epsilon


@pytest.mark.parametrize(
    "odd",
    [
        {"sensitivity": 0.0},
        {"clip_norm": math.inf, "sensitivity": math.inf},
        {"accountant": "mine"},
        {"noise_multiplier": 1e300},
    ],
)
def test_numbers_of_no_mechanism_are_told_no_less_than_they_claim(odd: dict) -> None:
    sites = tuple(SiteResult(site=f"s{k}", guarantee=replace(SITE, **odd)) for k in range(3))
    found = observed_in(result().but(sites=sites))
    assert found is not None
    assert found.seen.server == SITE.epsilon
    assert found.seen.outsider <= SITE.epsilon


def test_ten_thousand_sites_of_a_file_from_elsewhere_are_soon_told_of() -> None:
    sites = tuple(
        SiteResult(site=f"s{k}", guarantee=replace(SITE, patients=k + 1)) for k in range(10_000)
    )
    made = result().but(sites=sites)
    began = time.process_time()
    assert observed_in(made) is not None
    assert time.process_time() - began < 10


def test_a_pooled_or_unprivate_fit_has_no_observers() -> None:
    assert observed_in(result(sites=0)) is None
    assert observed_in(result().but(guarantee=replace(SITE, epsilon=0.0))) is None


def test_the_words_name_each_observer_and_whom_the_result_holds_against() -> None:
    said = explain(result())
    assert "Who could see what?\nEach site added local noise." in said
    assert "outsider: ε = 1.088; one site: ε = 1.361; server: ε = 1.999" in said
    assert "The result's own ε holds against the server and the other sites" in said
    assert "claim no less than the server's ε" in said
    assert "claim no less" not in explain(result("dp-wgan", design="fedgan"))
    assert "Who could see what?" not in explain(result(sites=0))


def test_the_table_of_a_run_joins_what_is_alike_and_says_whom_it_holds_against() -> None:
    designs = {"dp-simulator": "one-mean", "dp-merf": "one-mean", "dp-wgan": "fedgan"}
    found = [observed_in(result(name, design=how)) for name, how in designs.items()]
    table = observers_table([one for one in found if one], of_run=True)
    assert [*table.columns[0].cells] == ["dp-simulator, dp-merf", "dp-wgan"]
    assert "holds against the server and the other sites" in str(table.caption)
    assert "added exactly" in str(table.caption)
