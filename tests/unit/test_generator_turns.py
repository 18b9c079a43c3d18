"""How often each network of a federated WGAN moves: as the settings say, however rounds divide."""

from collections import Counter

import numpy as np
import pytest

from benchmark.core.budget import Budget
from benchmark.core.federation import Schedule
from benchmark.core.generator import FitContext
from benchmark.privacy.randomness import SeededNoise
from generators.checks import PUBLIC, patches
from generators.dp_wgan import DpWgan, DpWganParams
from generators.nets.federated import AVERAGED_CRITICS, FEDGAN, generator_steps
from generators.nets.players import Players

SMALL = {"latent": 4, "generator_width": 4, "critic_width": 4, "batch": 12, "fakes": 6}
PARAMS = DpWganParams(**SMALL, critic_steps=4, generator_steps=3)


def context(number: int = 0) -> FitContext:
    noise = SeededNoise(0, "turns", number)
    return FitContext(seed=number, noise=noise, charge=lambda charged: None)


def fitted(schedule: Schedule) -> dict[str, np.ndarray]:
    """The last state of a fit of one site."""
    made = DpWgan(PARAMS)
    planned = made.plan_at_site(PUBLIC, Budget(epsilon=5.0, delta=1e-3, unit="patch"), schedule)
    server = made.server_side(PUBLIC.patch_size, schedule, context())
    state = server.begin()
    for number in range(1, schedule.rounds + 1):
        side = made.site_side(patches(), planned, schedule)
        reply = side.compute(number, server.sent(state), context(number))
        state = server.combine(number, state, [reply], [1.0])
    return state


@pytest.mark.parametrize("design", [AVERAGED_CRITICS, FEDGAN])
@pytest.mark.parametrize(("rounds", "local_steps"), [(12, 1), (6, 2), (4, 3), (3, 4), (2, 6)])
def test_no_division_into_rounds_changes_how_often_each_network_moves(
    rounds: int, local_steps: int, design: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: Counter[str] = Counter()
    for name in ("generator_step", "critic_step"):
        step = getattr(Players, name)

        def counted(*given, name=name, step=step):
            moved[name] += 1
            return step(*given)

        monkeypatch.setattr(Players, name, counted)
    fitted(Schedule(design=design, rounds=rounds, local_steps=local_steps))
    assert moved == {"critic_step": 12, "generator_step": 3}


def test_turns_follow_the_steps_of_all_rounds_before() -> None:
    for critic_steps in (1, 4, 5):
        params = DpWganParams(critic_steps=critic_steps)
        for local_steps in (1, 2, 3, 4, 7, 10, 20):
            schedule = Schedule(design=FEDGAN, rounds=50, local_steps=local_steps)
            done = [generator_steps(params, schedule, rounds) for rounds in range(51)]
            assert done == [rounds * local_steps // critic_steps for rounds in range(51)]
            if local_steps % critic_steps == 0:
                assert {*np.diff(done)} == {local_steps // critic_steps}, "the same in each round"


def test_the_running_average_moves_with_the_generator_alone() -> None:
    """In a round without a step of it, nothing but the critic does."""
    for design in (AVERAGED_CRITICS, FEDGAN):
        few = fitted(Schedule(design=design, rounds=3, local_steps=1))
        none = fitted(Schedule(design=design, rounds=1, local_steps=1))
        for name in few:
            same = np.array_equal(few[name], none[name])
            assert same or name.startswith(("critic.", "of critic")), name
        assert not np.array_equal(few["critic.body.0.weight"], none["critic.body.0.weight"])
