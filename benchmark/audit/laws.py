"""Laws that every private step keeps exactly, measured on the game that a fit is about to play.

An audit's bound is weak and needs a whole fit. These laws need a few steps each. They detect a
fault by its effect on the noise, on the most that one unit moves, on the divisor, on the batches,
on the rate, or between samples. Each law takes the game and its guarantee and returns a sentence if
it is broken. A statistical law rejects a correct step once in a million times.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom
from torch import Tensor, nn

from benchmark.audit import release_laws
from benchmark.core.budget import Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.mechanism import Grid, Integers, Noise
from benchmark.privacy.accounting.subsampled_gaussian import account
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.mixing import refuse_mixing, stirred
from benchmark.privacy.dpsgd.sampling import BLANK
from benchmark.privacy.dpsgd.step import grid_of
from benchmark.privacy.mechanisms.release import Release
from benchmark.privacy.randomness import SeededNoise

DEVIATIONS = 5.0
"""The number of standard deviations above which a difference is not due to chance."""

CHANCE = 1e-6
"""The probability below which a count is not due to chance."""

DRAWS = 60
MANY_DRAWS = 1000
ROUNDING = 1e-4
LOUD = 50.0
CANCELLING, TRIES = (3e4, 1e5, 1e6), 6
"""The biases of critics whose outputs cancel, and on how many batches each is tried.

The rounding of one batch differs from processor to processor."""

SITE_DRAWS = 4096

Law = Callable[[Any, Guarantee], str]


def the_noise_is_that_which_was_accounted(game: Any, claim: Guarantee) -> str:
    """Check that an empty batch's gradient is noise of deviation σ S / B, new each time."""
    first, second = (_gradient(game, 0, SeededNoise(i, "law")) for i in (1, 2))
    quiet = _gradient(game, 0, Silence())
    drawn = torch.cat([first - quiet, second - quiet]).double()
    expected = claim.noise_multiplier * claim.sensitivity / _units_expected(claim)
    found = float(drawn.std())
    if abs(found / expected - 1) > DEVIATIONS / math.sqrt(2 * len(drawn)):
        return f"the noise has {found:.3g} for its standard deviation, and {expected:.3g} was paid"
    both = torch.corrcoef(torch.stack([first - quiet, second - quiet]))
    if abs(float(both[0, 1])) > DEVIATIONS / math.sqrt(len(first)):
        return "two steps have the same noise"
    return ""


def one_unit_moves_the_sum_by_the_clip_norm_at_most(game: Any, claim: Guarantee) -> str:
    """Check without noise that blanking a unit moves the sum by S at most.

    This is tried with extreme contents and at many weights.
    """
    critics = [*(stirred(game.critic, seed) for seed in range(4)), *hostile(game.critic)]
    for seed, critic in enumerate(critics):
        whole, less = (
            _gradient(game, 4, Silence(), loud=True, without=without, critic=critic, seed=seed)
            for without in (None, 0)
        )
        moved = float((whole - less).double().norm()) * _units_expected(claim)
        if not moved <= claim.sensitivity * (1 + ROUNDING):
            most = f"{claim.sensitivity:g}"
            return f"one {claim.unit} moves the sum by {moved:.3g}, more than S = {most}"
    return ""


def what_is_put_out_lies_on_the_public_grid(game: Any, claim: Guarantee) -> str:
    """Check that a step's gradient times B is a whole number of grid steps, rounded once."""
    step, found = claim.grid / _units_expected(claim), _gradient(game, 4, SeededNoise("law"))
    on_grid = (torch.round(found.double() / step) * step).to(found)
    if not torch.equal(found, on_grid):
        off = float((found != on_grid).double().mean())
        return f"{100 * off:.0f} % of the numbers lie beside the grid of {claim.grid:.3g}"
    return ""


def the_divisor_is_public(game: Any, claim: Guarantee) -> str:
    """Check that twice the units give twice the sum.

    A divisor that follows the batch would reveal its size.
    """
    none, some, more = (_gradient(game, n, Silence(), alike=True) for n in (0, 2, 4))
    one, two = some - none, more - none
    if float((two - 2 * one).norm()) > 1e-3 * max(float(two.norm()), 1e-12):
        return "the sum of twice as many units is not twice the sum"
    return ""


