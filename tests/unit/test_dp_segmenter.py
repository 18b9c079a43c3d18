"""The private segmenter: its network, its laws, its resumption, and its place in a sweep."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.audit.canaries import Verdict, audit, trial
from benchmark.audit.laws import broken
from benchmark.core.budget import Budget, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.segmenter import TrainContext
from benchmark.privacy.accounting.subsampled_gaussian import epsilon_spent
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.privacy.dpsgd.mixing import refuse_mixing
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from segmenters.checks import PUBLIC, patches, patients_patches
from segmenters.dp_segmenter import DpSegmenter, DpSegmenterParams
from segmenters.nets.private import PatchScore, SegmenterTraining, SmallUnet
from segmenters.nets.training import dice_and_cross_entropy, loss_of_each

SMALL = {"width": 2, "batch": 8, "patients_per_step": 2, "clip_norm": 0.5}
UNITS = ["patch", "patient"]


class KilledError(Exception):
    pass


def budget(unit: str = "patch", epsilon: float = 5.0) -> Budget:
    return Budget(epsilon=epsilon, delta=1e-3, unit=unit)


def fitted(made: DpSegmenter, unit: str = "patch", epsilon: float = 5.0, **context: Any):
    planned = made.plan(PUBLIC, budget(unit, epsilon))
    asked = {"seed": 0, "noise": SeededNoise(0, "k"), "charge": lambda _: None, **context}
    return made.fit_privately(patients_patches(), planned, FitContext(**asked))


def weights(made: DpSegmenter) -> torch.Tensor:
    assert made._net is not None
    return torch.cat([weight.flatten() for weight in made._net.parameters()])


def net(width: int = 3, levels: int = 3) -> SmallUnet:
    made = SmallUnet(width=width, levels=levels, vessel_fraction=0.1)
    made.initialise(torch.Generator().manual_seed(0))
    return made


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_the_network_keeps_the_side_and_starts_at_the_public_vessel_fraction(levels: int) -> None:
    logits = net(levels=levels)(torch.rand(2, 1, 32, 24) * 2 - 1)
    assert logits.shape == (2, 1, 32, 24)
    assert torch.allclose(logits.sigmoid(), torch.tensor(0.1))


def test_no_layer_normalises_and_no_patch_reaches_anothers_loss() -> None:
    critic = PatchScore(net())
    assert not [m for m in critic.modules() if "Norm" in type(m).__name__]
    refuse_mixing(critic, torch.rand(3, 2, 32, 32))


class Mixing(SmallUnet):
    """A network whose first maps are centred over the batch."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images - images.mean(0))


def test_a_network_that_mixes_patches_is_refused_although_it_starts_flat(monkeypatch) -> None:
    monkeypatch.setattr("segmenters.dp_segmenter.SmallUnet", Mixing)
    with pytest.raises(UsageError, match="lets samples of a batch reach each other"):
        fitted(DpSegmenter(DpSegmenterParams(**SMALL, steps=2)))


def test_the_loss_of_one_patch_is_that_of_a_batch_of_one() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 1, 16, 16, generator=rng)
    masks = (torch.rand(5, 1, 16, 16, generator=rng) < 0.2).float()
    alone = [dice_and_cross_entropy(logits[i : i + 1], masks[i : i + 1]) for i in range(5)]
    assert torch.allclose(loss_of_each(logits, masks), torch.stack(alone))


def laws_broken(unit: str, plant=lambda game: None) -> dict[str, str]:
    """What the laws say of a fit, with a fault planted or none."""
    made = DpSegmenter(DpSegmenterParams(**SMALL, steps=2))
    found: dict[str, str] = {}

    def look(game: SegmenterTraining) -> None:
        plant(game)
        found.update(broken(game, game.guarantee))

    fitted(made, unit, inspect=look)
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_every_exact_law_of_a_private_step_holds(unit: str) -> None:
    assert laws_broken(unit) == {}


def half_the_noise(game: SegmenterTraining) -> None:
    game.step = replace(game.step, noise_multiplier=game.step.noise_multiplier / 2)


def no_clipping(game: SegmenterTraining) -> None:
    game.step = replace(game.step, clip_norm=1e9, noise_multiplier=game.step.noise_multiplier / 2e9)


