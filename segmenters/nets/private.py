"""A U-Net that DP-SGD can train, and its training, in which only noised sums read a patch.

Every layer with parameters is an ``nn.Conv2d`` that is used once, so that book-keeping has a rule
for it. There is no normalisation. Over a batch it would mix patients, and over a patch it would
differ from that over a whole slice.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.training import (
    PrivateTraining,
    assign,
    follow,
    refuse_untrainable,
    sampler_of,
    set_rate,
    step_of,
)
from segmenters.nets.training import flips, loss_of_each

BETAS = (0.9, 0.99)
FLIPS = "segmenter flips"


class SmallUnet(nn.Module):
    """A U-Net from images ``(n, 1, H, W)`` to logits ``(n, 1, H, W)``.

    Sides are multiples of 2^(levels - 1). Most of a step's time is spent at the full side, so that
    has two convolutions of few channels. Features from below are narrowed before they are doubled,
    and are added to those beside them.

    Args:
        width: Channels of the first level; each further one has twice as many.
        levels: How many sides there are, each half of the one before.
        vessel_fraction: A public guess of the vessel share of a patch, at which the logits start.
    """

    def __init__(self, *, width: int, levels: int, vessel_fraction: float) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels)]
        self.first = _block(1, width)
        self.down = nn.ModuleList(
            _block(before, after, after) for before, after in itertools.pairwise(widths)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(below, beside, 3, padding=1) for beside, below in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(_block(width, width) for width in widths[:-1])
        self.last = nn.Conv2d(width, 1, 1)
        self._start = math.log(vessel_fraction / (1 - vessel_fraction))

    def initialise(self, rng: torch.Generator) -> None:
        """Draw all weights (He et al. 2015); every patch starts at the vessel fraction."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=rng)
                nn.init.zeros_(_bias(module))
        nn.init.zeros_(self.last.weight)
        nn.init.constant_(_bias(self.last), self._start)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits."""
        sides = [self.first(images)]
        for down in self.down:
            sides.append(down(F.max_pool2d(sides[-1], 2)))
        maps = sides.pop()
        for narrow, up in zip(reversed(self.narrow), reversed(self.up), strict=True):
            doubled = F.interpolate(narrow(maps), scale_factor=2.0, mode="nearest")
            maps = up(F.relu(doubled + sides.pop()))
        out: Tensor = self.last(maps)
        return out


def _block(*widths: int) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None  # noqa: S101  (no layer here is without)
    return layer.bias


class PatchScore(nn.Module):
    """A score for each labelled patch ``(n, 2, H, W)``, mask as ±1: minus its loss, ``(n,)``.

    So a segmenter is trained as a critic is, by raising its scores.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, labelled: Tensor) -> Tensor:
        """Compute each patch's score, from itself alone."""
        return -loss_of_each(self.net(labelled[:, :1]), (labelled[:, 1:] + 1) / 2)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of the training.

    Attributes:
        learning_rate: Adam's, falling to 0 as a cosine.
        averaging: The decay of the running average of the weights, which are kept in the end.
        patches_per_draw: The most patches that a sampled patient brings.
        engine: How a clipped sum is computed.
    """

    learning_rate: float
    averaging: float
    patches_per_draw: int
    engine: str


class SegmenterTraining(PrivateTraining):
    """One fit: a round is one private step, after which the running average is updated.

    Args:
        net: The network, initialised.
        settings: The settings of the training.
        patches: Patients' patches.
        guarantee: What the fit claims; its steps are taken.
        context: Seed, noise and functions of the fit.

    Raises:
        UsageError: If the network cannot be trained privately.
    """

    def __init__(
        self,
        net: nn.Module,
        settings: TrainingSettings,
        patches: Patches,
        guarantee: Guarantee,
        context: FitContext,
    ) -> None:
        each = settings.patches_per_draw
        super().__init__(
            step_of(guarantee, engine=settings.engine, real=torch.neg),  # a score is minus a loss
            sampler_of(patches, guarantee, context, patches_per_draw=each),
            patches,
            guarantee,
            context,
            rounds=guarantee.steps,
            draws=("flips", torch.Generator().manual_seed(stream(context.seed, FLIPS))),
        )
        self.settings = settings
        self.net = net.to(context.device)
        self.critic = PatchScore(self.net)
        self.averaged = copy.deepcopy(self.net)
        self.optimiser = torch.optim.Adam(
            self.critic.parameters(), lr=settings.learning_rate, betas=BETAS
        )
        refuse_untrainable(self.critic, _of_nobody(patches.size).to(context.device))

    def nets(self) -> dict[str, nn.Module]:
        """Return the network and its running average."""
        return {"net": self.net, "averaged": self.averaged}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the network's optimiser."""
        return {"moments": self.optimiser}

    def begin_at(self, begun: int) -> None:
        """Set the learning rate for the rounds after ``begun``."""
        factor = (1 + math.cos(math.pi * begun / self.rounds)) / 2
        set_rate(self.optimiser, self.settings.learning_rate * factor)

    def learn(self, drawn: Batch) -> None:
        """Take a step of the network on flipped patches."""
        images, masks = flips(drawn.real[:, :1], drawn.real[:, 1:], self.rng)
        batch = drawn._replace(real=torch.cat([images, masks], dim=1)).on(self.context.device)
        assign(self.critic, self.step.gradient(self.critic, batch, self.context.noise))
        self.optimiser.step()

    def end_round(self, number: int, useful: int) -> None:
        """Update the running average, lower the learning rate, and report progress."""
        self.begin_at(number)
        follow(self.averaged, self.net, averaging=self.settings.averaging, done=useful)
        self.context.progress(number, self.rounds, {})


def _of_nobody(size: int) -> Tensor:
    """Some labelled patches."""
    return torch.rand(3, 2, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