def every_step_draws_its_own_batch(game: Any, claim: Guarantee) -> str:
    """Check that consecutive batches share no more units than chance explains at the rate q."""
    batches = [_drawn(game) for _ in range(DRAWS)]
    pairs = list(itertools.pairwise(batches))
    drawn = sum(len(a) for a, _ in pairs)
    shared = sum(len(np.intersect1d(a, b)) for a, b in pairs)
    if binom.sf(shared - 1, drawn, claim.sampling_rate) < CHANCE:
        return f"consecutive batches share {shared} of {drawn} units"
    return ""


def units_are_drawn_at_the_rate_that_was_accounted(game: Any, claim: Guarantee) -> str:
    """Check that each unit is drawn with the accounted q, and all units together are."""
    units = claim.units
    counts = np.zeros(units)
    for _ in range(MANY_DRAWS):
        counts[_drawn(game)] += 1
    each, whole = (
        binom(MANY_DRAWS, claim.sampling_rate),
        binom(MANY_DRAWS * units, claim.sampling_rate),
    )
    rarest = 2 * units * np.minimum(each.cdf(counts), each.sf(counts - 1)).min()
    total = counts.sum()
    if min(rarest, 2 * min(whole.cdf(total), whole.sf(total - 1))) < CHANCE:
        return (
            f"units are drawn with probability {total / units / MANY_DRAWS:.3g}, from "
            f"{counts.min() / MANY_DRAWS:.3g} to {counts.max() / MANY_DRAWS:.3g}, and "
            f"{claim.sampling_rate:.3g} is paid"
        )
    return ""


def what_a_patient_holds_moves_no_others_draws(game: Any, claim: Guarantee) -> str:
    """Check that without one patient's patches, the draws of all other patients are the same."""
    whole, without = (copy.copy(game.sampler) for _ in range(2))
    for sampler in (whole, without):
        sampler._noise = SeededNoise("law")
    first = whole._of_patient[0]
    without._of_patient = [first[:0], *whole._of_patient[1:]]
    without.__dict__.pop("_filled_slots", None)
    for _ in range(DRAWS):
        here, there = (set(sampler.draw()[0].tolist()) for sampler in (whole, without))
        if here - {*first.tolist(), BLANK} != there - {BLANK}:
            return "zeroing out one patient changes which patches of the others are drawn"
    return ""


def hostile(critic: nn.Module) -> Iterator[nn.Module]:
    """Yield copies of a critic with weights that are hard for floating-point arithmetic.

    They make rounding large, or gradients vanish, overflow or cancel.
    """
    for scale in (1e-42, 1e15, 1e30, math.nan):
        made = stirred(critic)
        with torch.no_grad():
            for weight in made.parameters():
                weight.mul_(scale)
        yield made
    for bias in CANCELLING:
        cancelling = _cancelling(critic, bias)
        yield from (cancelling for _ in range(TRIES))  # each on samples of its own


@torch.no_grad()
def _cancelling(critic: nn.Module, bias: float) -> nn.Module:
    """A critic whose last layers see one huge constant, from which two outputs take each other."""
    made = copy.deepcopy(critic)
    convolutions = [m for m in made.modules() if isinstance(m, nn.Conv2d)]
    for weight in made.parameters():
        weight.zero_()
    for layer in convolutions[:-2]:
        outs = torch.arange(layer.out_channels)
        layer.weight[outs, outs % layer.weight.shape[1], 0, 0] = 1.0
        if layer.bias is not None:
            layer.bias.fill_(2.0 if layer is convolutions[0] else bias)
    for layer in convolutions[-2:-1]:
        if layer.bias is not None:
            layer.bias[0] = 1e-6
    last = convolutions[-1].weight
    last[0, 0, 0, 0], last[0, 0, 0, -1] = 4e6, -4e6
    return made


def no_sample_reaches_anothers_score(game: Any, claim: Guarantee) -> str:
    """Check that each score depends on its own sample alone."""
    try:
        refuse_mixing(game.critic, _samples(game, 3))
    except UsageError as error:
        return str(error)
    return ""


