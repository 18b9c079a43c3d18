"""Two ways to compute the clipped sum Σ_u w_u g_u: g_u is a unit's gradient, w_u its weight.

Both sum in double precision, or in blocks that are summed so, and clip by norms with their
rounding added (``shares``): with one unit blank and all else as it is, the sum moves by
C (1 + 2^-9) and a little at most (``dpsgd.ROUNDING``).

``book-keeping`` (Bu et al. 2023, arXiv:2210.00038) runs the critic once forward and once backward
to its layers' outputs; ``layers`` turns what was seen there into norms and sums. ``opacus`` holds
every sample's whole gradient and is there to be compared with.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from benchmark.core.errors import UsageError
from benchmark.privacy.dpsgd.layers import RULES
from benchmark.privacy.dpsgd.shares import Rows, Seen, Share, summed

SLACK = 2.0**-20
"""The share by which a weight is lowered for its own and its norm's rounding to single
precision."""

LARGEST = 2.0**120
"""The largest squared norm with a nonzero weight.

Above it, the weight may be too small for single precision.
"""

Loss = Callable[[Tensor], Tensor]
"""A function from scores ``(n,)`` to losses ``(n,)``, sample by sample."""


class Units(NamedTuple):
    """The units whose gradients are clipped and summed: U real units of k samples, then F fakes.

    A unit's samples lie one after the other, and their losses are averaged. Blank samples keep
    their slots and add nothing. So the arithmetic, its time and the last bits of all other units
    are the same whichever samples are blank.

    Attributes:
        reals: U.
        samples: k.
        present: bool ``(U, k)``, the samples that are not blank.
        fakes: F, each a unit of its own.
        fake_share: The weight of a fake's clipped gradient in the sum; a real unit's is 1.
        clip_norm: C, finite.
    """

    reals: int
    samples: int
    present: Tensor
    fakes: int
    fake_share: float
    clip_norm: float

    def groups(self) -> Iterator[Group]:
        """Yield the groups of units with equally many samples, the real units before the fakes."""
        reals, fakes = self.reals, self.fakes
        if reals and self.samples > 1:
            samples = reals * self.samples
            yield Group(slice(0, samples), (reals, self.samples), 0)
            if fakes:
                yield Group(slice(samples, samples + fakes), (fakes, 1), fakes)
        elif reals + fakes:
            yield Group(slice(0, reals + fakes), (reals + fakes, 1), fakes)

    def means(self, losses: Tensor) -> Tensor:
        """Weight each sample's loss so that the sum is the mean of each unit's losses.

        Args:
            losses: ``(n,)``, the real samples and then the fakes.

        Returns:
            ``(n,)``; 0 for a blank sample.
        """
        counts = self.present.sum(1, keepdim=True).clamp(min=1)
        of_reals = (self.present.to(losses) / counts).flatten()
        return losses * torch.cat([of_reals, losses.new_ones(self.fakes)])

    def weights(self, squares: Tensor, fakes: int) -> Tensor:
        """Compute the clipping weights, share · min(1, C / ‖g_u‖).

        Args:
            squares: ``(U,)``, upper bounds on the squared norms.
            fakes: How many of the last units are fakes, whose share is ``fake_share``.

        Returns:
            ``(U,)``; 0 where the norm is not finite.
        """
        norms = torch.where(squares <= LARGEST, squares, torch.inf).sqrt()
        weights = (1 - SLACK) * self.clip_norm / norms.clamp(min=self.clip_norm)
        weights[len(weights) - fakes :] *= self.fake_share
        return weights


class Group(NamedTuple):
    """Some units with equally many samples.

    Attributes:
        place: The slice of their samples among all.
        shape: ``(U, k)``: U units of k samples each.
        fakes: How many of the last of them are fakes.
    """

    place: slice
    shape: tuple[int, int]
    fakes: int

    def seen(self, one: Seen) -> Seen:
        """Return what a layer saw of these units."""
        return Seen(one.layer, self.of(one.inputs), self.of(one.output_gradients), self.fakes)

    def of(self, values: Tensor) -> Tensor:
        """Return their samples' values, ``(U, k, ...)``."""
        return values[self.place].reshape(*self.shape, *values.shape[1:])


