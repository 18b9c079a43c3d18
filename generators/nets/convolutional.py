"""The generator and critic networks of the WGANs: those of Kossen et al. (2022), at any size.

The generator doubles a small square ``levels`` times, and the critic halves the patch as often.
Between them a labelled patch has two channels: the image, and the mask as -1/1.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.privacy.dpsgd.engines import trainable
from generators.nets.drawing import Drawer

INITIAL_STD = 0.05
MOST_NOISE = 0.2
FEW_ROWS = 32
"""A matrix with fewer rows or columns has its singular values at once."""

MARGIN = 2.0**-10
RARITY, SHARPNESS = 2.0, 4.0  # of a vessel pixel: in standard deviations of its map, and per one


class PatchGenerator(Drawer):
    """A network that maps latent vectors to labelled patches.

    Args:
        latent: Length of the latent vector.
        size: Side of a patch; divisible by ``2 ** levels``.
        levels: How often the side doubles.
        width: Channels of the last hidden layer; each layer before has twice as many.
        upsampling: ``transposed`` (the paper's) or ``nearest`` with a convolution behind it.
        head: ``plain`` (the paper's) or ``compositional``.
    """

    def __init__(
        self, *, latent: int, size: int, levels: int, width: int, upsampling: str, head: str
    ) -> None:
        super().__init__()
        self.latent, self.size = latent, size
        widths = [width * 2**level for level in reversed(range(levels))]
        base = size // 2**levels
        layers: list[nn.Module] = [_first(latent, widths[0], base), *_normed(widths[0])]
        for before, after in itertools.pairwise(widths):
            layers += [_double(before, after, upsampling), *_normed(after)]
        self.body = nn.Sequential(*layers)
        last = _double(width, CompositionalHead.MAPS if head == "compositional" else 2, upsampling)
        self.head = CompositionalHead(last) if head == "compositional" else PlainHead(last)

    def latents(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw latent vectors ``(n, latent, 1, 1)`` and pixel noise ``(n, 1, H, W)``."""
        return (
            torch.randn(n, self.latent, 1, 1, generator=rng, device=rng.device),
            torch.randn(n, 1, self.size, self.size, generator=rng, device=rng.device),
        )

    def forward(self, latent: Tensor, grain: Tensor) -> Tensor:
        """Compute labelled patches ``(n, 2, H, W)`` in [-1, 1]."""
        out: Tensor = self.head(self.body(latent), grain)
        return out


class PlainHead(nn.Module):
    """A head that makes image and mask side by side with one layer."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.last = last

    def forward(self, features: Tensor, grain: Tensor) -> Tensor:
        """Map features ``(n, c, H/2, W/2)`` to ``(n, 2, H, W)``; the grain is not used."""
        return torch.tanh(self.last(features))


class CompositionalHead(nn.Module):
    """A head in which the mask makes the vessels of the image.

    image = background + softplus(contrast) · mask + amplitude · noise. So image and mask agree by
    construction. The mask is where a standardised map exceeds a learned rarity, so every patch
    keeps a few vessel pixels. Under noised gradients, a free mask soon becomes empty and never
    recovers.
    """

    MAPS = 5

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.last = last

    def forward(self, features: Tensor, grain: Tensor) -> Tensor:
        """Map features ``(n, c, H/2, W/2)`` to ``(n, 2, H, W)``."""
        background, contrast, field, rarity, amplitude = self.last(features).chunk(5, dim=1)
        level = RARITY + torch.tanh(rarity.mean((2, 3), keepdim=True))
        vessel = torch.sigmoid(SHARPNESS * (F.instance_norm(field) - level))
        noise = MOST_NOISE * torch.sigmoid(amplitude - 1) * grain
        image = background + F.softplus(contrast) * vessel + noise
        return torch.cat([torch.tanh(image), 2 * vessel - 1], dim=1)


class NearestDoubling(nn.Conv2d):
    """Nearest upsampling, reflected padding and a 3×3 convolution, computed at the smaller size.

    Of the nine pixels under the kernel, several are copies of one. A row of weights (a, b, c) meets
    the smaller map as (a, b + c) at even rows and as (a + b, c) at odd ones, and columns likewise.
    Reflecting the doubled map repeats the smaller one's border.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(n, before, H, W)`` to ``(n, after, 2H, 2W)``."""
        kernels = [k for rows in _folded(self.weight, 2) for k in _folded(rows, 3)]
        padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
        return F.pixel_shuffle(F.conv2d(padded, torch.stack(kernels, 1).flatten(0, 1)), 2)


class PatchCritic(nn.Module):
    """A network that scores labelled patches ``(n, 2, H, W)``, each by itself alone.

    Args:
        levels: How often the side is halved.
        width: Channels of the first layer; each further one has twice as many.
        norm: ``instance`` (the paper's, without parameters) or ``none``.
        padding: 2, the paper's, or 1, which halves an even side exactly.
    """

    def __init__(self, *, levels: int, width: int, norm: str, padding: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 2
        for level in range(levels):
            wider = width * 2**level
            layers.append(nn.Conv2d(channels, wider, 4, 2, padding, bias=norm == "none"))
            layers += [nn.InstanceNorm2d(wider)] if norm == "instance" else []
            layers.append(nn.LeakyReLU(0.2))
            channels = wider
        self.body = nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, 2, 1, bias=False))

    def freeze_but(self, last: int) -> None:
        """Freeze all convolutions but the last ``last`` ones."""
        convolutions = [layer for layer in self.body if isinstance(layer, nn.Conv2d)]
        for layer in convolutions[: max(0, len(convolutions) - last)]:
            layer.requires_grad_(False)

    def forward(self, patches: Tensor) -> Tensor:
        """Compute scores ``(n,)``, averaged over the positions that the last layer leaves."""
        out: Tensor = self.body(patches).mean((1, 2, 3))
        return out


def initialise(net: nn.Module, rng: torch.Generator) -> None:
    """Draw every convolution's weights from N(0, 0.05²), as the paper does; biases are zero."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, INITIAL_STD, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def bound_weights(critic: nn.Module, bound: float) -> None:
    """Clip every trained weight to ±bound (Arjovsky et al. 2017, Algorithm 1)."""
    for weight in trainable(critic):
        weight.clamp_(-bound, bound)


@torch.no_grad()
def project_spectrally(critic: nn.Module, bound: float) -> None:
    """Scale every layer whose spectral norm is above ``bound`` down to it.

    A layer's matrix is ``(out, in·k·k)``, and its singular values are exact. They are not computed
    where a cheap bound shows that nothing would be scaled. Only the private weights are used, so
    this costs no privacy.
    """
    for weight in trainable(critic):
        if weight.ndim > 1 and not _is_surely_below(weight.flatten(1), bound):
            norm = torch.linalg.matrix_norm(weight.flatten(1), 2)
            weight.mul_(bound / norm.clamp(min=bound))


def _is_surely_below(matrix: Tensor, bound: float) -> bool:
    """Whether (Σ_i s_i^32)^(1/32), which is at least the largest singular value, is below a bound.

    Four products of the smaller Gram matrix cost a fifth of the singular values. In double
    precision their rounding is far below the margin.
    """
    if min(matrix.shape) < FEW_ROWS or matrix.device.type != "cpu":
        return False
    gram = (matrix if len(matrix) <= matrix.shape[1] else matrix.mT).double()
    for _ in range(4):
        gram = gram @ gram.mT
    most = float(torch.linalg.vector_norm(gram)) ** (1 / 16)
    return bool(most < (1 - MARGIN) * bound)


def _first(latent: int, channels: int, base: int) -> nn.Module:
    """The first square: 1x1 to 3x3 as in the paper, or to any other base at once."""
    if base == 3:
        return nn.ConvTranspose2d(latent, channels, 4, 2, 1, output_padding=1, bias=False)
    return nn.ConvTranspose2d(latent, channels, base, bias=False)


def _double(before: int, after: int, upsampling: str) -> nn.Module:
    if upsampling == "transposed":
        return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
    return NearestDoubling(before, after)


def _folded(weight: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """What three weights along an axis are to the smaller map: at even and at odd places."""
    first, middle, last = weight.unbind(axis)
    nothing = torch.zeros_like(first)
    even, odd = [first, middle + last, nothing], [nothing, first + middle, last]
    return torch.stack(even, axis), torch.stack(odd, axis)


def _normed(channels: int) -> list[nn.Module]:
    return [nn.GroupNorm(min(8, channels), channels), nn.ReLU()]
