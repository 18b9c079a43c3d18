"""What secure sums cost: masks of a site and round, and whole rounds against a pooled one.

A vector has 42,608 numbers, as many as ``quick``'s critic of DP-WGAN has. The log is synced to the
disk in every round.
"""

from itertools import count
from pathlib import Path

import numpy as np
import pytest
from test_secure_sides import KINDS, context_of, schedule_of
from test_secure_sum import STATE, hospitals, sessions_of

from benchmark.core.budget import Budget, PublicNumbers
from benchmark.core.patches import Patches
from benchmark.privacy.mechanisms.shared_noise import Sharing
from benchmark.privacy.randomness import SystemNoise
from federation.secure_sides import SummingServer, SummingSite
from federation.secure_sum import total
from federation.sites import digest

NUMBERS, PATIENTS, PATCHES, SIZE = 42_608, 60, 100, 32
SITES = [3, 20]


@pytest.mark.parametrize("number", SITES)
def test_masks_of_a_site_and_round(benchmark, number: int, tmp_path: Path) -> None:
    session = sessions_of(hospitals(tmp_path, number))[0]
    rounds, plain = count(1), np.arange(NUMBERS)
    benchmark.group = f"a site's masks, {NUMBERS:,} numbers"
    benchmark(lambda: session.mask(next(rounds), STATE, {"sum 1": plain}))


@pytest.mark.parametrize("number", SITES)
def test_the_servers_sum(benchmark, number: int) -> None:
    masked = [{"sum 1": np.full(NUMBERS, k, np.uint64)} for k in range(number)]
    benchmark.group = f"a sum, {NUMBERS:,} numbers"
    assert benchmark(lambda: total(masked, 1 << 40))["sum 1"][0] == sum(range(number))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [1, 3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_round(benchmark, number: int, kind, tmp_path: Path) -> None:
    """Of all patients together (1), or of sites that mask their sums, one after the other.

    Every site makes the public simulation of its generator again, as without secure sums.
    """
    generator = kind(kind.smoke)
    schedule = schedule_of(generator, 1)
    public = PublicNumbers(patients=PATIENTS, patches_per_patient=PATCHES, patch_size=SIZE)
    budget = Budget(epsilon=5.0, delta=1e-5, unit="patient")
    sharing = Sharing(sites=max(2, number), curious=1)
    plan = generator.plan_in_shares(public, budget, schedule, sharing)
    each = [patches_of(PATIENTS // number)] * number
    sides = [generator.site_side(mine, plan.guarantee, schedule) for mine in each]
    benchmark.group = f"a round of {kind.name}, all sites"
    if number == 1:
        server = generator.server_side(SIZE, schedule, context_of(SystemNoise()))
        state = server.begin()

        def pooled() -> None:
            reply = sides[0].compute(1, server.sent(state), context_of(SystemNoise()))
            server.combine(1, state, [reply], [1.0])

        benchmark.pedantic(pooled, rounds=2)
        return
    secure = SummingServer(generator, plan, schedule, SIZE, context_of(SystemNoise()))
    summing, state = [SummingSite(side, plan) for side in sides], secure.begin()
    folders = count()

    def fresh() -> tuple[tuple[object], dict[str, object]]:
        return (sessions_of(hospitals(tmp_path / str(next(folders)), number)),), {}

    def shared(sessions) -> None:
        sent, masked = secure.sent(state), []
        secure.returned(state, 1 / 3)
        for side, session in zip(summing, sessions, strict=True):
            sums = side.compute(1, sent, context_of(SystemNoise()))
            masked.append(session.mask(1, digest(sent), sums))
        secure.combine(1, state, masked, [1 / number] * number)

    benchmark.pedantic(shared, setup=fresh, rounds=2)


def patches_of(patients: int) -> Patches:
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (patients * PATCHES, 1, SIZE, SIZE)).astype(np.float32)
    return Patches(
        images=images,
        masks=(images > 0.8).astype(np.uint8),
        patient=np.repeat(np.arange(patients), PATCHES),
        patients=patients,
        patches_per_patient=PATCHES,
    )
