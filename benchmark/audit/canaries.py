"""A one-run audit: canaries enter the training patches by chance, and the auditor guesses which.

A canary is a patch, or a patient, that is like no other, and enters the fit by a fair coin.
``watching`` computes what the auditor sees of each canary in the private steps, and ``bound`` what
the guesses prove. A fit that shows no private step can have no canaries.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.audit.bound import best_number_of_guesses, largest_bound, lower_bound
from benchmark.audit.slots import to_a_host, with_canaries
from benchmark.audit.watching import Watch, blamed
from benchmark.core.budget import Budget, Guarantee, PublicNumbers, Unit
from benchmark.core.errors import PlugInError
from benchmark.core.generator import FitContext, Generator
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.segmenter import PrivateSegmenter
from benchmark.core.workings import Shown
from benchmark.privacy.randomness import SeededNoise
from generators import checks

COARSE = 2
"""The side in pixels of a canary's random squares."""

COPIES = 8
"""How many patches a patient who is a canary has."""

CERTAIN = 10.0
"""The distance between scores, in standard deviations, at which every guess is right."""

SMALL = 4
"""The number of canaries in the small fit that shows whether there can be any."""

Fitted = Generator | PrivateSegmenter
"""A plug-in that can be audited."""


class Verdict(NamedTuple):
    """The result of one audit with canaries.

    Attributes:
        claim: The guarantee of the fit.
        canaries: m.
        guesses: r, fixed beforehand.
        right: v, the right guesses.
        bound: The ε that is refuted with a confidence of 95 %.
        largest: The bound if all guesses had been right.
    """

    claim: Guarantee
    canaries: int
    guesses: int
    right: int
    bound: float
    largest: float

    @property
    def contradicts(self) -> bool:
        """Whether the claim is refuted."""
        return self.bound > self.claim.epsilon


class Outcome(NamedTuple):
    """The outcome of one fit under an audit.

    Attributes:
        spent: What the fit reports as spent.
        verdict: The result of the canaries; ``None`` without any, or if they could not be seen.
        unseen: Why they could not be seen, as words that follow the plug-in's name.
    """

    spent: Guarantee
    verdict: Verdict | None
    unseen: str


@dataclass(frozen=True, kw_only=True)
class CanaryTrial:
    """Patches with canaries among them.

    Attributes:
        patches: Known patches, and the canaries that are in.
        public: The public numbers, with slots for every canary, in or not.
        canaries: Labelled canaries ``(m, 2, H, W)``.
        included: ``(m,)``, whether each is in.
    """

    patches: Patches
    public: PublicNumbers
    canaries: Tensor
    included: NDArray[np.bool_]


def trial(known: Patches, unit: Unit, *, canaries: int, seed: int) -> CanaryTrial:
    """Put canaries among known patches. Each is one unit, in or out by a coin.

    A patient who is a canary has the same patch several times. If these are averaged, as they
    should be, they count as one patch. If each was clipped by itself, they would be visible.

    Args:
        known: Real or phantom patches.
        unit: What a canary is.
        canaries: m.
        seed: Draws canaries and coins.

    Raises:
        ValueError: If the patches name no patients.
    """
    if known.patient is None:
        raise ValueError("Patches of no known patient cannot be audited.")
    rng = np.random.default_rng(stream(seed, "canaries"))
    images, masks = _drawn(canaries, known.size, rng)
    included = rng.random(canaries) < 0.5
    declared = PublicNumbers(
        patients=known.patients,
        patches_per_patient=known.patches_per_patient,
        patch_size=known.size,
    )
    public = with_canaries(declared, unit, canaries)
    hosts = np.arange(canaries) // to_a_host(declared, unit)
    each = min(COPIES, declared.patches_per_patient) if unit == "patient" else 1
    owner = known.patients + np.repeat(hosts[included], each)
    patches = Patches(
        images=np.concatenate([known.images, np.repeat(images[included], each, axis=0)]),
        masks=np.concatenate([known.masks, np.repeat(masks[included], each, axis=0)]),
        patient=np.concatenate([known.patient, owner]),
        patients=public.patients,
        patches_per_patient=public.patches_per_patient,
    )
    labelled = np.concatenate([images, 2.0 * masks - 1], axis=1).astype(np.float32)
    return CanaryTrial(
        patches=patches,
        public=public,
        canaries=torch.from_numpy(labelled),
        included=included,
    )


def canaries_of(seed: int, canaries: int, size: int) -> Patches:
    """Draw the canaries of a trial again, in or not.

    Args:
        seed: The trial's seed.
        canaries: m.
        size: A patch's side in pixels.
    """
    images, masks = _drawn(canaries, size, np.random.default_rng(stream(seed, "canaries")))
    return Patches(images=images, masks=masks)


