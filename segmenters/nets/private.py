"""A U-Net that DP-SGD can train, and its training: nothing but noised sums reads a patch.

Every layer with parameters is an ``nn.Conv2d`` that is used once, so that book-keeping has a rule
for it. There is no normalisation: over a batch it would mix patients, and over a patch it would be
another thing on a whole slice.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.workings import State, Tally
from benchmark.privacy.dpsgd import Batch, Step, refuse_mixing
from benchmark.privacy.engines import refuse_unruled
from benchmark.privacy.sampling import BLANK, PoissonSampler
from segmenters.nets.training import flips, loss_of_each

BETAS = (0.9, 0.99)
STEP, MOMENTS = "step", ("exp_avg", "exp_avg_sq")


class SmallUnet(nn.Module):
    """Images ``(n, 1, H, W)`` to logits ``(n, 1, H, W)``; sides are multiples of 2^(levels - 1).

    Most of a step's time goes to the whole side, so that it has two convolutions of few channels:
    what comes from below is narrowed before it is doubled, and added to what lies beside it.

    Args:
        width: Channels of the first level; each further one has twice as many.
        levels: How many sides there are, each half of the one before.
        vessel_fraction: A public guess of how much of a patch is vessel, where the logits start.
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
        """Draws all weights (He et al. 2015); every patch starts at the vessel fraction."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=rng)
                nn.init.zeros_(_bias(module))
        nn.init.zeros_(self.last.weight)
        nn.init.constant_(_bias(self.last), self._start)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
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
    """Labelled patches ``(n, 2, H, W)``, mask as ±1, to minus their losses ``(n,)``.

    So a segmenter trains as a critic does, by scores whose negative is lowered.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, labelled: Tensor) -> Tensor:
        """Each patch's score, from itself alone."""
        return -loss_of_each(self.net(labelled[:, :1]), (labelled[:, 1:] + 1) / 2)


@dataclass(frozen=True, kw_only=True)
class How:
    """How the network is trained.

    Attributes:
        learning_rate: Adam's, falling to 0 as a cosine.
        averaging: Of the weights that are kept in the end, over steps.
        patches_per_draw: The most patches that a sampled patient brings.
        engine: How a clipped sum is computed.
    """

    learning_rate: float
    averaging: float
    patches_per_draw: int
    engine: str


