"""Judges: a small segmenter for each candidate population, to find which teaches the better one.

A pixel is represented by a fixed bank of filters: its brightness, Gaussian means, gradients and
both principal curvatures at a few scales. A perceptron of one hidden layer decides whether it is
vessel. It learns from simulated patches of one population alone, so from no data, and is trained in
a second or less. On patients it is scored by Dice.

Reference: multi-scale derivatives as in Frangi et al. (1998), doi 10.1007/BFb0056195; Dice loss as
in Milletari et al. (2016), arXiv:1606.04797.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from benchmark.core.patches import Patches
from benchmark.core.published import VESSEL_SHARE
from generators.simulation.tubes import CENTRED

Array = NDArray[np.float32]

MEANS = (1.0, 2.0, 4.0)
SLOPES = (1.0, 2.0)
CURVATURES = (1.0, 1.7, 3.0)
FILTERS = 1 + len(MEANS) + len(SLOPES) + 2 * len(CURVATURES)
"""The number of filter responses of a pixel; the scales above are in pixels."""

RATE = 2e-2
BATCH = 16
SMOOTH = 1.0
"""Pixels added to both sides of Dice, so that a patch without vessels and marks counts as right."""


class Judges(NamedTuple):
    """The perceptrons of K candidates.

    Attributes:
        first: ``(K, FILTERS, H)``, with the standardisation included.
        bias: ``(K, H)``.
        second: ``(K, H)``.
        threshold: ``(K,)``: a pixel whose output exceeds it is vessel.
    """

    first: Array
    bias: Array
    second: Array
    threshold: Array

    @property
    def candidates(self) -> int:
        """K, the number of candidates."""
        return len(self.first)

    def overlaps(self, patches: Patches) -> NDArray[np.float64]:
        """Compute the parts of Dice for every patch and candidate, as shares of a patch.

        Each patch is processed alone, so that no bit of its result depends on others. Patches
        around a vessel are weighted as rarely as a brain has them, so that false marks count as
        much as in a volume.

        Returns:
            ``(n, 2 K)``: first twice the marked vessel pixels, then marked and vessel pixels
            together.
        """
        found = [
            self._overlap(image, mask[0] > 0)
            for image, mask in zip(patches.images, patches.masks, strict=True)
        ]
        rarer = VESSEL_SHARE / CENTRED / ((1 - VESSEL_SHARE) / (1 - CENTRED))
        weights = np.where(patches.centred, rarer, 1.0)
        return weights[:, None] * np.asarray(found).reshape(len(patches), 2 * self.candidates)

    def _overlap(self, image: Array, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        marked = self._marked(filtered(image)[0])
        vessels = mask.ravel()
        both, pixels = marked[vessels].sum(0), marked.sum(0) + vessels.sum()
        return (np.concatenate([2 * both, pixels]) + SMOOTH) / vessels.size

    def _marked(self, seen: Array) -> NDArray[np.bool_]:
        """What every candidate marks of pixels ``(H, W, FILTERS)``: ``(H W, K)``."""
        count, filters, hidden = self.first.shape
        weights = self.first.transpose(1, 0, 2).reshape(filters, count * hidden)
        active = np.maximum(seen.reshape(-1, filters) @ weights + self.bias.ravel(), 0)
        sums = np.einsum("pkh,kh->pk", active.reshape(-1, count, hidden), self.second)
        return np.asarray(sums > self.threshold)


def dice(overlaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute Dice for each candidate ``(m, K)`` from units' mean overlaps ``(m, 2 K)``.

    It is 0 where there are neither vessels nor marks.
    """
    both, pixels = np.split(overlaps, 2, axis=1)
    return np.divide(both, pixels, out=np.zeros_like(both), where=pixels > 0)


def filtered(images: Array) -> Array:
    """Apply the bank of filters to images ``(n, H, W)``, giving ``(n, H, W, FILTERS)``."""
    seen = [images, *(_blurred(images, scale) for scale in MEANS)]
    seen += [_slope(images, scale) for scale in SLOPES]
    for scale in CURVATURES:
        seen += _curvatures(images, scale)
    return np.stack(seen, axis=-1)


def learnt(
    images: Array, masks: NDArray[np.uint8], *, hidden: int, steps: int, seed: int
) -> Judges:
    """Train one judge with BCE and Dice loss together.

    Args:
        images: ``(n, 1, H, W)``.
        masks: Their masks.
        hidden: Its hidden units.
        steps: The training steps.
        seed: Seeds weights and batches.
    """
    seen = torch.from_numpy(filtered(images[:, 0]))
    centre, scale = seen.mean((0, 1, 2)), seen.std((0, 1, 2)) + 1e-6
    seen, truth = (seen - centre) / scale, torch.from_numpy(masks[:, 0]).float()
    rng = torch.Generator().manual_seed(seed)
    net = _perceptron(hidden, rng)
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(steps):
        drawn = torch.randint(len(seen), (BATCH,), generator=rng)
        loss = _loss(net(seen[drawn])[..., 0], truth[drawn])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return _folded(net, centre, scale)


def together(judges: list[Judges]) -> Judges:
    """Combine several judges into one."""
    return Judges(*(np.concatenate(parts) for parts in zip(*judges, strict=True)))


def _perceptron(hidden: int, rng: torch.Generator) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(FILTERS, hidden), nn.ReLU(), nn.Linear(hidden, 1))
    with torch.no_grad():
        for weight in net.parameters():
            fan = FILTERS if weight.shape[-1] == FILTERS else hidden
            weight.copy_(torch.randn(weight.shape, generator=rng) * (weight.dim() - 1) / fan**0.5)
    return net


def _loss(logits: Tensor, truth: Tensor) -> Tensor:
    share = logits.sigmoid()
    overlap = (2 * (share * truth).sum() + SMOOTH) / (share.sum() + truth.sum() + SMOOTH)
    return nn.functional.binary_cross_entropy_with_logits(logits, truth) + 1 - overlap


@torch.no_grad()
def _folded(net: nn.Sequential, centre: Tensor, scale: Tensor) -> Judges:
    """The judge of pixels as they are seen, before they are standardised."""
    first, bias, second, last = (p.double() for p in net.parameters())
    first = first / scale
    bias = bias - first @ centre.double()
    parts = (first.T, bias, second[0], -last[0])
    return Judges(*(part[None].float().contiguous().numpy() for part in parts))


def _slope(images: Array, scale: float) -> Array:
    """The gradient's length at a scale."""
    down, right = _blurred(images, scale, 1, 0), _blurred(images, scale, 0, 1)
    return np.asarray(np.float32(scale) * np.hypot(down, right), np.float32)


def _curvatures(images: Array, scale: float) -> list[Array]:
    """The principal curvatures at a scale, the lower one first."""
    down, right = _blurred(images, scale, 2, 0), _blurred(images, scale, 0, 2)
    mean, half = (down + right) / 2, (down - right) / 2
    root = np.hypot(half, _blurred(images, scale, 1, 1))
    return [np.asarray(scale**2 * edge, np.float32) for edge in (mean - root, mean + root)]


def _blurred(images: Array, scale: float, down: int = 0, right: int = 0) -> Array:
    """A Gaussian's mean, or derivative, within each image."""
    found = gaussian_filter(images, (0, scale, scale), order=(0, down, right), mode="nearest")
    return np.asarray(found, np.float32)
