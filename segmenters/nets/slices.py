"""Segmenters that learn from patches and mark whole volumes slice by slice.

A plug-in gives the network; training, the threshold and prediction are the same for all of them.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor, nn

from benchmark.core.errors import NotFittedError
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.segmenter import Segmenter, TrainContext
from benchmark.core.settings import Settings
from segmenters.nets.training import AUGMENTATIONS, LOSSES, best_threshold

SLICES_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class SliceParams(Settings):
    """Settings of the training, and of a network that halves the slice ``levels`` - 1 times."""

    width: Annotated[int, IntDistribution(2, 64)] = 12
    levels: Annotated[int, IntDistribution(3, 6)] = 3
    dropout: Annotated[float, FloatDistribution(0.0, 0.9)] = 0.0
    loss: Annotated[str, CategoricalDistribution(["dice+bce", "dice"])] = "dice+bce"
    schedule: Annotated[str, CategoricalDistribution(["one-cycle", "constant"])] = "one-cycle"
    learning_rate: Annotated[float, FloatDistribution(1e-6, 1e-1, log=True)] = 1e-2
    batch: Annotated[int, IntDistribution(1, 512, log=True)] = 32
    iterations: Annotated[int, IntDistribution(1, 1_000_000, log=True)] = 250
    augmentation: Annotated[str, CategoricalDistribution(["flips", "affine"])] = "flips"
    threshold: Annotated[str, CategoricalDistribution(["chosen", "half"])] = "chosen"

    @property
    def widths(self) -> list[int]:
        """Channels of each level."""
        return [self.width * 2**level for level in range(self.levels)]


class SlicePredictor(Segmenter):
    """Marks vessels slice by slice with a network that halves the slice some times."""

    def __init__(self) -> None:
        self.threshold = 0.5
        self._net: nn.Module | None = None
        self._device = "cpu"

    @property
    @abstractmethod
    def multiple(self) -> int:
        """The sides of what the network takes are multiples of this."""

    def predict(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.bool_]:
        """Marks vessels in every axial slice."""
        if self._net is None:
            raise NotFittedError(f"{self.name} must be fitted before it can predict.")
        pads = [(0, -length % self.multiple) for length in volume.shape[:2]]
        padded = np.pad(volume, [*pads, (0, 0)], constant_values=-1.0)
        slices = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1)[:, None]))
        marked = self._probabilities(self._net, slices)[:, 0].numpy() > self.threshold
        return marked.transpose(1, 2, 0)[: volume.shape[0], : volume.shape[1]]

    @torch.no_grad()
    def _probabilities(self, net: nn.Module, images: Tensor) -> Tensor:
        at_once = max(SLICES_AT_ONCE, SLICES_AT_ONCE * 128**2 // images[0].numel())
        chunks = [
            net(chunk.to(self._device)).sigmoid().cpu() for chunk in torch.split(images, at_once)
        ]
        return torch.cat(chunks)


class SliceSegmenter(SlicePredictor):
    """Learns from patches with a network of its own."""

    params: SliceParams

    def __init__(self, params: Settings) -> None:
        super().__init__()
        if not isinstance(params, SliceParams):
            raise TypeError(f"{self.name} takes SliceParams, got {type(params).__name__}.")
        self.params = params

    @property
    def multiple(self) -> int:
        """The slice is halved ``levels`` - 1 times."""
        return int(2 ** (self.params.levels - 1))

    @abstractmethod
    def network(self) -> nn.Module:
        """A fresh network: ``(n, 1, H, W)`` in [-1, 1] to logits ``(n, 1, H, W)``."""

    def fit(self, patches: Patches, context: TrainContext) -> None:
        """Trains, then chooses on the same patches the threshold with the highest Dice."""
        torch.manual_seed(stream(context.seed, "segmenter weights"))
        rng = torch.Generator().manual_seed(stream(context.seed, "segmenter batches"))
        self._device = context.device
        net = self.network().to(self._device)
        images, masks = torch.from_numpy(patches.images), torch.from_numpy(patches.masks).float()
        self._train(net, images, masks, rng, context)
        self._net = net.eval()
        if self.params.threshold == "chosen":
            self.threshold = best_threshold(self._probabilities(self._net, images), masks)

    def _train(
        self,
        net: nn.Module,
        images: Tensor,
        masks: Tensor,
        rng: torch.Generator,
        context: TrainContext,
    ) -> None:
        p = self.params
        optimiser = torch.optim.Adam(net.parameters(), lr=p.learning_rate)
        schedule = _schedule(optimiser, p)
        for done in range(1, p.iterations + 1):
            chosen = torch.randint(len(images), (p.batch,), generator=rng)
            image, mask = AUGMENTATIONS[p.augmentation](images[chosen], masks[chosen], rng)
            loss = LOSSES[p.loss](net(image.to(self._device)), mask.to(self._device))
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            context.progress(done, p.iterations, {"segmenter_loss": float(loss.detach())})


def _schedule(
    optimiser: torch.optim.Optimizer, params: SliceParams
) -> torch.optim.lr_scheduler.LRScheduler:
    if params.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, params.learning_rate, total_steps=max(4, params.iterations + 1)
    )