def audit(
    fitted: Fitted,
    budget: Budget,
    among: CanaryTrial,
    context: FitContext,
    *,
    plant: Callable[[Shown], object] = lambda shown: None,
) -> Verdict:
    """Fit on a trial's patches with canaries, and guess which of them were in.

    Args:
        fitted: The generator or segmenter. Its fit must show its game, or its release, to
            ``context.inspect``.
        budget: The claim to test.
        among: The patches.
        context: As for any fit.
        plant: Puts a fault into the fit, to see whether the audit finds it.

    Raises:
        PlugInError: If the fit shows nothing that canaries can be put into.
    """
    found = attack(fitted, fitted.plan(among.public, budget), among, context, plant=plant)
    if found.verdict is None:
        raise PlugInError(f"{fitted.name} {found.unseen}, so it has no canaries.")
    return found.verdict


def attack(
    fitted: Fitted,
    planned: Guarantee,
    among: CanaryTrial,
    context: FitContext,
    *,
    plant: Callable[[Shown], object] = lambda shown: None,
) -> Outcome:
    """Fit on a trial's patches, and guess if the fit lets its canaries be seen.

    Args:
        fitted: A generator or a segmenter, whatever it shows.
        planned: The claim to test, planned for the trial's public numbers.
        among: The patches; perhaps without any canary.
        context: As for any fit.
        plant: Called with each object that is shown, before its canaries are put in.

    Raises:
        PlugInError: If the fit raises anything.
    """
    watch = Watch(among.canaries, plant)
    with blamed(fitted.name, "fit"):
        fit = fitted.fit_privately if isinstance(fitted, PrivateSegmenter) else fitted.fit
        spent = fit(among.patches, planned, replace(context, inspect=watch))
    if watch.unseen or not len(among.canaries):
        return Outcome(spent, None, watch.unseen)
    return Outcome(spent, verdict_of(watch, planned, among.included), "")


def verdict_of(watch: Watch, planned: Guarantee, included: NDArray[np.bool_]) -> Verdict:
    """Guess which canaries were in a fit that has ended.

    Args:
        watch: What the auditor heard.
        planned: The claim.
        included: ``(m,)``, whether each canary was in.
    """
    strength = planned.sampling_rate * math.sqrt(planned.steps)
    separation = min(CERTAIN, strength / max(planned.noise_multiplier, strength / CERTAIN, 1e-12))
    count, delta = len(included), planned.delta
    guesses = best_number_of_guesses(
        count, claim=planned.epsilon, separation=separation, delta=delta
    )
    right = _right(watch.scores, included, guesses)
    return Verdict(
        claim=planned,
        canaries=count,
        guesses=guesses,
        right=right,
        bound=lower_bound(canaries=count, guesses=guesses, right=right, delta=delta),
        largest=largest_bound(canaries=count, guesses=guesses, delta=delta),
    )


def unreadable(fitted: Fitted, unit: Unit, plant: Callable[[Shown], object]) -> str:
    """Explain why a plug-in can have no canaries, by a small fit on made-up patches.

    Args:
        fitted: Any plug-in with smoke settings; another instance of it is fitted.
        unit: What is protected.
        plant: What an audit does with all that is shown.

    Returns:
        The reason, as words that follow the plug-in's name; empty if it can have canaries.

    Raises:
        PlugInError: If the small fit raises, also without canaries.
    """
    try:
        return _small_fit(fitted, unit, plant, canaries=SMALL).unseen
    except PlugInError as error:
        _small_fit(fitted, unit, lambda shown: None, canaries=0)
        return f"cannot be fitted with canaries ({error.__cause__!r})"


def _small_fit(
    fitted: Fitted, unit: Unit, plant: Callable[[Shown], object], *, canaries: int
) -> Outcome:
    among = trial(checks.patches(), unit, canaries=canaries, seed=0)
    budget = Budget(epsilon=8.0, delta=1e-3, unit=unit)
    context = FitContext(seed=0, noise=SeededNoise("audit"), charge=lambda planned: None)
    with blamed(fitted.name, "plan"):
        small = type(fitted)(fitted.smoke)
        planned = small.plan(among.public, budget)
    return attack(small, planned, among, context, plant=plant)


def _drawn(
    count: int, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Random squares in black and white, with masks of random squares: no patch is like them.

    They look the same however they are flipped and transposed, as a fit may do.
    """
    from_edge = np.minimum(np.arange(size), np.arange(size)[::-1]) // COARSE
    row, column = (which.outer(from_edge, from_edge) for which in (np.minimum, np.maximum))
    image, mask = (rng.integers(0, 2, (count, 1, size, size))[..., row, column] for _ in "im")
    return (2 * image - 1).astype(np.float32), mask.astype(np.uint8)


def _right(scores: NDArray[np.float64], included: NDArray[np.bool_], guesses: int) -> int:
    """The highest scores are guessed in, the lowest out."""
    order = np.argsort(scores)
    out, in_ = order[: guesses // 2], order[len(order) - (guesses - guesses // 2) :]
    return int((~included[out]).sum() + included[in_].sum())