def more_steps(game: SegmenterTraining) -> None:
    game.steps_per_round *= 2


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("plant", "law"),
    [
        (half_the_noise, "the_noise_is_that_which_was_accounted"),
        (no_clipping, "one_unit_moves_the_sum_by_the_clip_norm_at_most"),
        (more_steps, "the_epsilon_follows_from_the_mechanisms_numbers"),
    ],
)
def test_a_planted_fault_breaks_its_law(plant, law: str, unit: str) -> None:
    assert law in laws_broken(unit, plant)


def audited(unit: str, plant=lambda game: None, canaries: int = 120) -> Verdict:
    made = DpSegmenter(
        DpSegmenterParams(**{**SMALL, "batch": 48, "patients_per_step": 6}, steps=60)
    )
    asked = FitContext(seed=0, noise=SeededNoise(0, "audit"), charge=lambda _: None)
    known = patients_patches()
    among = trial(known, unit, canaries=canaries, seed=0)
    return audit(made, Budget(epsilon=2.0, delta=1e-5, unit=unit), among, asked, plant=plant)


@pytest.mark.parametrize("unit", UNITS)
def test_an_audit_sees_its_canaries_through_flips_and_does_not_refute_an_honest_fit(
    unit: str,
) -> None:
    verdict = audited(unit)
    assert verdict.right > verdict.guesses / 2, "or else it sees nothing"
    assert verdict.bound <= verdict.claim.epsilon < verdict.largest


@pytest.mark.parametrize("unit", UNITS)
def test_without_clipping_an_audit_refutes_the_claim(unit: str) -> None:
    def loud(game: SegmenterTraining) -> None:
        step = game.step
        share = step.clip_norm / 1e9
        game.step = replace(step, clip_norm=1e9, noise_multiplier=step.noise_multiplier * share)

    assert audited(unit, loud, canaries=60).contradicts


@pytest.mark.parametrize("unit", UNITS)
def test_epsilon_follows_from_the_plans_own_numbers(unit: str) -> None:
    made = DpSegmenter(DpSegmenterParams(**SMALL, steps=7))
    g = made.plan(PUBLIC, budget(unit))
    units = PUBLIC.units(g.unit)
    assert g.steps == 7
    assert g.sampling_rate == (2 if unit == "patient" else 8) / units
    again = epsilon_spent(
        noise_multiplier=g.noise_multiplier,
        sampling_rate=g.sampling_rate,
        steps=g.steps,
        delta=g.accounted_delta,
        accountant=g.accountant,
    )
    assert again == g.epsilon <= 5


@pytest.mark.parametrize("unit", UNITS)
def test_exactly_the_planned_steps_are_taken_and_no_curve_is_told(unit: str) -> None:
    taken, curves = [], []

    def look(game: SegmenterTraining) -> None:
        inner = game.step.gradient

        def counted(*arguments: Any) -> torch.Tensor:
            taken.append(1)
            return inner(*arguments)

        object.__setattr__(game.step, "gradient", counted)

    made = DpSegmenter(DpSegmenterParams(**SMALL, steps=6))
    fitted(made, unit, inspect=look, progress=lambda step, total, said: curves.append(dict(said)))
    assert len(taken) == 6
    assert curves == [{}] * 6
    assert made.threshold == 0.5


def test_noise_moves_the_result_and_at_infinity_there_is_none() -> None:
    found = {}
    for epsilon in (1.0, 50.0, math.inf):
        for key in ("k", "l"):
            made = DpSegmenter(DpSegmenterParams(**{**SMALL, "batch": 32}, steps=3))
            fitted(made, epsilon=epsilon, noise=SeededNoise(0, key))
            found[epsilon, key] = weights(made)
    # Every patch enters every step, so that only the noise can differ.
    assert torch.equal(found[math.inf, "k"], found[math.inf, "l"])
    assert not torch.equal(found[1.0, "k"], found[1.0, "l"])
    assert not torch.equal(found[1.0, "k"], found[50.0, "k"])


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("kills", [[0], [1], [17], [13, 7, 2]])
def test_a_seeded_fit_goes_on_to_the_same_model_bit_for_bit(
    kills: list[int], unit: str, tmp_path: Path
) -> None:
    whole, spent, _ = run(tmp_path / "whole", SeededNoise(0, "k"), unit)
    for kill_at in kills:
        run(tmp_path / "killed", SeededNoise(0, "k"), unit, kill_at)
    again, spent_again, _ = run(tmp_path / "killed", SeededNoise(0, "k"), unit)
    assert torch.equal(weights(again), weights(whole))
    assert spent_again == spent
    assert spent_again.interruptions == spent_again.lost_steps == 0


