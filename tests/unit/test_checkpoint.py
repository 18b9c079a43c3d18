"""Going on after a kill: exactly where it can be, and never with more steps than were paid for."""

import os
import stat
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.core.budget import Budget, Guarantee
from benchmark.core.generator import FitContext, Noise
from benchmark.privacy.checkpoint import Checkpoint, State, Tally
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from generators.checks import PUBLIC, patches
from generators.dp_wgan import DpWgan, DpWganParams
from generators.nets.adversarial import Game
from generators.nets.wgan_settings import WganParams
from generators.wgan import Wgan

ROUNDS, CRITIC_STEPS = 25, 2
SMALL = {"latent": 4, "generator_width": 4, "critic_width": 4, "batch": 12, "fakes": 6}
SMALL |= {"generator_steps": ROUNDS, "critic_steps": CRITIC_STEPS}


class KilledError(BaseException):
    """As if the process had gone."""


def plan(made: DpWgan, unit: str) -> Guarantee:
    return made.plan(PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit=unit))


def fit(
    folder: Path,
    noise: Noise,
    *,
    kill_at: int | None = None,
    unit: str = "patch",
    kind=DpWgan,
    device: str = "cpu",
) -> tuple[DpWgan, Guarantee, int]:
    """A fit that may be killed in a private step; counts the private steps it runs."""
    made = kind((DpWganParams if kind is DpWgan else WganParams)(**SMALL))
    epsilon = 5.0 if kind is DpWgan else np.inf
    planned = made.plan(PUBLIC, Budget(epsilon=epsilon, delta=1e-3, unit=unit))
    steps = 0

    def inspect(game: Game) -> None:
        gradient = game.step.gradient

        def counted(*arguments):
            nonlocal steps
            if steps == kill_at:
                raise KilledError
            steps += 1
            return gradient(*arguments)

        object.__setattr__(game.step, "gradient", counted)

    context = FitContext(
        seed=0,
        noise=noise,
        charge=lambda guarantee: None,
        checkpoint=Checkpoint(folder / "checkpoint.safetensors", planned),
        inspect=inspect,
        device=device,
    )
    try:
        spent = made.fit(patches(), planned, context)
    except KilledError:
        spent = planned
    return made, spent, steps


def samples(made: DpWgan) -> np.ndarray:
    return made.sample(6, seed=1).images


@cache
def undisturbed(unit: str, kind) -> tuple[np.ndarray, Guarantee]:
    """What a seeded fit that nobody kills draws, and what it spends."""
    with TemporaryDirectory() as folder:
        made, spent, _ = fit(Path(folder), SeededNoise(0, "k"), unit=unit, kind=kind)
    return samples(made), spent


@pytest.mark.parametrize("kind", [DpWgan, Wgan])
@pytest.mark.parametrize("unit", ["patch", "patient"])
@pytest.mark.parametrize("kills", [[0], [1], [17], [49], [20, 11, 3]])
def test_a_seeded_fit_goes_on_to_the_same_model_bit_for_bit(
    kills: list[int], unit: str, kind, tmp_path: Path
) -> None:
    whole, spent = undisturbed(unit, kind)
    for kill_at in kills:
        fit(tmp_path, SeededNoise(0, "k"), kill_at=kill_at, unit=unit, kind=kind)
    again, spent_again, _ = fit(tmp_path, SeededNoise(0, "k"), unit=unit, kind=kind)
    assert np.array_equal(samples(again), whole)
    assert spent_again == spent
    assert spent_again.interruptions == spent_again.lost_steps == 0


@pytest.mark.parametrize("kills", [[0], [1], [17], [49], [20, 11, 3], [5] * 40])
def test_without_seeds_no_more_steps_are_run_than_were_paid_for(
    kills: list[int], tmp_path: Path
) -> None:
    run = 0
    for kill_at in kills:
        _, spent, steps = fit(tmp_path, SystemNoise(), kill_at=kill_at)
        run += steps
        if steps < kill_at:
            break
    made, spent, steps = fit(tmp_path, SystemNoise())
    run += steps
    assert run <= spent.steps == ROUNDS * CRITIC_STEPS
    assert spent.epsilon == plan(made, "patch").epsilon
    assert spent.lost_steps <= spent.steps
    assert np.isfinite(samples(made)).all()
    if kills[0] > 0:
        assert spent.interruptions >= 1, "another draw is said to be one"
        assert spent.lost_steps >= CRITIC_STEPS


