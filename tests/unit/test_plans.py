"""Remembered plans: computed once, and never outliving the rules they were made by."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.core.budget import Budget
from benchmark.sweep import plans
from benchmark.sweep.plans import planned
from benchmark.sweep.spec import PlugIn
from generators.checks import PUBLIC
from generators.dp_wgan import DpWgan

BUDGET = Budget(epsilon=5.0, delta=1e-3, unit="patch")
PLUG_IN = PlugIn(name="dp-wgan", version=1, settings={})


class Counting(DpWgan):
    calls = 0

    def plan(self, public, budget):
        Counting.calls += 1
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


def test_other_rules_make_the_plan_anew(tmp_path: Path, monkeypatch) -> None:
    made(tmp_path)
    Counting.calls = 0
    monkeypatch.setattr(plans, "_rules", lambda kind: "another accountant")
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