class Training:
    """One fit: network, optimiser, draws, and the running average of the weights.

    Args:
        net: The network, initialised.
        how: How it is trained.
        patches: Patients' patches.
        guarantee: What the fit may cost; its steps are taken.
        context: Noise, checkpoint, listeners.
    """

    def __init__(
        self,
        net: nn.Module,
        how: How,
        patches: Patches,
        guarantee: Guarantee,
        context: FitContext,
    ) -> None:
        self.how, self.patches = how, patches
        self.guarantee, self.context = guarantee, context
        self.net = net.to(context.device)
        self.critic: nn.Module = PatchScore(self.net)
        self.averaged = copy.deepcopy(net)
        self.optimiser = torch.optim.Adam(
            self.critic.parameters(), lr=how.learning_rate, betas=BETAS
        )
        self.rng = torch.Generator().manual_seed(stream(context.seed, "segmenter flips"))
        refuse_mixing(self.critic, _of_nobody(patches.size).to(context.device))
        refuse_unruled(self.critic)
        self.private_steps = guarantee.steps
        self.step = step_of(guarantee, how.engine)
        self.sampler = PoissonSampler(
            patches,
            unit=guarantee.unit,
            rate=guarantee.sampling_rate,
            patches_per_draw=how.patches_per_draw,
            noise=context.noise,
            seed=stream(context.seed, "patches within a patient"),
        )

    def run(self) -> tuple[nn.Module, Tally]:
        """Takes the planned steps, in strides; returns the averaged network."""
        self.context.inspect(self)
        total = self.private_steps
        tally = self._resumed() or Tally(total=total)
        while tally.begun < tally.total:
            self._keep(tally)
            for begun in range(tally.begun, tally.until):
                self._step(begun, begun + 1 - tally.lost)
                self.context.progress(begun + 1, total, {})
            tally = tally.done()
        self._keep(tally)
        return self.averaged.eval(), tally

    def _step(self, begun: int, useful: int) -> None:
        """One private step; ``begun`` counts lost ones too."""
        indices, owners = self.sampler.draw()
        images, masks = flips(*labelled(self.patches, indices), self.rng)
        batch = Batch(
            torch.cat([images, 2 * masks - 1], dim=1),
            torch.from_numpy(owners),
            present=torch.from_numpy(indices != BLANK),
        ).on(self.context.device)
        _assign(self.critic, self.step.gradient(self.critic, batch, self.context.noise))
        played = begun / self.private_steps
        for group in self.optimiser.param_groups:
            group["lr"] = self.how.learning_rate * (1 + math.cos(math.pi * played)) / 2
        self.optimiser.step()
        self._average(useful)

    @torch.no_grad()
    def _average(self, done: int) -> None:
        decay = min(self.how.averaging, done / (done + 10))
        nets = self.averaged.parameters(), self.net.parameters()
        for mean, now in zip(*nets, strict=True):
            mean.lerp_(now, 1 - decay)

    def _keep(self, tally: Tally) -> None:
        if self.context.checkpoint is not None:
            facts = {"noise": self.context.noise.state(), "draws": self.sampler.draws}
            self.context.checkpoint.save(State(tally, self._tensors(), facts))

    def _tensors(self) -> dict[str, Tensor]:
        """All that training changes."""
        found = {f"net.{name}": t for name, t in self.net.state_dict().items()}
        found |= {f"averaged.{name}": t for name, t in self.averaged.state_dict().items()}
        for i, weight in enumerate(self.critic.parameters()):
            moments = self.optimiser.state[weight].items()
            found |= {f"moments.{i}.{name}": t for name, t in moments}
        return {**found, "flips": self.rng.get_state()}

    def _resumed(self) -> Tally | None:
        """Goes back to the checkpoint, if there is one."""
        checkpoint = self.context.checkpoint
        if checkpoint is None or checkpoint.state is None:
            return None
        kept = checkpoint.state
        self._load(kept)
        exact = kept.facts["noise"] is not None
        if exact:
            self.context.noise.restore(kept.facts["noise"])
        return kept.tally.resumed(exact=exact, counted=checkpoint.counted())

    def _load(self, kept: State) -> None:
        tensors = kept.tensors
        for start, net in (("net.", self.net), ("averaged.", self.averaged)):
            net.load_state_dict(
                {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
            )
        for i, weight in enumerate(self.critic.parameters()):
            start = f"moments.{i}."
            moments = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
            if moments:
                self.optimiser.state[weight] = {
                    name: t if name == STEP else t.to(weight.device) for name, t in moments.items()
                }
        self.rng.set_state(tensors["flips"])
        self.sampler.draws = kept.facts["draws"]


def _of_nobody(size: int) -> Tensor:
    """Some labelled patches."""
    return torch.rand(3, 2, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def step_of(guarantee: Guarantee, engine: str) -> Step:
    """The gradient rule that a guarantee asks for; a labelled patch's loss is minus its score."""
    return Step(
        real_loss=torch.neg,
        expected_units=guarantee.sampling_rate * guarantee.units,
        clip_norm=guarantee.clip_norm,
        noise_multiplier=guarantee.noise_multiplier,
        engine=engine,
    )


def labelled(patches: Patches, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Some images and their masks, zeros for blank ones; the others stay where they are."""
    there = indices != BLANK
    shape = (len(indices), *patches.images.shape[1:])
    images, masks = torch.zeros(shape), torch.zeros(shape)
    images[there] = torch.from_numpy(patches.images[indices[there]])
    masks[there] = torch.from_numpy(patches.masks[indices[there]]).float()
    return images, masks


def _assign(net: nn.Module, gradient: Tensor) -> None:
    start = 0
    for weight in net.parameters():
        weight.grad = gradient[start : start + weight.numel()].view_as(weight)
        start += weight.numel()