def test_without_seeds_no_more_steps_are_run_than_were_paid_for(tmp_path: Path) -> None:
    taken = sum(run(tmp_path, SystemNoise(), "patch", kill_at)[2] for kill_at in (7, 3, 12))
    made, spent, steps = run(tmp_path, SystemNoise(), "patch")
    assert taken + steps <= spent.steps == STEPS
    assert spent.interruptions == 3
    assert spent.lost_steps >= 3
    assert torch.isfinite(weights(made)).all()


STEPS = 40


def run(folder: Path, noise: Any, unit: str, kill_at: int | None = None):
    """A fit that is killed at a step; how many steps it took."""
    folder.mkdir(exist_ok=True)
    taken = 0

    def look(game: SegmenterTraining) -> None:
        inner = game.step.gradient

        def counted(*arguments: Any) -> torch.Tensor:
            nonlocal taken
            if taken == kill_at:
                raise KilledError
            taken += 1
            return inner(*arguments)

        object.__setattr__(game.step, "gradient", counted)

    made = DpSegmenter(DpSegmenterParams(**SMALL, steps=STEPS))
    planned = made.plan(PUBLIC, budget(unit))
    checkpoint = Checkpoint(folder / "checkpoint.safetensors", planned)
    try:
        spent = fitted(made, unit, noise=noise, inspect=look, checkpoint=checkpoint)
    except KilledError:
        spent = planned
    return made, spent, taken


def tubes(n: int, seed: int = 0) -> Patches:
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, 1, 32, 32), np.uint8)
    for mask in masks:
        column = rng.integers(4, 26)
        mask[0, :, column : column + 3] = 1
    images = np.clip(masks + 0.2 * rng.standard_normal(masks.shape) - 0.6, -1, 1)
    return Patches(
        images=images.astype(np.float32),
        masks=masks,
        patient=np.repeat(np.arange(n // 8), 8),
        patients=n // 8,
        patches_per_patient=8,
    )


@pytest.mark.parametrize("epsilon", [8.0, math.inf])
def test_a_learnable_task_is_learned_also_under_noise(epsilon: float) -> None:
    made = DpSegmenter(DpSegmenterParams(width=4, levels=2, batch=64, steps=60))
    seen, unseen = tubes(1024), tubes(16, seed=1)
    public = PublicNumbers(patients=128, patches_per_patient=8, patch_size=32)
    planned = made.plan(public, Budget(epsilon=epsilon, delta=1e-5, unit="patch"))
    volume = np.ascontiguousarray(unseen.images[:, 0].transpose(1, 2, 0))
    truth = unseen.masks[:, 0].transpose(1, 2, 0) > 0
    dice = []
    for draw in range(5 if math.isfinite(epsilon) else 1):  # single draws move by a tenth
        context = FitContext(seed=0, noise=SeededNoise(draw, "tubes"), charge=lambda _: None)
        made.fit_privately(seen, planned, context)
        found = made.predict(volume, (1.0, 1.0, 1.0))
        dice.append(2 * (found & truth).sum() / (found.sum() + truth.sum()))
    assert np.mean(dice) > 0.8


def test_patches_of_nobody_are_learned_from_without_noise() -> None:
    one, two = (DpSegmenter(DpSegmenterParams(**SMALL, steps=3)) for _ in range(2))
    one.fit(patches(), TrainContext(seed=0))
    two.fit(patches(), TrainContext(seed=0))
    assert torch.equal(weights(one), weights(two))


def test_a_patch_that_cannot_be_halved_so_often_is_refused() -> None:
    odd = PublicNumbers(patients=4, patches_per_patient=8, patch_size=34)
    with pytest.raises(UsageError, match="multiple of 4; got 34"):
        DpSegmenter(DpSegmenter.smoke).plan(odd, budget())
