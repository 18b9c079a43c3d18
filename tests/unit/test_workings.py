"""What fits show and keep has the shapes that are documented for plug-ins."""

from pathlib import Path

import pytest

from benchmark.core.budget import Budget
from benchmark.core.generator import FitContext
from benchmark.core.workings import (
    KeptState,
    PrivateGame,
    PrivateRelease,
    PrivateStep,
    UnitSampler,
)
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.privacy.randomness import SeededNoise
from generators import checks
from generators.dp_merf import DpMerf
from generators.dp_simulator import DpSimulator
from generators.dp_wgan import DpWgan
from generators.private_evolution import PrivateEvolution
from segmenters.dp_segmenter import DpSegmenter

GAMES, RELEASES = [DpWgan, DpSegmenter], [DpMerf, DpSimulator, PrivateEvolution]


@pytest.mark.parametrize("kind", [*GAMES, *RELEASES])
def test_every_private_plug_in_shows_one_game_or_one_release(kind: type) -> None:
    shown: list[object] = []

    made = kind(kind.smoke)
    planned = made.plan(checks.PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit="patch"))
    context = FitContext(
        seed=0, noise=SeededNoise("x"), charge=lambda _: None, inspect=shown.append
    )
    fit = made.fit_privately if kind is DpSegmenter else made.fit
    fit(checks.patches(), planned, context)
    (one,) = shown
    assert isinstance(one, PrivateGame) == (kind in GAMES)
    assert isinstance(one, PrivateRelease) == (kind in RELEASES)
    if kind in GAMES:
        assert isinstance(one.step, PrivateStep)
        assert isinstance(one.sampler, UnitSampler)


def test_a_checkpoint_keeps_a_state_and_a_plain_object_is_nothing(tmp_path: Path) -> None:
    planned = DpSimulator(DpSimulator.smoke).plan(
        checks.PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit="patch")
    )
    assert isinstance(Checkpoint(tmp_path / "kept", planned), KeptState)
    assert not isinstance(object(), PrivateGame | PrivateRelease | KeptState)
