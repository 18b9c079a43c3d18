"""The ways of a planned consortium: their noise, their verdicts, and what is recommended."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.core.errors import UsageError
from benchmark.core.federation import FederatedGenerator
from benchmark.core.generator import FitContext
from benchmark.core.registry import generators
from benchmark.privacy.accounting.coalitions import pooled_view
from benchmark.privacy.mechanisms.release import plan_releases
from benchmark.privacy.randomness import SeededNoise
from benchmark.results.observers import LOCAL
from benchmark.sweep.consortium import (
    BARELY_SECURE,
    POOLED,
    SECURE,
    Consortium,
    Way,
    consortia,
    recommendations,
)
from benchmark.sweep.feasibility import DOUBTFUL, HOPELESS, UNKNOWN, WORKABLE, prospects
from benchmark.sweep.request import Request
from federation.partition import Partition
from generators.checks import PUBLIC, budget_of, patches

THREE = (14, 14, 14)


def quiet(*heard: object) -> None:
    """Hears of progress."""


def planned(cache: Path, *names: str, sizes=THREE, epsilons=(2.0,), unit="patient"):
    request = Request(generators=names, epsilons=epsilons, unit=unit, segmenters=(), bookends=False)
    found = prospects(request, sum(sizes), cache, quiet)
    return found, consortia(request, found, sizes, cache, quiet)


def test_each_way_has_its_noise_and_its_ratio_of_noise_to_signal(tmp_path: Path) -> None:
    found, (made,) = planned(tmp_path, "dp-simulator")
    noises = {name: way.noise for name, way in made.ways.items()}
    assert noises == {
        LOCAL: pytest.approx(math.sqrt(3), rel=1e-3),
        SECURE: pytest.approx(math.sqrt(3 / 2)),
        BARELY_SECURE: 1.0,
        POOLED: 1.0,
    }
    for way in made.ways.values():
        assert way.noise_to_signal == pytest.approx(way.noise * found[0].noise_to_signal)
    assert [made.ways[name].verdict for name in (LOCAL, SECURE)] == [DOUBTFUL, WORKABLE]


def test_a_critics_sums_take_one_round_a_step_and_are_hopeless_in_every_way(tmp_path: Path) -> None:
    _, (made,) = planned(tmp_path, "dp-wgan")
    assert (made.ways[LOCAL].rounds, made.ways[SECURE].rounds) == (110, 440)
    assert {way.verdict for way in made.ways.values()} == {HOPELESS}
    local = made.ways[LOCAL].seen
    assert local.outsider == local.server, "averaged critics are no sums of noised gradients"
    assert made.ways[SECURE].seen.server < local.server


def test_unequal_sites_are_planned_by_their_own_sizes(tmp_path: Path) -> None:
    """The σ of one release does not depend on how many patients a site has."""
    _, (made,) = planned(tmp_path, "dp-simulator", sizes=(30, 8, 4))
    assert made.ways[LOCAL].noise == pytest.approx(math.sqrt(3), rel=1e-3)
    _, (many,) = planned(tmp_path, "dp-simulator", sizes=(2,) * 21)
    assert many.ways[LOCAL].noise == pytest.approx(math.sqrt(21), rel=1e-3)


def test_only_private_generators_that_sites_can_train_have_ways(tmp_path: Path) -> None:
    _, made = planned(tmp_path, "real", "wgan", "simulator", "dp-merf", epsilons=(2.0, math.inf))
    assert [(one.generator, one.epsilon) for one in made] == [("dp-merf", 2.0)]


def test_a_choice_has_no_sum_to_secure_and_shows_everybody_the_same(tmp_path: Path) -> None:
    _, (made,) = planned(tmp_path, "private-selection")
    assert set(made.ways) == {LOCAL, POOLED}
    assert {(way.noise, way.verdict) for way in made.ways.values()} == {(None, UNKNOWN)}
    assert len({*vars(made.ways[LOCAL].seen).values()}) == 1


def test_a_generator_whose_sites_have_no_plan_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self, public, budget, schedule):
        raise UsageError("No noise is enough.")

    monkeypatch.setattr(generators.get("dp-merf"), "plan_at_site", refuse)
    _, (failed, other) = planned(tmp_path, "dp-merf", "dp-simulator")
    assert (failed.reason, failed.ways) == ("No noise is enough.", {})
    assert other.ways


def ways_of(generator: str, local: tuple[float, str], secure: tuple[float, str]) -> Consortium:
    seen = pooled_view(plan_releases(PUBLIC, budget_of(generators.get("dp-merf")), clip_norm=1.0))
    ways = {
        name: Way(noise=1.0, noise_to_signal=ratio, verdict=word, rounds=1, seen=seen)
        for name, (ratio, word) in ((LOCAL, local), (SECURE, secure))
    }
    return Consortium(generator=generator, unit="patient", epsilon=2.0, delta=1e-5, ways=ways)


BAD = ways_of("bad", (9.0, HOPELESS), (8.0, HOPELESS))


@pytest.mark.parametrize(
    ("good", "start"),
    [
        (ways_of("good", (0.09, WORKABLE), (0.06, WORKABLE)), "good with local noise"),
        (ways_of("good", (0.12, DOUBTFUL), (0.08, WORKABLE)), "good with secure sums"),
        (ways_of("good", (3.0, HOPELESS), (2.0, DOUBTFUL)), "good with secure sums"),
        (ways_of("good", (0.5, DOUBTFUL), (0.5, DOUBTFUL)), "good with local noise"),
    ],
)
def test_the_recommendation_follows_from_the_ratios(good: Consortium, start: str) -> None:
    (said,) = recommendations([BAD, good])
    assert said.startswith(f"Recommended at ε = 2: {start}")


def test_of_a_generator_that_shares_no_noise_secure_sums_are_only_planned() -> None:
    (said,) = recommendations([ways_of("good", (0.12, DOUBTFUL), (0.08, WORKABLE))])
    assert "which is planned only, as no design of it shares its noise" in said


def test_nothing_is_recommended_where_all_is_hopeless_or_unknown() -> None:
    (said,) = recommendations([BAD])
    assert said.startswith("No generator is recommended at ε = 2")
    assert "bad the least so (noise / signal 8, secure sums, t = 1)" in said
    silent = replace(BAD, ways={LOCAL: replace(BAD.ways[LOCAL], noise_to_signal=None)})
    assert recommendations([silent]) == [
        "No recommendation at ε = 2: no noise against signal is known."
    ]
    assert recommendations([]) == recommendations([replace(BAD, ways={})]) == []


class Shifted(SeededNoise):
    """Adds the same whole number to every sum."""

    def __init__(self, by: int) -> None:
        super().__init__("shifted")
        self._by = by

    def noised(self, sums, grid):
        return np.asarray(sums) + self._by


def replies_of(generator: FederatedGenerator, design: str) -> tuple:
    """The server, its state, and replies of one site under noise of 0, 1 and 2 everywhere."""
    schedule = generator.schedule(design=design, rounds=1, local_steps=1)
    site = generator.at_site(1 / 2)
    plan = site.plan_at_site(PUBLIC, budget_of(type(generator)), schedule)
    context = FitContext(seed=0, noise=Shifted(0), charge=quiet)
    server = generator.server_side(PUBLIC.patch_size, schedule, context)
    state = server.begin()

    def reply(by: int):
        side = site.site_side(patches(0), plan, schedule)
        mine = replace(context, noise=Shifted(by * 1_000_000))
        return side.compute(1, server.sent(state), mine)

    return server, state, [reply(by) for by in (0, 1, 2)]


def adds_sums(generator: FederatedGenerator, design: str) -> bool:
    """Whether noise is added to a reply as it is, and the server uses the weighted sum alone."""
    server, state, (none, once, twice) = replies_of(generator, design)
    steps = [name for name in none if np.any(none[name] != once[name])]
    additive = bool(steps) and all(
        np.ptp(once[name] - none[name]) < 1e-9
        and np.allclose(twice[name] - none[name], 2 * (once[name] - none[name]), rtol=1e-6)
        for name in steps
    )
    mean = {name: 0.25 * none[name] + 0.75 * twice[name] for name in steps}
    apart = server.combine(1, state, [none, twice], [0.25, 0.75])
    same = server.combine(1, state, [{**none, **mean}] * 2, [0.25, 0.75])
    return additive and all(np.allclose(apart[name], same[name], atol=1e-9) for name in apart)


FEDERATED = [n for n in generators.names() if issubclass(generators.get(n), FederatedGenerator)]
WAYS = [
    (name, design)
    for name in FEDERATED
    for design in generators.get(name).designs
    if generators.get(name).is_private
]


@pytest.mark.parametrize(("name", "design"), WAYS)
def test_a_generator_says_of_each_design_whether_it_adds_sums(name: str, design: str) -> None:
    """Weights after steps of an optimiser are no sums."""
    kind = generators.get(name)
    assert adds_sums(kind(kind.smoke), design) == (design in kind.summing_designs)


def test_every_design_that_adds_sums_exists_and_some_do_not() -> None:
    for name in FEDERATED:
        kind = generators.get(name)
        assert kind.summing_designs <= set(kind.designs)
    assert set(generators.get("dp-wgan").designs) - generators.get("dp-wgan").summing_designs


@pytest.mark.parametrize(
    ("text", "sites", "patients", "sizes"),
    [
        ("size-skew:1,1,1", 3, 41, [14, 14, 13]),
        ("size-skew:0.7,0.2,0.1", 3, 20, [14, 4, 2]),
        ("size-skew:1000,1", 2, 5, [4, 1]),
    ],
)
def test_sizes_by_shares_add_up_and_leave_no_site_empty(
    text: str, sites: int, patients: int, sizes: list[int]
) -> None:
    assert Partition(text=text, sites=sites).sizes(patients) == sizes


@pytest.mark.parametrize(
    ("text", "law"),
    [("size-skew:1,1,1", "2 patients cannot be split over 3"), ("site", "needs a cohort")],
)
def test_sizes_that_no_partition_can_have_are_refused(text: str, law: str) -> None:
    with pytest.raises(UsageError, match=law):
        Partition(text=text, sites=3).sizes(2)
