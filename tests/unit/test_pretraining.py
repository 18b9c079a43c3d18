"""Pretraining on simulated patches: of no patient, and only what is trained is noised."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import generators.nets.pretraining as pretraining
from benchmark.core.budget import Budget
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.randomness import SeededNoise
from generators.checks import PUBLIC, patches
from generators.dp_wgan import DpWgan, DpWganParams
from generators.nets.adversarial import Game
from generators.nets.wgan_settings import WganParams
from generators.wgan import Wgan

SMALL = {"latent": 4, "generator_width": 4, "critic_width": 4, "batch": 12, "fakes": 6}
BEFORE = {"pretrain": "simulator", "pretrain_steps": 2}
STEPS = {"generator_steps": 2, "critic_steps": 2}


@pytest.fixture(autouse=True)
def _few_simulated_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "PATCHES", 64)


def fitted(data: Patches, *, epsilon: float = 2.0, kind=DpWgan, **changes: object):
    """The critic before its first private step, as a copy, and the game when all is over."""
    params = DpWganParams if kind is DpWgan else WganParams
    made = kind(params(**{**SMALL, **STEPS, **BEFORE, **changes}))
    games: list[Game] = []
    critics: list[dict[str, torch.Tensor]] = []

    def inspect(game: Game) -> None:
        games.append(game)
        critics.append({n: t.clone() for n, t in game.critic.state_dict().items()})

    context = FitContext(seed=0, noise=SeededNoise("x"), charge=lambda claim: None, inspect=inspect)
    budget = Budget(epsilon=epsilon, delta=1e-3, unit="patch")
    made.fit(data, made.plan(PUBLIC, budget), context)
    return critics[0], games[0], made


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_players_begin_with_what_no_patient_decides() -> None:
    other = replace(patches(), images=-patches().images)
    one, two = (fitted(data)[0] for data in (patches(), other))
    assert same(one, two)
    assert not same(one, fitted(patches(), pretrain="none")[0])


def test_pretraining_costs_nothing() -> None:
    budget = Budget(epsilon=2.0, delta=1e-3, unit="patch")
    plain, before = (
        DpWgan(DpWganParams(**SMALL, **STEPS, **more)).plan(PUBLIC, budget) for more in ({}, BEFORE)
    )
    assert plain == before


@pytest.mark.parametrize("last", [1, 2])
def test_only_the_layers_that_are_asked_for_change(last: int) -> None:
    begun, game, _ = fitted(patches(), trained_layers=last)
    layers = [name for name in begun if name.endswith("weight")]
    changed = [not torch.equal(begun[n], game.critic.state_dict()[n]) for n in layers]
    assert changed == [False] * (len(layers) - last) + [True] * last


def test_at_infinity_it_is_still_wgan_number_by_number() -> None:
    drawn = [
        fitted(patches(), epsilon=math.inf, kind=kind, trained_layers=2)[2].sample(8, seed=0)
        for kind in (Wgan, DpWgan)
    ]
    assert np.array_equal(drawn[0].images, drawn[1].images)


def test_random_layers_are_not_frozen() -> None:
    made = DpWgan(DpWganParams(**SMALL, trained_layers=2))
    with pytest.raises(UsageError, match="set pretrain=simulator too"):
        made.plan(PUBLIC, Budget(epsilon=2.0, delta=1e-3, unit="patch"))


def test_a_server_begins_with_the_same_weights() -> None:
    made = DpWgan(DpWganParams(**SMALL, **STEPS, **BEFORE))
    context = FitContext(seed=0, noise=SeededNoise("x"), charge=lambda claim: None)
    schedule = made.schedule(design="averaged-critics")
    state = made.server_side(PUBLIC.patch_size, schedule, context).begin()
    alone = fitted(patches())[0]
    for name, weight in alone.items():
        assert np.array_equal(state[f"critic.{name}"], weight.numpy())
