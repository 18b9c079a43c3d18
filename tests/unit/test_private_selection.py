"""Private Selection: the bank, who judges, what patients choose, and what sites do together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import generators.checks as checks
from benchmark.core.budget import Budget
from benchmark.core.errors import NotFittedError, UsageError
from benchmark.core.generator import FitContext
from benchmark.core.laws import LawBrokenError
from benchmark.core.patches import Patches
from benchmark.core.published import VESSEL_SHARE
from benchmark.core.registry import generators
from benchmark.privacy.randomness import SeededNoise
from generators.private_selection import (
    PluralityServer,
    PrivateSelection,
    PrivateSelectionParams,
    evenly,
)
from generators.simulation import bank
from generators.simulation.bank import Recipe, around, judges_of, parameters
from generators.simulation.judges import dice

RECIPE = Recipe(candidates=3, seed=0, spread=0.3, patches=24, hidden=6, steps=30, size=32)
PARAMS = PrivateSelectionParams(
    candidates=3, spread=0.3, patches=24, hidden=6, steps=30, looked_at=8
)
UNITS = pytest.mark.parametrize("unit", ["patient", "patch"])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(tmp_path / "cache"))


def of_candidate(number: int, *, recipe: Recipe = RECIPE, each: int = 8) -> Patches:
    """Patients who are themselves of one population of the bank."""
    rng = np.random.default_rng(5)
    n = checks.PUBLIC.patients * each
    theta = parameters(recipe.candidates, recipe.seed, recipe.family)[number]
    images, masks = recipe.family.draw(around(theta, n, recipe.spread, rng), recipe.size, rng)
    owner = np.repeat(np.arange(checks.PUBLIC.patients), each)
    public = {"patients": checks.PUBLIC.patients, "patches_per_patient": each}
    return Patches(images=images, masks=masks, patient=owner, **public)


def fitted(
    data: Patches, epsilon: float, *, params: PrivateSelectionParams = PARAMS, seed: int = 0
) -> PrivateSelection:
    made = PrivateSelection(params)
    planned = made.plan(checks.PUBLIC, Budget(epsilon=epsilon, delta=1e-5, unit="patient"))
    noise = SeededNoise("selection", seed)
    made.fit(data, planned, FitContext(seed=0, noise=noise, charge=lambda charged: None))
    return made


def chosen_by(generator: PrivateSelection) -> int:
    p = generator.params
    candidates = parameters(p.candidates, p.bank, p.family)
    return int(np.flatnonzero((candidates == generator._chosen).all(1))[0])


def test_a_judge_of_a_population_marks_its_vessels_better_than_chance() -> None:
    recipe, data = replace(RECIPE, patches=96, hidden=16, steps=150), of_candidate(0)
    scores = dice(judges_of(recipe).overlaps(data).mean(0, keepdims=True))[0]
    share = data.masks.mean()
    assert scores[0] > 2 * share / (1 + share) + 0.1


def test_overlaps_are_twice_the_hits_and_both_areas() -> None:
    judges, data = judges_of(RECIPE), of_candidate(1)
    one = data.images[3], data.masks[3, 0].ravel() > 0
    from generators.simulation.judges import filtered

    marked = judges._marked(filtered(one[0])[0])
    weight = VESSEL_SHARE / (1 - VESSEL_SHARE) if data.centred[3] else 1.0  # as rare as in a brain
    both, areas = np.split(judges.overlaps(data)[3] * 32 * 32 / weight, 2)
    np.testing.assert_allclose(both, 2 * (marked & one[1][:, None]).sum(0) + 1)
    np.testing.assert_allclose(areas, marked.sum(0) + one[1].sum() + 1)


def test_no_bit_of_a_patchs_overlaps_depends_on_another_patch() -> None:
    judges, data = judges_of(RECIPE), of_candidate(1)
    whole = judges.overlaps(data)
    alone = judges.overlaps(Patches(images=data.images[7:8], masks=data.masks[7:8]))
    assert np.array_equal(whole[7], alone[0])


def test_nobody_scores_nothing_and_a_right_blank_patch_everything() -> None:
    nobody, right = np.zeros((1, 4)), np.array([[1.0, 1.0, 1.0, 1.0]])
    assert dice(np.concatenate([nobody, right])).tolist() == [[0, 0], [1, 1]]


def test_without_noise_patients_choose_whom_all_score_highest() -> None:
    data = of_candidate(2)
    overlaps = judges_of(RECIPE).overlaps(data).reshape(checks.PUBLIC.patients, 8, -1).mean(1)
    best = int(dice(overlaps).sum(0).argmax())
    assert chosen_by(fitted(data, float("inf"))) == best
    assert chosen_by(fitted(data, 1e4)) == best


def test_with_noise_the_choice_varies_and_the_control_ignores_the_patients() -> None:
    data = of_candidate(2)
    drawn = {chosen_by(fitted(data, 0.01, seed=seed)) for seed in range(20)}
    assert len(drawn) == 3
    control = replace(PARAMS, evidence="noise")
    for seed in range(5):
        one, other = (
            fitted(of_candidate(number), 100.0, params=control, seed=seed) for number in (0, 1)
        )
        assert chosen_by(one) == chosen_by(other)


def test_a_bank_is_kept_and_a_damaged_one_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = judges_of(RECIPE)
    (file,) = (tmp_path / "cache" / "banks").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(bank, "_made", lambda recipe: pytest.fail("a kept bank is not made again"))
        bank._opened_or_made.cache_clear()
        assert np.array_equal(judges_of(RECIPE).first, made.first)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    bank._opened_or_made.cache_clear()
    assert np.array_equal(judges_of(RECIPE).first, made.first)
    assert file.read_bytes() != bytes(content)


def test_a_bank_that_cannot_be_kept_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(tmp_path / "file"))
    bank._opened_or_made.cache_clear()
    assert judges_of(RECIPE).candidates == 3


@pytest.mark.parametrize("change", [{"seed": 1}, {"spread": 0.4}, {"steps": 31}, {"size": 48}])
def test_another_recipe_is_another_bank(change: dict) -> None:
    assert replace(RECIPE, **change).key != RECIPE.key


@UNITS
def test_only_of_a_patient_some_patches_are_scored(unit: str) -> None:
    params = replace(PARAMS, looked_at=3, evidence="noise")
    made = PrivateSelection(params)
    planned = made.plan(checks.PUBLIC, Budget(epsilon=1.0, delta=1e-5, unit=unit))
    data, seen = of_candidate(0), made._looked_at(of_candidate(0), planned)
    if unit == "patch":
        assert len(seen) == len(data)
        return
    assert np.bincount(seen.patient).tolist() == [3] * 6
    assert np.array_equal(seen.images[:3], data.images[[0, 2, 5]])


def test_what_is_looked_at_lies_evenly() -> None:
    assert evenly(np.arange(1000), 4).tolist() == [0, 250, 500, 750]
    assert evenly(np.arange(2), 4).tolist() == [0, 1]


def test_more_than_one_choice_in_a_round_is_refused() -> None:
    with pytest.raises(UsageError, match="makes one choice in a round, got 2 local steps"):
        PrivateSelection(PARAMS).schedule(design="plurality", local_steps=2)


def test_unfitted_it_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match="before it can be saved"):
        PrivateSelection(PARAMS).save(tmp_path)


def test_the_largest_sites_choice_wins_and_one_for_nobody_is_void() -> None:
    server = PluralityServer(3)
    replies = [{"chosen": np.array([index])} for index in (1, 2, 2, 7, -1)]
    state = server.combine(1, server.begin(), replies, [0.3, 0.2, 0.2, 0.2, 0.1])
    assert state["votes"].tolist() == [0, 0.3, 0.4]
    made = PrivateSelection(PARAMS)
    made.close(state, 32)
    assert chosen_by(made) == 2


def test_rounds_share_the_epsilon() -> None:
    made, budget = PrivateSelection(PARAMS), Budget(epsilon=2.0, delta=1e-5, unit="patient")
    schedule = made.schedule(design="plurality", rounds=4)
    planned = made.at_site(0.5).plan_at_site(checks.PUBLIC, budget, schedule)
    assert (planned.steps, planned.noise_multiplier, planned.epsilon) == (4, 2.0, 2.0)


class ScoresTwice(PrivateSelection):
    """Lets every patient choose twice for the price of one choice."""

    def elected(self, patches, guarantee, noise):
        super().elected(patches, guarantee, noise)
        return super().elected(patches, guarantee, noise)


class ShoutsDown(PrivateSelection):
    """Plans for one epsilon, and chooses with half the noise."""

    def elected(self, patches, guarantee, noise):
        quiet = replace(guarantee, noise_multiplier=guarantee.noise_multiplier / 2)
        return super().elected(patches, quiet, noise)


class TakesByBrightness(PrivateSelection):
    """Chooses privately, and takes whom the patients' brightness names."""

    def elected(self, patches, guarantee, noise):
        super().elected(patches, guarantee, noise)
        return int(1e6 * abs(float(patches.images.sum()))) % self.params.candidates


@pytest.mark.parametrize(
    ("leak", "law", "match"),
    [
        (ScoresTwice, "noise_is_that_which_was_accounted", "runs 1 mechanisms, as charged"),
        (ShoutsDown, "noise_is_that_which_was_accounted", "noise is that which was accounted"),
        (TakesByBrightness, "is_post_processing_but_for_its_mechanisms", "post-processing"),
    ],
)
def test_a_planted_fault_is_found_by_its_law(leak: type, law: str, match: str) -> None:
    with pytest.raises(LawBrokenError, match=match):
        checks.LAWS[law](leak)


def test_it_is_registered() -> None:
    assert generators.get("private-selection") is PrivateSelection
