"""Remembered plans: computed once, and never outliving the rules they were made by."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import benchmark.privacy
from benchmark.core.budget import Budget, Guarantee
from benchmark.core.files import write_json
from benchmark.core.registry import generators
from benchmark.privacy.dpsgd.step import grid_of
from benchmark.privacy.mechanisms.poisson_gaussian import plan_poisson_gaussian, recomputed
from benchmark.results.spec import RunSpec
from benchmark.results.spec_parts import AcrossSites, PlugIn
from benchmark.sweep import plan_cache
from benchmark.sweep.plan_cache import planned
from benchmark.sweep.site_plans import plan_at_site
from generators.checks import PUBLIC
from generators.dp_wgan import DpWgan

BUDGET = Budget(epsilon=5.0, delta=1e-3, unit="patch")
PLUG_IN = PlugIn(name="dp-wgan", version=1, settings={})


class Counting(DpWgan):
    calls = 0

    def plan(self, public, budget):
        Counting.calls += math.isfinite(budget.epsilon)  # calibrations: those at inf cost nothing
        return super().plan(public, budget)


def made(cache: Path, **changes):
    asked = {"plug_in": PLUG_IN, "public": PUBLIC, "budget": BUDGET, **changes}
    return planned(generator=Counting(DpWgan.smoke), cache=cache, **asked)


def test_a_plan_is_made_once_and_is_the_plan(tmp_path: Path) -> None:
    Counting.calls = 0
    fresh = DpWgan(DpWgan.smoke).plan(PUBLIC, BUDGET)
    assert made(tmp_path) == made(tmp_path) == fresh
    assert Counting.calls == 1


@pytest.mark.parametrize(
    "change",
    [
        {"budget": replace(BUDGET, epsilon=4.0)},
        {"budget": replace(BUDGET, delta=1e-4)},
        {"budget": replace(BUDGET, unit="patient")},
        {"public": replace(PUBLIC, patients=7)},
        {"plug_in": replace(PLUG_IN, version=2)},
        {"plug_in": replace(PLUG_IN, settings={"batch": 9})},
    ],
)
def test_whatever_decides_a_plan_has_a_plan_of_its_own(change: dict, tmp_path: Path) -> None:
    made(tmp_path)
    Counting.calls = 0
    made(tmp_path, **change)
    assert Counting.calls == 1


def test_the_rules_are_every_source_of_the_accounting(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    content = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: (read.append(file), content(file))[1])
    plan_cache._rules.__wrapped__(DpWgan)
    (privacy,) = map(Path, benchmark.privacy.__path__)
    assert {*privacy.rglob("*.py")} <= {*read}
    assert privacy / "accounting" / "units.py" in read


def test_other_rules_make_the_plan_anew(tmp_path: Path, monkeypatch) -> None:
    made(tmp_path)
    Counting.calls = 0
    monkeypatch.setattr(plan_cache, "_rules", lambda kind: "another accountant")
    made(tmp_path)
    assert Counting.calls == 1


@pytest.mark.parametrize(
    "damage", ["{", '{"plan": 4}', {"epsilon": 4.9}, {"unit": "patient"}, {"noise_multiplier": 0.1}]
)
def test_a_kept_plan_that_is_torn_or_changed_is_made_anew(damage, tmp_path: Path) -> None:
    whole = made(tmp_path)
    (file,) = (tmp_path / "plans").iterdir()
    kept = json.loads(file.read_text())
    changed = {**kept, "plan": {**kept["plan"], **damage}} if isinstance(damage, dict) else None
    file.write_text(json.dumps(changed) if changed else damage)
    Counting.calls = 0
    assert made(tmp_path) == whole
    assert Counting.calls == 1


Change = Callable[[Guarantee], Guarantee]


def claims(**changes) -> Change:
    """Says something else, and nothing of what follows."""
    return lambda whole: replace(whole, **changes)


def gives(**changes) -> Change:
    """Another mechanism, with the ε that it has."""
    return lambda whole: recomputed(replace(whole, **changes))


def plans_for(**changes) -> Change:
    """Another mechanism, with all the noise that its ε needs."""

    def change(whole: Guarantee) -> Guarantee:
        mechanism = {"epsilon": BUDGET.epsilon, "clip_norm": whole.clip_norm, "accountant": "prv"}
        return plan_poisson_gaussian(
            replace(whole, **changes), **mechanism, numbers=1000, grid_of=grid_of
        )

    return change


def plant(cache: Path, change: Change) -> Guarantee:
    """Puts another plan in a kept one's place, with a digest that is right; returns the first."""
    (file,) = (cache / "plans").iterdir()
    whole = Guarantee.from_dict(json.loads(file.read_text())["plan"])
    planted = change(whole)
    digest = plan_cache._digest(file.stem, planted)
    write_json(file, {"plan": planted.as_dict(), "digest": digest})
    assert str(plan_cache._read(file, file.stem)) == str(planted), "its digest is right"
    return whole


