"""Canaries in a fit that shows its private steps, and the scores that the auditor computes there.

The auditor sees every private step and has put a trap into the critic: one more linear layer, whose
weight c moves the score of canary c alone, and steeply. So a canary's whole clipped gradient points
along an axis of its own, as far as clipping lets it. The sum of that axis over all steps is its
score: about N(q T C, σ² C² T) for a canary that is in, N(0, σ² C² T) for one that is not. Sampling,
clipping, noise and steps are the fit's own. A segmenter is trapped like a critic: its score is
minus its loss. In a fit that releases means, every canary has one more number, large for it and
zero for all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.core.errors import BenchError, PlugInError
from benchmark.core.generator import Noise
from benchmark.core.patches import Patches
from benchmark.core.workings import PrivateGame, PrivateRelease, Shown
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.mechanisms.release import Features, Vectors

STEEPNESS = 1e4
"""The slope of a canary's axis. Its gradient is then far longer than any clip norm, or other
gradient."""


LINE = 200
"""The most characters of an exception that are shown."""


@contextmanager
def blamed(name: str, doing: str) -> Iterator[None]:
    """Turn any exception of a plug-in into one sentence about it. The suite's own errors stay.

    Args:
        name: The plug-in's name.
        doing: What it was doing, such as ``fit``.

    Raises:
        PlugInError: With the cause.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:  # a plug-in may raise anything
        raise PlugInError(
            f"{name} cannot be audited, as its {doing} raised {in_a_line(error)}; "
            f"`bench check {name}` tries it on made-up patches."
        ) from error


def in_a_line(error: Exception) -> str:
    """Return an exception's kind and text, without line breaks."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:LINE]}" if text else type(error).__name__


class Watch:
    """A callback for ``context.inspect`` that measures what a fit shows and puts canaries in.

    Args:
        canaries: ``(m, 2, H, W)``; m may be 0.
        plant: Called with each object that is shown, before the canaries are put in.
    """

    def __init__(self, canaries: Tensor, plant: Callable[[Shown], object]) -> None:
        self._canaries, self._plant = canaries, plant
        self._shown: list[Any] = []
        self._watchers: list[Watcher | Tap] = []
        self._unknown = ""

    def __call__(self, shown: Any) -> None:
        """Take one shown object. A repeated one is ignored; after an unknown one, all are."""
        if self._unknown or any(shown is before for before in self._shown):
            return
        self._shown.append(shown)
        if not isinstance(shown, PrivateGame | PrivateRelease):
            self._unknown = f"shows a {type(shown).__name__}, which is no private step or release"
            return
        try:
            self._plant(shown)
            if len(self._canaries):
                self._watchers.append(_watcher_of(shown, self._canaries))
        except BenchError:
            raise
        except Exception as error:  # what is shown may look right and be anything
            self._unknown = (
                f"shows a {type(shown).__name__} that an audit cannot read ({in_a_line(error)})"
            )

    @property
    def unseen(self) -> str:
        """Why canaries could not be seen; empty if they could.

        The words follow the plug-in's name.
        """
        if not self._shown:
            return "shows no private step"
        if not self._unknown and any(not watcher.heard for watcher in self._watchers):
            return "does not use what it shows, or shows it too late"
        return self._unknown

    @property
    def scores(self) -> NDArray[np.float64]:
        """The canaries' scores: the sum over all shown objects, each in its standard deviations."""
        each = [watcher.scores / (watcher.scores.std() or 1.0) for watcher in self._watchers]
        return np.asarray(np.sum(each, axis=0))


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
        """Set the weights so that every canary scores badly, and no loss is flat for it."""
        nn.init.constant_(self.axes.weight, -1.0)

    def forward(self, samples: Tensor) -> Tensor:
        """Compute scores ``(n,)``, each from its own sample alone.

        Raises:
            ValueError: If the critic does not return one score for each sample.
        """
        # A canary's values are all ±1: no other patch in [-1, 1] has so large a product with it.
        same = samples.flatten(1) @ self._canaries.to(samples).T > self._canaries.shape[1] - 0.5
        scores: Tensor = self.critic(samples)
        if scores.shape != (len(samples),):
            raise ValueError(f"Expected a score for each sample, got {tuple(scores.shape)}.")
        trapped: Tensor = scores + self.axes(STEEPNESS * same.float())[:, 0]
        return trapped


class Watcher:
    """A replacement for a game's step that adds up every canary's axis and changes nothing else."""

    def __init__(self, step: Any, trap: Trap) -> None:
        self._step, self._trap = step, trap
        self.scores, self.heard = np.zeros(trap.axes.in_features), False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    def gradient(self, critic: nn.Module, batch: Batch, noise: Any) -> Tensor:
        """Return the step's own gradient, and record the canaries' axes.

        A canary that is in pulls its axis up, so its entry in the gradient is negative.

        Args:
            critic: The critic with the trap.
            batch: The drawn units' samples.
            noise: The source of the noise.
        """
        self._trap.reset()
        found: Tensor = self._step.gradient(critic, batch, noise)
        self.scores -= found[-len(self.scores) :].detach().cpu().numpy()
        self.heard = True
        return found


class Tap:
    """A replacement for a release's mean that adds a number for every canary.

    It records the sums of these numbers and changes nothing else.

    Args:
        release: The release of the fit.
        canaries: ``(m, 2, H, W)``.
    """

    def __init__(self, release: PrivateRelease, canaries: Tensor) -> None:
        self._canaries = canaries.flatten(1).numpy()
        self._mean = release.mean
        self.scores, self.heard = np.zeros(len(canaries)), False
        _assign(release, mean=self.mean)

    def mean(self, patches: Patches, features: Features, noise: Noise) -> Vectors:
        """Return the release's own mean of the numbers that it asked for.

        Args:
            patches: The patients' patches.
            features: The fit's own features.
            noise: The source of the noise.
        """
        found = self._mean(patches, lambda some: self._trapped(some, features), noise)
        count = len(self.scores)
        self.scores += found[-count:]
        self.heard = True
        return found[:-count]

    def _trapped(self, patches: Patches, features: Features) -> Vectors:
        labelled = np.concatenate([patches.images, 2.0 * patches.masks - 1], axis=1)
        same = labelled.reshape(-1, self._canaries.shape[1]) @ self._canaries.T
        axes = STEEPNESS * (same > self._canaries.shape[1] - 0.5)
        return np.concatenate([features(patches), axes], axis=1)


def _watcher_of(shown: Shown, canaries: Tensor) -> Watcher | Tap:
    """Puts the canaries' axes into what is shown."""
    if not isinstance(shown, PrivateGame):
        return Tap(shown, canaries)
    trap = Trap(shown.critic, canaries)
    watcher = Watcher(shown.step, trap)
    _assign(shown, critic=trap, step=watcher)
    return watcher


def _assign(shown: Any, **values: Any) -> None:
    """All of the attributes, or none if one of them cannot be assigned to."""
    before = {name: getattr(shown, name) for name in values}
    done: list[str] = []
    try:
        for name, value in values.items():
            setattr(shown, name, value)
            done.append(name)
    except Exception:
        for name in done:
            setattr(shown, name, before[name])
        raise