class Engine(Protocol):
    """A function that computes Σ_u share_u · clip(mean gradient of u's losses, C).

    The result is flat, float64, in the order of ``trainable(critic)``. A unit whose gradient is not
    finite counts as zero.
    """

    def __call__(self, critic: nn.Module, loss: Loss, samples: Tensor, units: Units) -> Tensor:
        """Compute the clipped sum over the units of ``samples``, which holds at least one."""


def book_keeping(critic: nn.Module, loss: Loss, samples: Tensor, units: Units) -> Tensor:
    """Compute the clipped sum with one forward pass and one backward pass to the layers' outputs.

    No sample's whole gradient is ever formed (Bu et al. 2023, arXiv:2210.00038).

    Args:
        critic: The network; every layer with parameters has a rule in ``layers``.
        loss: From scores to losses, sample by sample.
        samples: The real samples, then the fakes.
        units: The units of the samples.

    Returns:
        float64, flat, in the order of ``trainable(critic)``.
    """
    with _watching(critic) as passes:
        losses = units.means(loss(scores_of(critic, in_layout(critic, samples))))
    outputs = [output for _, _, output in passes]
    output_gradients = torch.autograd.grad(losses.sum(), outputs, materialize_grads=True)
    seen = [
        Seen(layer, inputs, s)
        for (layer, inputs, _), s in zip(passes, output_gradients, strict=True)
    ]
    sums: dict[int, Tensor] = {}
    for group in units.groups():
        _add(sums, *_clipped([group.seen(one) for one in seen], units, group.fakes))
    return _flat(critic, sums)


def in_layout(net: nn.Module, samples: Tensor) -> Tensor:
    """Convert samples to the memory format that is fastest for a network.

    That is channels last for narrow convolutions on a CPU. A network with instance norm keeps the
    default format.
    """
    normed = any(isinstance(module, nn.InstanceNorm2d) for module in net.modules())
    if samples.ndim != 4 or normed:
        return samples
    return samples.contiguous(memory_format=torch.channels_last)


def opacus(critic: nn.Module, loss: Loss, samples: Tensor, units: Units) -> Tensor:
    """Compute the clipped sum with Opacus's hooks, from every sample's whole gradient.

    It works on a copy in the default memory format, as Opacus's convolutions are wrong for
    channels-last ones. Arguments and result are those of ``book_keeping``.
    """
    from opacus import GradSampleModule

    plain = copy.deepcopy(critic)
    for weight in plain.parameters():
        weight.data = weight.data.contiguous()
    wrapped = GradSampleModule(plain, loss_reduction="sum")
    losses = loss(scores_of(wrapped, samples.contiguous().requires_grad_()))
    torch.autograd.backward(units.means(losses).sum())
    grads = [p.grad_sample for p in trainable(plain)]  # type: ignore[attr-defined]
    rows = torch.cat([g.flatten(1) for g in grads], dim=1)
    total = rows.new_zeros(rows.shape[1], dtype=torch.float64)
    for group in units.groups():
        means = group.of(rows).sum(1)
        weights = units.weights(Rows("all", means).squared_norms(), group.fakes)
        total += summed(weights, means)
    return total


ENGINES: dict[str, Engine] = {"book-keeping": book_keeping, "opacus": opacus}
DEFAULT_ENGINE = "book-keeping"


def trainable(net: nn.Module) -> list[nn.Parameter]:
    """Return the weights that training changes.

    A frozen weight has no gradient, so it gets no noise either.
    """
    return [weight for weight in net.parameters() if weight.requires_grad]


