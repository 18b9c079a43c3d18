"""A one-run audit: canaries among the training patches, and who of them was there, guessed.

The auditor sees every private step and has put a trap into the critic: one more linear layer, whose
weight c moves the score of canary c alone, and steeply. So a canary's whole clipped gradient points
along an axis of its own, as far as clipping lets it, and the sum of that axis over all steps is its
score: N(q T C, σ² C² T) or so for one that is in, N(0, σ² C² T) for one that is not. Sampling,
clipping, noise and steps are the fit's own. A segmenter is trapped as a critic is: its score is
minus its loss. In a fit that releases means every canary has one more number, large for it and zero
for all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.audit.bound import best_number_of_guesses, largest_bound, lower_bound
from benchmark.core.budget import Budget, Guarantee, PublicNumbers, Unit
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext, Generator, Noise
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.segmenter import PrivateSegmenter
from benchmark.privacy.dpsgd import Batch
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.release import Features, Release, Vectors
from generators import checks

COARSE = 2
"""A canary's random squares have this side in pixels."""

COPIES = 8
"""Patches of a patient who is a canary."""

STEEPNESS = 1e4
"""Of a canary's axis: its gradient is then far longer than any clip norm, or other gradient."""


Fitted = Generator | PrivateSegmenter
"""What may be audited."""


class Verdict(NamedTuple):
    """What one run of an audit says.

    Attributes:
        claim: The guarantee of the fit.
        canaries: m.
        guesses: r, fixed beforehand.
        right: v.
        bound: The ε that is refuted with a confidence of 95 %.
        largest: The bound had all guesses been right.
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


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Patches with canaries among them.

    Attributes:
        patches: Known patches, and the canaries that are in.
        public: What may be declared: slots for every canary, in or not.
        canaries: Labelled canaries ``(m, 2, H, W)``.
        included: ``(m,)``, whether each is in.
    """

    patches: Patches
    public: PublicNumbers
    canaries: Tensor
    included: NDArray[np.bool_]


def trial(known: Patches, unit: Unit, *, canaries: int, seed: int) -> Trial:
    """Puts canaries among known patches: each is one unit, in or out by a coin.

    A patient who is a canary has the same patch a few times: averaged, they are as one; clipped
    each by itself, as they must not be, they would be seen.

    Args:
        known: Real or phantom patches.
        unit: What a canary is.
        canaries: m.
        seed: Draws canaries and coins.
    """
    rng = np.random.default_rng(stream(seed, "canaries"))
    images, masks = _drawn(canaries, known.size, rng)
    included = rng.random(canaries) < 0.5
    declared = PublicNumbers(
        patients=known.patients,
        patches_per_patient=known.patches_per_patient,
        patch_size=known.size,
    )
    public = with_canaries(declared, unit, canaries)
    hosts = np.arange(canaries) // _to_a_host(declared, unit)
    each = min(COPIES, declared.patches_per_patient) if unit == "patient" else 1
    owner = known.patients + np.repeat(hosts[included], each)
    if known.patient is None:
        raise ValueError("Patches of no known patient cannot be audited.")
    patches = Patches(
        images=np.concatenate([known.images, np.repeat(images[included], each, axis=0)]),
        masks=np.concatenate([known.masks, np.repeat(masks[included], each, axis=0)]),
        patient=np.concatenate([known.patient, owner]),
        patients=public.patients,
        patches_per_patient=public.patches_per_patient,
    )
    labelled = np.concatenate([images, 2.0 * masks - 1], axis=1).astype(np.float32)
    return Trial(
        patches=patches,
        public=public,
        canaries=torch.from_numpy(labelled),
        included=included,
    )


