"""Random features of labelled patches, made without data, and the denoising of a noised mean.

A patch is represented by small windows, image and mask together, at three scales. With w, b random,
a feature is the mean over a patch's windows x of cos(w·x + b). So the mean over patches is a kernel
mean embedding of their windows (Rahimi and Recht 2007). The frequencies w are drawn along the
principal axes of simulated windows, whitened, with a standard deviation of w·x between ½ and 2½.
Centre and scale of every feature are those of simulated patches, or of their patients' means, so
they are public. So is S, the covariance of the embeddings of simulated populations. For a released
mean m with noise of deviation s, the denoised mean is

    S (S + s² I)⁻¹ m,

the best linear estimate under the simulator's prior. With much noise it is the simulator's mean, 0.
"""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.core.budget import Unit
from benchmark.core.patches import Patches
from benchmark.privacy.dpsgd.batch import labelled
from benchmark.privacy.mechanisms.release import Vectors
from generators.simulation import tubes

SIDE = 5
"""The side of a window in pixels."""

SCALES = (1, 2, 4)
"""The factors by which a patch is shrunk before its windows are taken."""

SLOWEST, FASTEST = 0.5, 2.5
LEAST = 1e-4
"""The least variance, relative to the largest of a window's."""

PATCHES = 8
"""How many patches are drawn of each simulated population."""

MEASURED, WINDOWS = 512, 20_000
"""How many simulated patches and windows the principal axes are computed from."""

MODEL_ERROR = 0.1
"""The variance added to S in every direction, relative to its mean variance: real populations may
differ from the simulator's."""

CHUNK = 32


class Bank(NamedTuple):
    """The random features at one scale.

    Attributes:
        scale: The factor by which a patch is shrunk.
        weight: w, ``(k, 2, SIDE, SIDE)``.
        phase: b, ``(k,)``.
    """

    scale: int
    weight: Tensor
    phase: Tensor

    def means(self, shown: Tensor) -> Tensor:
        """Compute the mean cosines ``(n, k)`` of patches ``(n, 2, H, W)``."""
        small = F.avg_pool2d(shown, self.scale)
        return torch.cos(F.conv2d(small, self.weight, self.phase)).mean((2, 3))

    def some(self, chosen: Tensor) -> Bank:
        """Return the features with some indices."""
        return Bank(self.scale, self.weight[chosen], self.phase[chosen])


class Embedding:
    """A map from labelled patches to vectors of a norm of typically 1.

    Args:
        frequencies: k, at each scale.
        populations: How many are simulated.
        size: The side of a patch.
        unit: Whose vectors have that norm: patches', or the means of patients'.
        rng: The random generator.
    """

    def __init__(
        self,
        *,
        frequencies: int,
        populations: int,
        size: int,
        unit: Unit,
        rng: np.random.Generator,
    ) -> None:
        theta = np.repeat(tubes.prior(populations, rng), PATCHES, axis=0)
        images, masks = tubes.draw(theta, size, rng)
        shown = _shown(Patches(images=images, masks=masks))
        self._banks = [_bank(shown, scale, frequencies, rng) for scale in scales(size)]
        seen = torch.cat([self._means(part) for part in torch.split(shown, CHUNK)])
        grouped = seen.view(populations, PATCHES, -1)
        units = seen if unit == "patch" else grouped.mean(1)
        self._centre = seen.mean(0)
        self._scale = units.std(0) * math.sqrt(seen.shape[1])
        means = ((grouped - self._centre) / self._scale).mean(1)
        self._covariance = _roomy(torch.cov(means.double().T))

    @property
    def length(self) -> int:
        """d, the length of a vector."""
        return len(self._centre)

    def to(self, device: str) -> None:
        """Move the features to a device, such as that of the fakes."""
        self._banks = [Bank(b.scale, b.weight.to(device), b.phase.to(device)) for b in self._banks]
        self._centre, self._scale = self._centre.to(device), self._scale.to(device)

    def vectors(self, shown: Tensor) -> Tensor:
        """Compute the vectors ``(n, d)`` of patches ``(n, 2, H, W)``, with the mask as -1 to 1.

        The result can be differentiated.
        """
        return (self._means(shown) - self._centre) / self._scale

    def some(self, chosen: Tensor) -> tuple[Embedding, Tensor]:
        """Return an embedding with some of the features at every scale.

        The norms of its vectors are about those of the whole vectors.

        Args:
            chosen: Indices of features, the same at every scale.

        Returns:
            The embedding, and the positions of its numbers in a whole vector.
        """
        k, scales = len(self._banks[0].phase), len(self._banks)
        where = torch.cat([chosen + scale * k for scale in range(scales)])
        part = copy.copy(self)
        part._banks = [bank.some(chosen) for bank in self._banks]
        part._centre = self._centre[where]
        part._scale = self._scale[where] * math.sqrt(len(chosen) / k)
        return part, where

    def features(self, patches: Patches) -> Vectors:
        """Compute the vectors ``(n, d)`` of real patches, each from its own patch alone."""
        with torch.no_grad():
            parts = torch.split(_shown(patches).to(self._centre.device), CHUNK)
            seen = torch.cat([self.vectors(part) for part in parts])
        return np.asarray(seen.double().cpu().numpy())

    def believed(self, mean: Vectors, deviation: float) -> Tensor:
        """Return the denoised mean S (S + s² I)⁻¹ m; m itself where there is no noise.

        Args:
            mean: m, ``(d,)``.
            deviation: s, the noise's standard deviation in each number.
        """
        noisy = self._covariance + deviation**2 * torch.eye(self.length, dtype=torch.float64)
        found: Tensor = self._covariance @ torch.linalg.solve(noisy, torch.from_numpy(mean))
        return found.float()

    def _means(self, shown: Tensor) -> Tensor:
        return torch.cat([bank.means(shown) for bank in self._banks], dim=1)


def scales(size: int) -> tuple[int, ...]:
    """Return the scales at which a patch of a given side has a window."""
    return tuple(scale for scale in SCALES if size // scale >= SIDE)


def _bank(shown: Tensor, scale: int, frequencies: int, rng: np.random.Generator) -> Bank:
    """Frequencies along the whitened axes of simulated windows."""
    windows = _windows(shown, scale, rng)
    variance, axes = np.linalg.eigh(np.cov(windows.T))
    variance = np.maximum(variance, LEAST * variance.max())
    along = rng.standard_normal((frequencies, len(variance)))
    along *= np.exp(rng.uniform(math.log(SLOWEST), math.log(FASTEST), (frequencies, 1)))
    weight = along / np.linalg.norm(along, axis=1, keepdims=True) @ (axes / np.sqrt(variance)).T
    phase = rng.uniform(0, 2 * math.pi, frequencies)
    shape = (frequencies, 2, SIDE, SIDE)
    return Bank(
        scale, torch.from_numpy(weight).float().view(shape), torch.from_numpy(phase).float()
    )


def _windows(shown: Tensor, scale: int, rng: np.random.Generator) -> Vectors:
    """Some windows of some patches ``(n, 2 · SIDE²)``."""
    some = F.unfold(F.avg_pool2d(shown[:: -(-len(shown) // MEASURED)], scale), SIDE)
    windows = some.transpose(1, 2).flatten(0, 1).double().numpy()
    return np.asarray(windows[rng.permutation(len(windows))[:WINDOWS]])


def _shown(patches: Patches) -> Tensor:
    return labelled(patches, np.arange(len(patches)))


def _roomy(covariance: Tensor) -> Tensor:
    room = MODEL_ERROR * covariance.diagonal().mean()
    return covariance + room * torch.eye(len(covariance), dtype=covariance.dtype)
