"""Nothing false can be promised: everything else in the folder fits the changed statement."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made import INPUTS
from made import spec as cell
from releases import (
    Said,
    changed,
    checked,
    faults,
    of,
    plan_of,
    put,
    released,
    says,
    spec_of,
    text_of,
    write,
)

from benchmark.audit.bound import lower_bound
from benchmark.audit.judgement import Claim
from benchmark.core.files import plain
from benchmark.release.checks.evidence import MARGIN, largest_provable
from benchmark.release.seals import seal
from benchmark.release.statement import (
    STATEMENT,
    Statement,
)
from benchmark.results.spec_parts import TunedBy
from benchmark.sweep.inputs import COST_OF_SKIPPING

pytestmark = pytest.mark.usefixtures("stand_ins")


def without(name: str) -> Callable[[Said], None]:
    return lambda content: content.update({name: None})


def of_further(**changes: object) -> Callable[[Said], None]:
    return lambda content: content["audit"]["further"][0].update(changes)


def of_row(number: int = 0, **changes: object) -> Callable[[Said], None]:
    return lambda content: content["utility"][number].update(changes)


PROMISES: dict[str, tuple[Callable[[Said], object], str]] = {
    "run": (of(run="0" * 12), "its run is 000000000000, and its spec's key is"),
    "ε": (
        lambda c: [
            c["guarantee"].update(epsilon=1.0, epsilon_patient=1.0),
            c["audit"].update(claim=2.0, confidence=0.95, further=[]),
            c["utility"][0].update(epsilon=1.0),
        ],
        "epsilon is 1.0, and its mechanism's",
    ),
    "ε of a patch": (
        lambda c: [
            c["guarantee"].update(epsilon_patch=0.1),
            c["audit"].update(confidence=0.95, further=[]),
        ],
        "epsilon_patch is 0.1",
    ),
    "σ": (of("guarantee", noise_multiplier=1.0), "its mechanism's numbers give"),
    "σ and steps": (of("guarantee", clip_norm=1.0, sensitivity=1.0), "is not the one that its se"),
    "relation": (of("guarantee", relation="add-one"), "is for other neighbours than zero-out"),
    "δ": (of("guarantee", delta=1e-6), "is for another unit or δ than the spec"),
    "patches": (of("guarantee", patches_per_patient=5), "is for 5 patches, the spec for 1000"),
    "seeded": (of("guarantee", seeded=True), "its noise was seeded"),
    "infinite": (of("guarantee", epsilon="inf"), "its ε is infinite"),
    "no audit": (without("audit"), "nobody attacked it"),
    "refuted": (of("audit", refuted=True), "its own audit refutes it"),
    "proven": (of("audit", proven=50.0), "its own audit refutes it"),
    "another attack": (of("audit", claim=99.0), "its audit attacks ε = 99"),
    "another further attack": (of_further(claim=98.0), "its audit attacks ε = 98"),
    "further proven": (of_further(proven=50.0), "its own audit refutes it"),
    "not searched": (without("nearest_real"), "free of copies of patients"),
    "copies": (of("nearest_real", passed=False), "free of copies of patients"),
    "few patches": (of("nearest_real", samples=6), "did not compare all patches"),
    "too few patients": (of("guarantee", patients=4), "was fitted on 4 patients at one place"),
    "few patients": (of("nearest_real", fitted=16), "did not compare all patches"),
    "no replay": (without("replay"), "not shown to keep the laws by replay"),
    "broken replay": (of("replay", held=False), "not shown to keep the laws by replay"),
    "no laws": (of("replay", laws=[]), "not shown to keep the laws by replay"),
    "no ledger": (without("ledger"), "no ledger was charged"),
    "no entries": (of("ledger", entries=[]), "no ledger was charged"),
    "refunded": (of("ledger", before=3.0, after=2.0), "less after the fit than before"),
    "mechanism": (of(mechanism="perfect anonymisation"), "its mechanism is not the one"),
    "limits": (of("nearest_real", laws=["Ten radiologists found no copy."]), "the limits of its"),
    "figures": (of("nearest_real", disclosed={"sub-07 Mueller": 1.0}), "the figures of its search"),
    "replay of anything": (of("replay", laws=["anything at all"]), "the laws of its replay"),
    "a million": (
        of("audit", candidates=1_000_000),
        "has 1,000,000 candidates, and can have 1 to 8",
    ),
    "a million patches": (
        of_further(candidates=10**6),
        "1,000,000 candidates, and can have 1 to 2",
    ),
    "provable": (of("audit", provable=0.8), "can prove ε = 0.699 at most, and says 0.8"),
    "provable of a patch": (of_further(provable=40.0), "can prove ε = 1.83 at most, and says 40"),
    "more than provable": (of("audit", proven=0.65), "its audit has proven more than it can"),
    "certain": (of("audit", confidence=0.999999), "has a confidence of 0.999999, and not of 0.96"),
    "half the claim": (lambda c: c["audit"].update(claim=c["audit"]["claim"] / 2), "its audit att"),
    "no canaries": (of("audit", method="canaries", samples=0), "by canaries, and its fit has 0"),
    "samples": (of("audit", samples=10**9), "its audit by membership saw 1000000000 samples"),
    "another unit": (of("audit", unit="patch"), "its audit guesses other units"),
    "ledger of nothing": (of("ledger", after=0.0), "ε = 0 after a fit that spent 1.999"),
    "ledger's δ": (of("ledger", delta=0.5), "its ledger is at another δ than 1e-05"),
    "one patient": (of_row(patients=1), "is over 1 patients, and tells of them"),
    "test set": (of_row(test_set="sub-07 Mueller"), "is not on a test set of its run"),
    "interval": (of_row(dice={"mean": 0.99, "low": 0.1, "high": 0.2}), "outside of its own interv"),
    "another method": (of_row(generator="dp-best", is_released=False), "or of a free method"),
    "another's Dice": (of_row(epsilon=0.5), "said to be the released fit's, and is another's"),
    "a free method's ε": (of_row(2, epsilon=1.0), "ε = 1, and a free method has 0"),
    "two rows": (lambda c: c["utility"].append(c["utility"][0]), "two rows of its fit on one"),
    "left out": (of(cost_of_skipping="Nobody was left out."), "who were left out is no sentence"),
    "not private": (of(claim="not private", reasons=["Why not?"]), "leave under a guarantee alone"),
    "volumes": (of("samples", volumes=3), "are not in 3 volumes"),
    "patches in volumes": (of("samples", n=8), "has the shape (32, 32, 3), and not (32, 32, 4)"),
    "patch size": (of("samples", size=16), "have not the size or the spacing"),
    "spacing": (of("samples", spacing_mm=0.5), "have not the size or the spacing"),
    "huge patches": (
        lambda c: [c["samples"].update(size=2048), c["spec"]["protocol"].update(patch_size=2048)],
        "it has volumes of more than 256 pixels",
    ),
    "billions": (of("samples", n=10**7, per_volume=1, volumes=10**7), "10000000 volumes"),
    "without a field": (lambda c: c["spec"].pop("sites"), "not written as the suite writes it"),
    "free text": (of(mechanism="x" * 101), "at 'mechanism'"),
    "markup": (of("suite", version="<script>"), "at 'suite/version'"),
}


@pytest.mark.parametrize("lie", PROMISES)
def test_nothing_false_can_be_promised(folder: Path, honest: Statement, lie: str) -> None:
    change, words = PROMISES[lie]
    content = json.loads(json.dumps(honest.as_dict()))
    change(content)
    if content["samples"] == honest.as_dict()["samples"]:
        with_all_that_follows(folder, content)
    put(folder, STATEMENT, text_of(content))
    seal(folder, private=True)
    found = faults(folder)
    assert says(found, words), found


def with_all_that_follows(folder: Path, content: Said) -> None:
    """The volumes, pictures and dossier of a changed statement, if it is one."""
    with suppress(ValueError):
        write(folder, Statement.read(content))


def test_what_the_suite_says_of_patients_who_were_left_out_holds(tmp_path: Path) -> None:
    assert faults(tmp_path / "r", released(cost_of_skipping=COST_OF_SKIPPING.format(17))) == []


def test_planted_canaries_are_what_the_audit_guesses_on(tmp_path: Path) -> None:
    """N counts their slots, so 17 slots hold 9 patients and 8 canaries."""
    spec = replace(spec_of(), canaries=8)
    plan = plan_of(spec)
    attack = {
        "method": "canaries",
        "unit": "patient",
        "refuted": False,
        "candidates": 8,
        "samples": 0,
        "claim": plain(plan.epsilon),
        "provable": 0.7,
        "confidence": 0.95,
        "proven": 0.1,
    }
    assert faults(tmp_path / "r", released(spec=spec, guarantee=plan, audit=attack)) == []
    few = released(spec=spec, guarantee=plan, audit={**attack, "candidates": 7})
    assert says(faults(tmp_path / "r", few), "has 7 candidates, and can have 8 to 8")
    other = released(spec=spec, guarantee=plan)
    assert says(faults(tmp_path / "r", other), "is by membership, and its fit has 8 canaries")


@pytest.mark.parametrize(
    ("candidates", "epsilon", "unit"), [(64, 2.0, "patient"), (900, 4.0, "patch")]
)
def test_no_rule_of_guessing_proves_more_than_the_bound_of_all(
    candidates: int, epsilon: float, unit: Any
) -> None:
    claim = Claim(unit, epsilon, 1e-5).exchanged
    most = largest_provable(candidates, claim, 0.05)
    proven = [
        lower_bound(canaries=candidates, guesses=k, right=k, delta=claim.delta)
        for k in range(1, candidates + 1, 7)
    ]
    assert max(proven) <= most * (1 + MARGIN)


def test_an_unlawful_delta_is_found_though_spec_and_mechanism_agree(tmp_path: Path) -> None:
    spec = replace(spec_of(), delta=1e-4)
    assert says(faults(tmp_path / "r", released(spec=spec)), "its δ is not lawful")


def test_seeded_noise_is_not_private_though_spec_and_guarantee_agree(tmp_path: Path) -> None:
    spec = spec_of(noise="seeded")
    said = released(spec=spec, guarantee=replace(plan_of(spec), seeded=True))
    assert faults(tmp_path / "r", said) == ["it claims to be private, and its noise was seeded"]


def test_no_privacy_is_not_private_though_everything_agrees(tmp_path: Path) -> None:
    spec = spec_of(epsilons=(float("inf"),))
    assert says(faults(tmp_path / "r", released(spec=spec)), "its ε is infinite")


@pytest.mark.parametrize(
    ("on", "selection"), [("private", "not accounted"), ("private", "free of private data")]
)
def test_settings_that_were_chosen_on_patients_are_not_private(
    tmp_path: Path, on: Any, selection: Any
) -> None:
    spec = replace(spec_of(), tuned=TunedBy(epsilon=2.0, study="s", on=on, selection=selection))
    assert says(faults(tmp_path / "r", released(spec=spec)), "chosen by looking at patients")
    free = TunedBy(epsilon=2.0, study="s", on="phantom", selection="free of private data")
    assert faults(tmp_path / "r", released(spec=replace(spec_of(), tuned=free))) == []


def test_more_patients_than_one_plans_for_are_found_by_the_plan(tmp_path: Path) -> None:
    """The noise of a fit with two releases is not that of one."""
    spec = spec_of()
    more = replace(plan_of(spec), steps=2)
    assert says(faults(tmp_path / "r", released(spec=spec, guarantee=more)), "numbers give")
    settings = {**spec.generator.settings, "clip_norm": 7.5}
    other = replace(spec, generator=replace(spec.generator, settings=settings))
    said = released(spec=other, guarantee=plan_of(spec))
    assert says(faults(tmp_path / "r", said), "is not the one that its settings give")


def test_of_another_version_the_plan_is_not_checked_and_the_epsilon_is(tmp_path: Path) -> None:
    spec = spec_of()
    later = replace(spec, generator=replace(spec.generator, version=99))
    said = released(spec=later, guarantee=plan_of(spec))
    found = checked(write(tmp_path / "r", said))
    assert found.faults == ()
    assert any(what.startswith("the plan, as dp-simulator is of") for what in found.unchecked)
    less = replace(plan_of(spec), noise_multiplier=1.0)
    assert says(faults(tmp_path / "r", released(spec=later, guarantee=less)), "numbers give")


def of_nobody(name: str) -> Statement:
    """A release that says that its generator reads no patient."""
    spec = spec_of(generators=("simulator",))
    plan = plan_of(spec)
    spec = replace(spec, generator=replace(spec.generator, name=name))
    gone = dict.fromkeys(("audit", "nearest_real", "replay", "ledger"))
    made = released(spec=spec, guarantee=plan)
    return changed(made, lambda content: content.update(gone))


def test_a_generator_that_reads_no_patient_needs_no_audit_if_it_is_known(tmp_path: Path) -> None:
    assert faults(tmp_path / "r", of_nobody("simulator")) == []
    assert says(faults(tmp_path / "r", of_nobody("my-simulator")), "is not installed")


def site(**said: Any) -> Callable[[Said], None]:
    return lambda content: content["sites"][0].update(said)


OF_SITES: dict[str, tuple[Callable[[Said], object], str]] = {
    "best site's": (
        lambda c: c.update(guarantee=c["sites"][-1]["guarantee"]),
        "is not that of the site with the largest ε",
    ),
    "site's ε": (
        lambda c: c["sites"][1]["guarantee"].update(epsilon=1.0),
        "epsilon at site-2 is 1.0",
    ),
    "site's patches": (
        lambda c: c["sites"][2]["guarantee"].update(patches_per_patient=5),
        "the guarantee at site-3 is for 5 patches",
    ),
    "another consent": (site(consent="0" * 64), "consents/site-1.json is not the consent"),
    "no site": (lambda c: c["sites"].pop(), "it has guarantees of 2 sites, and its spec has 3"),
    "twice": (lambda c: c["sites"].append(c["sites"][0]), "it names a site twice"),
    "renamed": (site(site="clinic"), "its sites are not those of its partition"),
}


@pytest.mark.parametrize("lie", OF_SITES)
def test_nothing_false_can_be_promised_of_a_site(
    federated: Statement, tmp_path: Path, lie: str
) -> None:
    change, words = OF_SITES[lie]
    said = changed(federated, change)
    found = faults(tmp_path / "release", said)
    assert says(found, words), found


def test_a_site_consents_to_what_is_promised_signed_or_not(
    federated: Statement, tmp_path: Path
) -> None:
    less = changed(federated, lambda content: content["sites"][0]["guarantee"].update(epsilon=0.5))
    other = less.sites[0].consent
    content = json.loads(json.dumps(federated.as_dict()))
    content["sites"][0]["consent"] = other
    found = faults(tmp_path / "release", Statement.read(content))
    assert says(found, "consents/site-1.json: it consents to ε = 0.5 by other numbers"), found


def test_a_site_without_consent_is_found(federated: Statement, tmp_path: Path) -> None:
    folder = write(tmp_path / "release", federated)
    (folder / "consents" / "site-2.json").unlink()
    seal(folder, private=True)
    assert says(faults(folder), "consents/site-2.json is missing")


def test_of_phantoms_their_number_and_their_digest_are_known(tmp_path: Path) -> None:
    known = {"phantoms": lambda version: INPUTS}
    spec = cell(generators=("dp-simulator",), epsilons=(2.0,), unit="patient", noise="system")
    said = released(spec=spec, guarantee=plan_of(spec, 16), phantoms=True)
    assert faults(tmp_path / "r", said, **known) == []
    more = released(spec=spec, guarantee=plan_of(spec, 1600), phantoms=True)
    assert says(faults(tmp_path / "r", more, **known), "N is 1600, and there are 16 phantoms")
    own = released(spec=replace(spec, data="e" * 16), guarantee=plan_of(spec, 16), phantoms=True)
    assert says(faults(tmp_path / "r", own, **known), "and their digests are others")


def test_rules_that_no_run_can_have_are_a_fault(folder: Path, honest: Statement) -> None:
    for rules, words in (
        ({"edition": "1999-1"}, "privacy.json is no statement"),
        ({"spacing_mm": 0.05}, "Expected protocol.spacing_mm to be 0"),
    ):
        content = json.loads(text_of(honest.as_dict()))
        content["spec"]["protocol"].update(rules)
        put(folder, STATEMENT, text_of(content))
        assert says(faults(folder), words)