TAMPERED = {
    "less noise": claims(noise_multiplier=0.1),
    "less noise, with its ε": gives(noise_multiplier=0.1),
    "less noise, with its ε as the target": lambda whole: replace(
        (other := recomputed(replace(whole, noise_multiplier=0.3))), target_epsilon=other.epsilon
    ),
    "more noise, with its ε": gives(noise_multiplier=9.0),
    "a smaller q": claims(sampling_rate=0.001),
    "a smaller q, with the noise for it": plans_for(sampling_rate=0.01),
    "fewer steps, with the noise for them": plans_for(steps=2),
    "a larger δ, with the noise for it": plans_for(delta=1e-2),
    "another unit, with the noise for it": plans_for(unit="patient"),
    "fewer patches, with the noise for them": plans_for(patches_per_patient=1),
    "another C": claims(clip_norm=100.0),
    "more patients": claims(patients=4000),
    "another target": claims(target_epsilon=9.0),
    "no mechanism": claims(
        accountant="none", steps=0, epsilon=0.0, epsilon_patch=0.0, epsilon_patient=0.0
    ),
    "no bound for patients": claims(epsilon_patient=5.0),
    "no number": claims(noise_multiplier=math.nan),
    "an accountant that there is not": claims(accountant="guess"),
    "other neighbours": claims(relation="add-one"),
    "seeded already": claims(seeded=True),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_planted_plan_is_not_obeyed_however_right_its_digest(name: str, tmp_path: Path) -> None:
    made(tmp_path)
    whole = plant(tmp_path, TAMPERED[name])
    Counting.calls = 0
    assert made(tmp_path) == whole
    assert made(tmp_path) == whole
    assert Counting.calls == 1, "the plan that was made anew is kept in its place"


@pytest.mark.parametrize("name", ["dp-wgan", "dp-simulator"])
@pytest.mark.parametrize("change", ["less noise, with its ε as the target", "no mechanism"])
def test_a_planted_plan_of_a_site_is_not_obeyed(name: str, change: str, tmp_path: Path) -> None:
    kind = generators.get(name)
    design, settings = next(iter(kind.designs)), kind.smoke.as_dict()
    asked = RunSpec(
        generator=PlugIn(name=name, version=kind.version, settings=settings),
        segmenter=PlugIn(name="unet", version=1, settings={}),
        protocol={"patch_size": 32, "patches_per_patient": 10},
        epsilon=2.0,
        delta=1e-5,
        unit="patient",
        data="d",
        test_data={"test": "t"},
        fid_weights="",
        noise="seeded",
        seed=0,
        sites=3,
        federation=AcrossSites(
            partition="site", **asdict(kind(kind.smoke).schedule(design=design))
        ),
    )
    whole = plan_at_site(asked, 6, 16, tmp_path)
    assert plan_at_site(asked, 6, 16, tmp_path) == whole
    assert plant(tmp_path, TAMPERED[change]) == whole
    assert plan_at_site(asked, 6, 16, tmp_path) == whole


def test_where_nothing_is_calibrated_nothing_is_kept(tmp_path: Path) -> None:
    open_ = made(tmp_path, budget=replace(BUDGET, epsilon=math.inf))
    assert open_.epsilon == math.inf
    assert not (tmp_path / "plans").exists()


def test_a_kept_plan_is_recomputed_once_in_a_process(tmp_path: Path) -> None:
    made(tmp_path)
    made(tmp_path)
    before = plan_cache.recomputed_once.cache_info()
    made(tmp_path)
    after = plan_cache.recomputed_once.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)
