"""Clipped sums: two ways to Σ_u w_u g_u, where g_u is a unit's gradient and w_u clips it.

``book-keeping`` (Bu et al. 2023, arXiv:2210.00038) runs the critic once forward and once backward
to its layers' outputs; ``layers`` turns what was seen there into norms and sums. ``opacus`` holds
every sample's whole gradient and is there to be compared with.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from benchmark.core.errors import UsageError
from benchmark.privacy.layers import RULES
from benchmark.privacy.shares import Seen, Share

Loss = Callable[[Tensor], Tensor]
"""Scores ``(n,)`` to losses ``(n,)``, sample by sample."""


class Units(NamedTuple):
    """Whose gradients are averaged, clipped and summed.

    Attributes:
        of_sample: int64 ``(n,)`` in [0, U), the unit that each sample belongs to.
        share: ``(U,)``, the weight of each unit's clipped gradient in the sum.
        clip_norm: C, finite.
    """

    of_sample: Tensor
    share: Tensor
    clip_norm: float

    def weights(self, norms: Tensor) -> Tensor:
        """w_u = share_u · min(1, C / ‖g_u‖)."""
        return self.share * self.clip_norm / norms.clamp(min=self.clip_norm)


class Engine(Protocol):
    """Σ_u share_u · clip(mean gradient of u's losses, C), flat in the order of ``trained(critic)``.

    A unit whose gradient is not finite counts as zero.
    """

    def __call__(self, critic: nn.Module, loss: Loss, samples: Tensor, units: Units) -> Tensor:
        """The sum over the units of ``samples``, of which there is at least one."""


def book_keeping(critic: nn.Module, loss: Loss, samples: Tensor, units: Units) -> Tensor:
    """One forward, one backward to the layers' outputs; no sample's gradient is ever whole."""
    with _watching(critic) as passes:
        losses = loss(scores_of(critic, in_layout(critic, samples)))
    outputs = [output for _, _, output in passes]
    slopes = torch.autograd.grad(losses.sum(), outputs, materialize_grads=True)
    seen = [Seen(layer, inputs, s) for (layer, inputs, _), s in zip(passes, slopes, strict=True)]
    groups = list(_groups(units.of_sample))
    shares, norms = _shares(seen, groups, len(units.share))
    bad = ~torch.isfinite(norms)
    if bad.any():
        seen = [_blanked(one, bad[units.of_sample]) for one in seen]
        shares, norms = _shares(seen, groups, len(units.share))
    return _summed(critic, shares, units.weights(norms))


def in_layout(net: nn.Module, samples: Tensor) -> Tensor:
    """Channels last, which narrow convolutions on a CPU are fastest with; instance norm is not."""
    normed = any(isinstance(module, nn.InstanceNorm2d) for module in net.modules())
    if samples.ndim != 4 or normed:
        return samples
    return samples.contiguous(memory_format=torch.channels_last)


def opacus(critic: nn.Module, loss: Loss, samples: Tensor, units: Units) -> Tensor:
    """Opacus's hooks: every sample's gradient at once.

    On a copy in the default memory format: its convolutions are wrong for channels-last ones.
    """
    from opacus import GradSampleModule

    plain = copy.deepcopy(critic)
    for weight in plain.parameters():
        weight.data = weight.data.contiguous()
    wrapped = GradSampleModule(plain, loss_reduction="sum")
    torch.autograd.backward(loss(scores_of(wrapped, samples.contiguous().requires_grad_())).sum())
    grads = [p.grad_sample for p in trained(plain)]  # type: ignore[attr-defined]
    rows = torch.cat([g.flatten(1) for g in grads], dim=1)
    counts = torch.bincount(units.of_sample, minlength=len(units.share))
    means = rows.new_zeros(len(units.share), rows.shape[1])
    means.index_add_(0, units.of_sample, rows / counts[units.of_sample, None])
    norms = means.norm(dim=1)
    finite = torch.isfinite(norms)
    return units.weights(norms)[finite] @ means[finite]


ENGINES: dict[str, Engine] = {"book-keeping": book_keeping, "opacus": opacus}
DEFAULT_ENGINE = "book-keeping"


def trained(net: nn.Module) -> list[nn.Parameter]:
    """The weights that training changes; a frozen one has no gradient, so no noise either."""
    return [weight for weight in net.parameters() if weight.requires_grad]


def refuse_unruled(critic: nn.Module) -> None:
    """Refuses a critic with parameters that book-keeping has no rule for.

    Raises:
        UsageError: Naming the layer.
    """
    for module in critic.modules():
        if type(module) not in RULES and next(module.parameters(recurse=False), None) is not None:
            known = ", ".join(sorted(kind.__name__ for kind in RULES))
            raise UsageError(
                f"{type(module).__name__} has no rule in benchmark/privacy/layers.py, so a critic "
                f"with it cannot be trained privately by book-keeping; there are rules for {known}."
            )


def scores_of(critic: nn.Module, samples: Tensor) -> Tensor:
    """The critic's scores.

    Raises:
        ValueError: Unless there is one for each sample, in one axis: ``(n, 1)`` would broadcast
            against losses and leave gradients unclipped.
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


class Group(NamedTuple):
    """Units with equally many samples.

    Attributes:
        units: Which they are among all.
        shape: ``(U, k)``, so many units of so many samples.
        samples: Theirs, ``(U · k,)``; ``None`` where that is all samples in their order.
    """

    units: Tensor | slice
    shape: tuple[int, int]
    samples: Tensor | None

    def seen(self, one: Seen) -> Seen:
        """What a layer saw of them, for the mean of a unit's losses."""
        inputs, slopes = self._taken(one.inputs), self._taken(one.slopes)
        many = self.shape[1]
        return Seen(one.layer, inputs, slopes if many == 1 else slopes / many)

    def _taken(self, values: Tensor) -> Tensor:
        taken = values if self.samples is None else values[self.samples]
        return taken.reshape(*self.shape, *values.shape[1:])


def _groups(of_sample: Tensor) -> Iterator[Group]:
    """All units, those with equally many samples together."""
    every = torch.arange(len(of_sample), device=of_sample.device)
    if torch.equal(of_sample, every):
        yield Group(slice(0, len(every)), (len(every), 1), None)
        return
    counts = torch.bincount(of_sample)
    order = torch.argsort(of_sample, stable=True)
    for count in torch.unique(counts[counts > 0]).tolist():
        units = torch.nonzero(counts == count)[:, 0]
        samples = order[(counts == count)[of_sample[order]]]
        whole = torch.equal(samples, every)
        yield Group(units, (len(units), count), None if whole else samples)


Shares = list[tuple[nn.Module, Group, Share]]


def _shares(seen: list[Seen], groups: list[Group], units: int) -> tuple[Shares, Tensor]:
    """Every layer's share for every group, and the units' norms ``(U,)``."""
    squares = seen[0].slopes.new_zeros(units)
    shares: Shares = []
    for group in groups:
        for one in seen:
            for share in RULES[type(one.layer)](group.seen(one)):
                squares[group.units] += share.squared_norms()
                shares.append((one.layer, group, share))
    return shares, squares.sqrt()


def _blanked(seen: Seen, bad: Tensor) -> Seen:
    """The same without what belongs to some samples."""
    return Seen(
        seen.layer,
        *(
            t.masked_fill(bad.view(-1, *[1] * (t.ndim - 1)), 0.0)
            for t in (seen.inputs, seen.slopes)
        ),
    )


def _summed(critic: nn.Module, shares: Shares, weights: Tensor) -> Tensor:
    """Zero for what no sample reached."""
    sums: dict[int, Tensor] = {}
    for layer, group, share in shares:
        for name, part in share.weighted_sum(weights[group.units]).items():
            key = id(getattr(layer, name))
            sums[key] = sums[key] + part if key in sums else part
    found = ((weight, sums.get(id(weight))) for weight in trained(critic))
    return torch.cat(
        [(torch.zeros_like(w) if part is None else part).flatten() for w, part in found]
    )
