"""What privacy costs in a critic step: the private one against the plain one, same networks."""

import pytest
import torch

from benchmark.privacy.dpsgd import Batch, Step
from benchmark.privacy.randomness import SeededNoise
from generators.dp_wgan import DpWgan, DpWganParams
from generators.nets.adversarial import LOSSES
from generators.nets.convolutional import PatchCritic, initialise

BATCH = 64


def _game(preset: str, size: int) -> tuple[PatchCritic, Batch, DpWganParams]:
    params = DpWgan.presets[preset]
    assert isinstance(params, DpWganParams)
    rng = torch.Generator().manual_seed(0)
    critic = PatchCritic(levels=params.levels, width=params.critic_width, norm=params.critic_norm)
    initialise(critic, rng)
    real, fake = torch.rand(2, BATCH, 2, size, size, generator=rng) * 2 - 1
    return critic, Batch(real, torch.arange(BATCH), fake), params


@pytest.mark.parametrize(("preset", "size"), [("quick", 32), ("standard", 64)])
@pytest.mark.parametrize("kind", ["plain", "private"])
def test_critic_step(benchmark, preset: str, size: int, kind: str) -> None:
    torch.set_num_threads(1)
    critic, batch, params = _game(preset, size)
    real, fake = LOSSES[params.loss]
    private = kind == "private"
    step = Step(
        real_loss=real,
        fake_loss=fake,
        expected_units=BATCH,
        clip_norm=params.clip_norm if private else float("inf"),
        noise_multiplier=1.0 if private else 0.0,
    )
    benchmark.group = f"critic step, {preset}"
    gradient = benchmark(step.gradient, critic, batch, SeededNoise(0, "bench"))
    assert torch.isfinite(gradient).all()
