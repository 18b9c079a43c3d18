"""Segmenters that learn from patches and mark whole volumes slice by slice.

A plug-in gives the network. Training, threshold and prediction are the same for all of them.
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

from benchmark.core.errors import NotFittedError, NotLearntError
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.segmenter import Segmenter, TrainContext
from benchmark.core.settings import Later, Settings
from segmenters.nets.training import AUGMENTATIONS, LOSSES, Batches, best_threshold, weights_of

SLICES_AT_ONCE = 8
LEAST_GAIN = 0.05
"""The least Dice above that of marking everything. A network with less has learnt nothing."""

MOST_ODDS = 4.0
"""Log odds beyond which the margin is not larger."""


@dataclass(frozen=True, kw_only=True)
class SliceParams(Settings):
    """Settings of the training, and of a network that halves the slice ``levels`` - 1 times.

    ``brain_share`` is the published share of a brain that is vessel, to which the choice of the
    threshold weights patches. ``batch_share`` is the share of a batch that has a vessel in the
    middle. With 0 for either, patches are taken as they come. ``attempts`` is how often the
    training is repeated before a network that learnt nothing is called a failure; with 0 this is
    not checked.
    """

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
    brain_share: Annotated[float, FloatDistribution(0.0, 0.5), Later()] = 0.0
    batch_share: Annotated[float, FloatDistribution(0.0, 0.9), Later()] = 0.0
    attempts: Annotated[int, IntDistribution(0, 5), Later()] = 0

    @property
    def widths(self) -> list[int]:
        """Channels of each level."""
        return [self.width * 2**level for level in range(self.levels)]


class SlicePredictor(Segmenter):
    """Marks vessels slice by slice with a network that halves the slice several times."""

    def __init__(self) -> None:
        self.threshold = 0.5
        self._net: nn.Module | None = None
        self._device = "cpu"

    @property
    @abstractmethod
    def multiple(self) -> int:
        """The sides of the network's input are multiples of this."""

    def predict(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.bool_]:
        """Mark vessels in every axial slice."""
        marked = self._probabilities_in(volume) > self.threshold
        return np.asarray(marked)

    def margin(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.float32]:
        """Return how far the log odds are above those of the threshold.

        The difference is divided by ``MOST_ODDS`` and cut off to [-1, 1].
        """
        p = np.clip(self._probabilities_in(volume), 1e-6, 1 - 1e-6)
        above = np.log(p / (1 - p)) - np.log(self.threshold / (1 - self.threshold))
        return np.asarray(np.clip(above / MOST_ODDS, -1, 1), np.float32)

    def _probabilities_in(self, volume: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._net is None:
            raise NotFittedError(f"{self.name} must be fitted before it can predict.")
        pads = [(0, -length % self.multiple) for length in volume.shape[:2]]
        padded = np.pad(volume, [*pads, (0, 0)], constant_values=-1.0)
        slices = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1)[:, None]))
        found = self._probabilities(self._net, slices)[:, 0].numpy()
        return np.asarray(found.transpose(1, 2, 0)[: volume.shape[0], : volume.shape[1]])

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
        """2^(levels - 1), because the slice is halved ``levels`` - 1 times."""
        return int(2 ** (self.params.levels - 1))

    @abstractmethod
    def network(self) -> nn.Module:
        """Make a fresh network: ``(n, 1, H, W)`` in [-1, 1] to logits ``(n, 1, H, W)``."""

    def fit(self, patches: Patches, context: TrainContext) -> None:
        """Train, then choose on the same patches the threshold with the highest Dice.

        Raises:
            NotLearntError: If after all ``attempts`` it is no better than marking all or nothing.
        """
        self._device = context.device
        for attempt in range(self.params.attempts + 1):
            if self._learn(patches, context, attempt):
                return
        raise NotLearntError(
            f"{self.name} did not learn in {self.params.attempts + 1} trainings: on its own "
            "patches it is no better than marking all or nothing, so that it is no judge of them."
        )

    def _learn(self, patches: Patches, context: TrainContext, attempt: int) -> bool:
        """Trains once; whether anything was learnt, if that is asked."""
        again = f" {attempt}" if attempt else ""
        torch.manual_seed(stream(context.seed, f"segmenter weights{again}"))
        rng = torch.Generator().manual_seed(stream(context.seed, f"segmenter batches{again}"))
        net = _for_convolutions(self.network().to(self._device))
        draws = Batches(patches, self.params.batch, self.params.batch_share, rng)
        self._train(net, draws, context)
        self._net = net.eval()
        if self.params.threshold == "half" and not self.params.attempts:
            return True
        images, masks = torch.from_numpy(patches.images), torch.from_numpy(patches.masks).float()
        weights = weights_of(patches, self.params.brain_share)
        found = best_threshold(self._probabilities(self._net, images), masks, weights)
        if self.params.threshold == "chosen":
            self.threshold = found.threshold
        return not self.params.attempts or found.dice > found.constant + LEAST_GAIN

    def _train(self, net: nn.Module, draws: Batches, context: TrainContext) -> None:
        p, rng = self.params, draws.rng
        optimiser = torch.optim.Adam(net.parameters(), lr=p.learning_rate)
        schedule = _schedule(optimiser, p)
        for done in range(1, p.iterations + 1):
            image, mask = AUGMENTATIONS[p.augmentation](*draws.next(), rng)
            loss = LOSSES[p.loss](net(image.to(self._device)), mask.to(self._device))
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            context.progress(done, p.iterations, {"segmenter_loss": float(loss.detach())})


def _for_convolutions(net: nn.Module) -> nn.Module:
    """The same network, its kernels laid out channels last: faster by a third on a CPU."""
    for weight in net.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return net


def _schedule(
    optimiser: torch.optim.Optimizer, params: SliceParams
) -> torch.optim.lr_scheduler.LRScheduler:
    if params.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, params.learning_rate, total_steps=max(4, params.iterations + 1)
    )