def refuse_unruled(critic: nn.Module) -> None:
    """Refuse a critic with parameters for which book-keeping has no rule.

    Raises:
        UsageError: Naming the layer.
    """
    for module in critic.modules():
        if type(module) not in RULES and next(module.parameters(recurse=False), None) is not None:
            known = ", ".join(sorted(kind.__name__ for kind in RULES))
            raise UsageError(
                f"{type(module).__name__} has no rule in benchmark/privacy/dpsgd/layers.py, "
                "so a critic with it cannot be trained privately by book-keeping; there are rules "
                f"for {known}."
            )


def scores_of(critic: nn.Module, samples: Tensor) -> Tensor:
    """Compute the critic's scores, ``(n,)``.

    Raises:
        ValueError: If the result is not one score for each sample in one axis. ``(n, 1)`` would
            broadcast against losses and leave gradients unclipped.
    """
    scores: Tensor = critic(samples)
    if scores.shape != (len(samples),):
        raise ValueError(
            f"Expected one score for each sample, of shape ({len(samples)},), "
            f"got {tuple(scores.shape)}."
        )
    return scores


Pass = tuple[nn.Module, Tensor, Tensor]


@contextmanager
def _watching(critic: nn.Module) -> Iterator[list[Pass]]:
    """Notes every layer with parameters, its input and its output, while the critic runs."""
    passes: list[Pass] = []
    versions: list[int] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if any(layer is known for known, _, _ in passes):
            raise UsageError(
                f"The critic uses one {type(layer).__name__} twice; book-keeping needs each layer "
                "used once."
            )
        passes.append((layer, inputs[0].detach(), output))
        versions.extend((inputs[0]._version, output._version))

    own = [m for m in critic.modules() if any(w.requires_grad for w in m.parameters(recurse=False))]
    _refuse_tied(own)
    hooks = [module.register_forward_hook(note) for module in own]
    try:
        yield passes
    finally:
        for hook in hooks:
            hook.remove()
    now = [t._version for _, inputs, output in passes for t in (inputs, output)]
    if now != versions:
        raise UsageError(
            "The critic changes a layer's input or output in place; book-keeping needs them as "
            "they were (inplace=False)."
        )


def _refuse_tied(layers: Sequence[nn.Module]) -> None:
    """Each layer's share of a weight is bounded by itself, and their sum would not be."""
    weights = [w for layer in layers for w in layer.parameters(recurse=False) if w.requires_grad]
    if len({id(weight) for weight in weights}) < len(weights):
        raise UsageError(
            "Two layers of the critic share a weight; book-keeping needs each weight in one layer "
            "alone. Give each its own, or take the engine opacus."
        )


def _clipped(
    seen: list[Seen], units: Units, fakes: int
) -> tuple[list[tuple[nn.Module, Share]], Tensor]:
    """Every layer's shares of one group, and the units' weights.

    A unit that is not finite has no weight. Nothing is done for it that is not done for all, since
    how long a step takes must not depend on who was drawn.
    """
    made = [(one.layer, part) for one in seen for part in RULES[type(one.layer)](one)]
    squares = torch.stack([part.squared_norms() for _, part in made]).sum(0)
    return made, units.weights(squares, fakes)


def _add(sums: dict[int, Tensor], shares: list[tuple[nn.Module, Share]], weights: Tensor) -> None:
    """Adds a group's weighted sum to that of its parameters."""
    for layer, share in shares:
        for name, part in share.weighted_sum(weights).items():
            key = id(getattr(layer, name))
            sums[key] = sums[key] + part if key in sums else part


def _flat(critic: nn.Module, sums: dict[int, Tensor]) -> Tensor:
    """In the order of ``trainable(critic)``; zero for what no sample reached."""
    found = ((weight, sums.get(id(weight))) for weight in trainable(critic))
    return torch.cat(
        [
            (torch.zeros_like(w, dtype=torch.float64) if part is None else part).flatten()
            for w, part in found
        ]
    )