def the_epsilon_follows_from_the_mechanisms_numbers(game: Any, claim: Guarantee) -> str:
    """Check that the claimed ε covers the accountant's for σ, q, T and δ, within the target."""
    again = account(
        noise_multiplier=game.step.noise_multiplier,
        sampling_rate=claim.sampling_rate,
        steps=game.private_steps,
        delta=claim.accounted_delta,
        accountant=claim.accountant,
    ).epsilon
    if again > claim.epsilon * (1 + 1e-9) or claim.epsilon > claim.target_epsilon:
        return f"the step's numbers cost ε = {again:g}, and {claim.epsilon:g} is printed"
    return ""


LAWS: dict[str, Law] = {
    law.__name__: law
    for law in (
        the_noise_is_that_which_was_accounted,
        one_unit_moves_the_sum_by_the_clip_norm_at_most,
        what_is_put_out_lies_on_the_public_grid,
        the_divisor_is_public,
        every_step_draws_its_own_batch,
        units_are_drawn_at_the_rate_that_was_accounted,
        what_a_patient_holds_moves_no_others_draws,
        no_sample_reaches_anothers_score,
        the_epsilon_follows_from_the_mechanisms_numbers,
    )
}


def laws_of(shown: Any) -> Mapping[str, Law]:
    """Return the laws for a game, or for a release, by name."""
    return release_laws.LAWS if isinstance(shown, Release) else LAWS


def broken(shown: Any, claim: Guarantee) -> dict[str, str]:
    """Return the laws that a game, or a release, breaks, with a sentence each."""
    found = {name: law(shown, claim) for name, law in laws_of(shown).items()}
    return {name: sentence for name, sentence in found.items() if sentence}


class Silence:
    """A noise source that adds no noise, to look at the sum alone."""

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """Return the sums unchanged."""
        return sums


def _gradient(
    game: Any,
    units: int,
    noise: Any,
    *,
    loud: bool = False,
    alike: bool = False,
    without: int | None = None,
    critic: nn.Module | None = None,
    seed: int = 0,
) -> Tensor:
    """The step's answer to made-up units of as many samples as the guarantee's unit has."""
    each = 3 if game.guarantee.unit == "patient" else 1
    samples = _samples(game, each if alike else units * each, seed)
    samples = samples.repeat(units, 1, 1, 1) if alike else samples
    owner = torch.arange(units).repeat_interleave(each)
    kept = owner != (-1 if without is None else without)
    batch = Batch((LOUD if loud else 1.0) * samples[kept], owner[kept], _samples(game, 4, seed=1))
    found: Tensor = game.step.gradient(critic or stirred(game.critic), batch, noise)
    return found


def _samples(game: Any, n: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    size = game.patches.size
    return torch.rand(n, 2, size, size, generator=rng) * 2 - 1


def _drawn(game: Any) -> NDArray[np.int64]:
    """The units of a batch, without those of nobody that pad it."""
    units = np.unique(game.sampler.draw()[1])
    real: NDArray[np.int64] = units[units < game.guarantee.units]
    return real


def _units_expected(claim: Guarantee) -> float:
    return claim.sampling_rate * claim.units


def every_site_draws_noise_of_its_own(noises: Sequence[Noise]) -> str:
    """Check that no two sites, and no two rounds of one, share noise or Poisson draws.

    Shared noise would not average out between sites, and the holder of one reply could subtract it
    from the others.

    Args:
        noises: The sources of several sites or rounds, freshly made.

    Returns:
        A sentence if the law is broken; otherwise empty.
    """
    nothing, grid = np.zeros(SITE_DRAWS, np.int64), grid_of(1.0, 1.0, SITE_DRAWS)
    drawn = np.stack([noise.noised(nothing, grid) for noise in noises]).astype(np.float64)
    entered = np.zeros_like(drawn)
    for row, noise in zip(entered, noises, strict=True):
        row[noise.poisson(SITE_DRAWS, 0.5)] = 1
    for what, rows in (("noise", drawn), ("draws", entered)):
        alike = np.abs(np.corrcoef(rows) - np.eye(len(rows)))
        if alike.max() > DEVIATIONS * 1.2 / math.sqrt(SITE_DRAWS):
            one, other = np.unravel_index(alike.argmax(), alike.shape)
            return f"number {one + 1} and number {other + 1} have the same {what}"
    return ""
