"""The releases of a fit, each kept durably before anything is made of it.

A fit that only releases means or choices has shown the world nothing until a release is kept. So a
kill before that costs nothing, and after it the same release is used again: however often such a
fit is killed, it is charged once, and ends as it would have ended.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext, Noise
from benchmark.core.workings import State, Tally
from benchmark.privacy.checkpoint import RELEASES

Array = NDArray[np.float64]


class KeptReleases:
    """Charges a fit and keeps its releases.

    The constructor charges. What an earlier process of the fit kept is used again.

    Args:
        context: Of the fit.
        spent: What the fit costs; ``spent.steps`` releases may be made.
    """

    def __init__(self, context: FitContext, spent: Guarantee) -> None:
        self._context, self._total = context, max(1, spent.steps)
        self._kept = self._before()
        self._used = 0
        if not self._is_old:
            self._save()  # a charged fit without a checkpoint would be charged again
        context.charge(spent)
        self._save()

    def release(self, draw: Callable[[Noise], Array]) -> Array:
        """Return the next release: the one that was kept, or a fresh one.

        Args:
            draw: Makes it from ``context.noise``; called only if none was kept.
        """
        if self._used == len(self._kept):
            if self._used == self._total:
                raise ValueError(f"The plan pays for {self._total} releases, not for one more.")
            self._kept.append(np.asarray(draw(self._context.noise), np.float64))
            self._save()
        self._used += 1
        return self._kept[self._used - 1].copy()

    @property
    def _is_old(self) -> bool:
        """Whether the checkpoint is a copy from before releases that may have been seen."""
        checkpoint = self._context.checkpoint
        if checkpoint is None or checkpoint.state is None:
            return False
        return checkpoint.counted() > checkpoint.state.tally.begun

    def _before(self) -> list[Array]:
        checkpoint = self._context.checkpoint
        if checkpoint is None or checkpoint.state is None or self._is_old:
            return []
        kept = checkpoint.state
        if kept.facts["noise"] is not None:
            self._context.noise.restore(kept.facts["noise"])
        return [kept.tensors[str(number)].numpy() for number in range(kept.tally.useful)]

    def _save(self) -> None:
        if self._context.checkpoint is None:
            return
        many = len(self._kept)
        tensors = {str(n): torch.from_numpy(one) for n, one in enumerate(self._kept)}
        facts = {RELEASES: True, "noise": self._context.noise.state()}
        tally = Tally(total=self._total, begun=many, useful=many)
        self._context.checkpoint.save(State(tally, tensors, facts))
