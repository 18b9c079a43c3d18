"""Segmenters that learn from patches and mark whole volumes slice by slice.

A plug-in gives the network. Training, threshold and prediction are the same for all of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
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
from benchmark.privacy.arithmetic import BF16, EXACT, arithmetic
from segmenters.nets.training import AUGMENTATIONS, LOSSES, Batches, best_threshold, weights_of

PIXELS_AT_ONCE, ELSEWHERE = {"cpu": 1 << 16}, 1 << 21
"""Pixels that a network is shown at once, by device. On a CPU what it computes from so many stays
in a core's cache; other devices have more to do at once."""

SMALL_IMAGES = 16
"""From so many images at once on torch takes other kernels, with other last bits. So smaller images
are shown twice as many at once."""

LEAST_GAIN = 0.05
"""The least Dice above that of marking everything. A network with less has learnt nothing."""

LEAST_WIDTH = 8
"""Channels from which on a convolution has the same last bits whatever a slice's size. With fewer,
torch takes other kernels, and a part of a slice may differ from the whole by their rounding."""

MOST_ODDS = 4.0
"""Log odds beyond which the margin is not larger."""


@dataclass(frozen=True, kw_only=True)
class SliceParams(Settings):
    """Settings of the training, and of a network that halves the slice ``levels`` - 1 times.

    ``brain_share`` is the published share of a brain that is vessel, to which the choice of the
    threshold weights patches. ``batch_share`` is the share of a batch that has a vessel in the
    middle. With 0 for either, patches are taken as they come. ``attempts`` is how often the
    training is repeated before a network that learnt nothing is called a failure; with 0 this is
    not checked. ``arithmetic`` is that of the network's steps and predictions.
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
    arithmetic: Annotated[str, CategoricalDistribution([EXACT, BF16]), Later()] = EXACT

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
        self._arithmetic = EXACT

    @property
    @abstractmethod
    def multiple(self) -> int:
        """The sides of the network's input are multiples of this."""

    def predict(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.bool_]:
        """Mark vessels in every axial slice."""
        marks = np.empty(_slices_first(volume).shape, np.bool_)
        for some, p in self._probabilities_in(volume):
            marks[some] = p > self.threshold
        return marks.transpose(1, 2, 0)

    def margin(
        self, volume: NDArray[np.float32], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.float32]:
        """Return how far the log odds are above those of the threshold.

        The difference is divided by ``MOST_ODDS`` and cut off to [-1, 1].
        """
        margins = np.empty(_slices_first(volume).shape, np.float32)
        for some, found in self._probabilities_in(volume):
            p = np.clip(found, 1e-6, 1 - 1e-6)
            above = np.log(p / (1 - p)) - np.log(self.threshold / (1 - self.threshold))
            margins[some] = np.clip(above / MOST_ODDS, -1, 1)
        return margins.transpose(1, 2, 0)

    def _probabilities_in(
        self, volume: NDArray[np.float32]
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Some axial slices at a time, ``(n, X, Y)``: memory does not grow with their number."""
        if self._net is None:
            raise NotFittedError(f"{self.name} must be fitted before it can predict.")
        slices = _slices_first(volume)
        height, width = slices.shape[1:]
        sides = height + -height % self.multiple, width + -width % self.multiple
        at_once = _images_at_once(sides[0] * sides[1], self._device)
        for first in range(0, len(slices), at_once):
            some = slice(first, min(first + at_once, len(slices)))
            padded = torch.full((some.stop - first, 1, *sides), -1.0)
            padded[:, 0, :height, :width] = torch.from_numpy(slices[some])
            yield some, self._probabilities(self._net, padded)[:, 0, :height, :width].numpy()

    @torch.inference_mode()
    def _probabilities(self, net: nn.Module, images: Tensor) -> Tensor:
        chunks = torch.split(images, _images_at_once(images[0].numel(), self._device))
        return torch.cat([self._logits(net, chunk).sigmoid().cpu() for chunk in chunks])

    def _logits(self, net: nn.Module, images: Tensor) -> Tensor:
        with arithmetic(self._arithmetic, self._device):
            logits: Tensor = net(images.to(self._device))
        return logits.float()


def _slices_first(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    return volume.transpose(2, 0, 1)


def _images_at_once(pixels: int, device: str) -> int:
    """How many images of so many pixels a network is shown at once."""
    most = PIXELS_AT_ONCE.get(torch.device(device).type, ELSEWHERE)
    many = 2 * most // pixels
    return many if many >= SMALL_IMAGES else max(1, most // pixels)


class SliceSegmenter(SlicePredictor):
    """Learns from patches with a network of its own."""

    params: SliceParams

    def __init__(self, params: Settings) -> None:
        super().__init__()
        if not isinstance(params, SliceParams):
            raise TypeError(f"{self.name} takes SliceParams, got {type(params).__name__}.")
        self.params = params
        self._arithmetic = params.arithmetic

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
            loss = LOSSES[p.loss](self._logits(net, image), mask.to(self._device))
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