def test_a_finished_fit_that_is_killed_before_its_result_runs_nothing_again(tmp_path: Path) -> None:
    whole, _, steps = fit(tmp_path, SystemNoise())
    again, _, more = fit(tmp_path, SystemNoise())
    assert (steps, more) == (ROUNDS * CRITIC_STEPS, 0)
    assert np.array_equal(samples(again), samples(whole))


def test_a_checkpoint_is_durable_before_the_first_private_batch(tmp_path: Path) -> None:
    _, _, steps = fit(tmp_path, SystemNoise(), kill_at=0)
    assert steps == 0
    assert (tmp_path / "checkpoint.safetensors").stat().st_mode & 0o077 == 0, "its owner's alone"


@given(total=st.integers(1, 500), kills=st.lists(st.integers(0, 30), max_size=40))
def test_the_tally_covers_whatever_may_have_been_run(total: int, kills: list[int]) -> None:
    run, tally = 0, Tally(total=total)
    for survived in [*kills, total]:
        for _ in range(survived):
            if tally.begun == total:
                break
            run += tally.until - tally.begun
            tally = tally.done()
        if tally.begun < total:
            run += tally.until - tally.begun  # at worst, the whole stride ran before the kill
            tally = tally.resumed(exact=False)
        assert run <= tally.begun <= total
        assert tally.useful + tally.lost == tally.begun


def saved(path: Path, planned: Guarantee) -> Checkpoint:
    kept = Checkpoint(path, planned)
    kept.save(State(Tally(total=3), {"w": torch.arange(3.0)}, {"noise": None}))
    return Checkpoint(path, planned)


def test_a_checkpoint_of_another_plan_or_a_torn_one_is_not_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    planned = plan(DpWgan(DpWganParams(**SMALL)), "patch")
    kept = saved(path, planned).state
    assert kept is not None
    assert torch.equal(kept.tensors["w"], torch.arange(3.0))
    other = replace(planned, noise_multiplier=planned.noise_multiplier * 2)
    assert Checkpoint(path, other).state is None
    path.write_bytes(path.read_bytes()[:-3])
    assert Checkpoint(path, planned).state is None


def test_a_checkpoint_keeps_its_name_through_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is synced after the file is put in place: until then the name may be lost."""
    synced, sync = [], os.fsync

    def watched(file: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(file).st_mode), path.exists()))
        sync(file)

    path = tmp_path / "checkpoint.safetensors"
    monkeypatch.setattr(os, "fsync", watched)
    saved(path, plan(DpWgan(DpWganParams(**SMALL)), "patch"))
    assert synced == [(False, False), (True, True)]


def test_an_older_checkpoint_that_comes_back_brings_no_steps_back(tmp_path: Path) -> None:
    path, counted = tmp_path / "c.safetensors", tmp_path / "state" / "counted.json"
    planned = plan(DpWgan(DpWganParams(**SMALL)), "patch")
    tally = Tally(total=200)
    Checkpoint(path, planned, counted).save(State(tally, {"w": torch.zeros(1)}, {}))
    old = path.read_bytes()
    for _ in range(3):
        tally = tally.done()
        Checkpoint(path, planned, counted).save(State(tally, {"w": torch.zeros(1)}, {}))
    path.write_bytes(old)
    back = Checkpoint(path, planned, counted)
    resumed = back.state.tally.resumed(exact=False, counted=back.counted())
    assert (resumed.begun, resumed.useful) == (tally.until, 0)
    assert back.state.tally.resumed(exact=True, counted=back.counted()).begun == 0
    back.save(State(Tally(total=200), {"w": torch.zeros(1)}, {}))
    assert back.counted() == 0, "another fit begins, under an entry of its own"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_fit_on_a_gpu_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    fit(tmp_path, SeededNoise(0, "k"), kill_at=17, device="cuda")
    _, spent, steps = fit(tmp_path, SeededNoise(0, "k"), device="cuda")
    assert 0 < steps < spent.steps


def test_noise_of_the_operating_system_cannot_be_repeated() -> None:
    assert SystemNoise().state() is None
    with pytest.raises(ValueError, match="cannot be repeated"):
        SystemNoise().restore({})