def with_canaries(declared: PublicNumbers, unit: Unit, canaries: int) -> PublicNumbers:
    """The public numbers of patches among which canaries may be: with slots for all of them."""
    hosts = -(-canaries // _to_a_host(declared, unit))
    return replace(declared, patients=declared.patients + hosts)


def _to_a_host(declared: PublicNumbers, unit: Unit) -> int:
    """How many canaries a made-up patient has."""
    return 1 if unit == "patient" else declared.patches_per_patient


def audit(
    fitted: Fitted,
    budget: Budget,
    among: Trial,
    context: FitContext,
    *,
    plant: Callable[[Any], None] = lambda game: None,
) -> Verdict:
    """Fits the generator, or the segmenter, on the trial's patches, and guesses.

    Args:
        fitted: Its fit must show its game, or its release, to ``context.inspect``, as the
            suite's do; another one is refused before it is fitted.
        budget: The claim to test.
        among: The patches.
        context: As for any fit.
        plant: Puts a fault into the fit, to see whether the audit finds it.
    """
    refuse_without_a_game(fitted)
    planned = fitted.plan(among.public, budget)
    separation = planned.sampling_rate * math.sqrt(planned.steps) / planned.noise_multiplier
    guesses = best_number_of_guesses(
        len(among.canaries), claim=planned.epsilon, separation=separation, delta=planned.delta
    )
    watchers: list[Watcher | Tap] = []

    def inspect(shown: Any) -> None:
        plant(shown)
        tapped = isinstance(shown, Release)
        watchers.append(Tap(shown, among.canaries) if tapped else _watched(shown, among.canaries))

    spent = _fit_of(fitted)(among.patches, planned, replace(context, inspect=inspect))
    right = _right(watchers[0].scores, among.included, guesses)
    count, delta = len(among.canaries), planned.delta
    return Verdict(
        claim=spent,
        canaries=count,
        guesses=guesses,
        right=right,
        bound=lower_bound(canaries=count, guesses=guesses, right=right, delta=delta),
        largest=largest_bound(canaries=count, guesses=guesses, delta=delta),
    )


def refuse_without_a_game(fitted: Fitted) -> None:
    """Refuses a plug-in whose fit shows an audit nothing, seen by a small one on made-up patches.

    Raises:
        UsageError: Before any patient is touched.
    """
    shown: list[Any] = []
    small = type(fitted)(fitted.smoke)
    patches, budget = checks.patches(), Budget(epsilon=8.0, delta=1e-3, unit="patch")
    context = FitContext(
        seed=0, noise=SeededNoise("audit"), charge=lambda planned: None, inspect=shown.append
    )
    _fit_of(small)(patches, small.plan(checks.PUBLIC, budget), context)
    if not shown:
        raise UsageError(f"{fitted.name} shows no private step to an audit, so it has no audit.")


def _fit_of(fitted: Fitted) -> Callable[[Patches, Guarantee, FitContext], Guarantee]:
    return fitted.fit_privately if isinstance(fitted, PrivateSegmenter) else fitted.fit


class Trap(nn.Module):
    """A critic that gives every canary an axis of its own; other samples score as before.

    Args:
        critic: The critic.
        canaries: ``(m, 2, H, W)``.
    """

    def __init__(self, critic: nn.Module, canaries: Tensor) -> None:
        super().__init__()
        self.critic = critic
        self.axes = nn.Linear(len(canaries), 1, bias=False)
        self._canaries = canaries.flatten(1)
        self.reset()

    def reset(self) -> None:
        """Every canary scores so badly that no loss is flat for it."""
        nn.init.constant_(self.axes.weight, -1.0)

    def forward(self, samples: Tensor) -> Tensor:
        """Scores ``(n,)``, each from its own sample alone."""
        # A canary's values are all ±1: no other patch in [-1, 1] has so large a product with it.
        same = samples.flatten(1) @ self._canaries.to(samples).T > self._canaries.shape[1] - 0.5
        scores: Tensor = self.critic(samples) + self.axes(STEEPNESS * same.float())[:, 0]
        return scores


class Watcher:
    """Stands in for a game's step: lets it be, and adds up every canary's axis."""

    def __init__(self, step: Any, trap: Trap) -> None:
        self._step, self._trap = step, trap
        self.scores = np.zeros(trap.axes.in_features)

    def gradient(self, critic: nn.Module, batch: Batch, noise: Any) -> Tensor:
        """The step's own gradient; a canary that is in pulls its axis up, so down in this."""
        self._trap.reset()
        found: Tensor = self._step.gradient(critic, batch, noise)
        self.scores -= found[-len(self.scores) :].cpu().numpy()
        return found


class Tap:
    """Stands in for a release's mean: adds a number for every canary, and keeps those sums.

    Args:
        release: Of the fit.
        canaries: ``(m, 2, H, W)``.
    """

    def __init__(self, release: Release, canaries: Tensor) -> None:
        self._canaries = canaries.flatten(1).numpy()
        self._mean = release.mean
        self.scores = np.zeros(len(canaries))
        release.mean = self.mean  # type: ignore[method-assign]

    def mean(self, patches: Patches, features: Features, noise: Noise) -> Vectors:
        """The release's own mean of the numbers that it asked for."""
        found = self._mean(patches, lambda some: self._trapped(some, features), noise)
        count = len(self.scores)
        self.scores += found[-count:]
        return found[:-count]

    def _trapped(self, patches: Patches, features: Features) -> Vectors:
        labelled = np.concatenate([patches.images, 2.0 * patches.masks - 1], axis=1)
        same = labelled.reshape(-1, self._canaries.shape[1]) @ self._canaries.T
        axes = STEEPNESS * (same > self._canaries.shape[1] - 0.5)
        return np.concatenate([features(patches), axes], axis=1)


def _watched(game: Any, canaries: Tensor) -> Watcher:
    game.critic = Trap(game.critic, canaries)
    game.step = Watcher(game.step, game.critic)
    found: Watcher = game.step
    return found


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
