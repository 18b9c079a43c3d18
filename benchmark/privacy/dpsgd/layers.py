"""The contribution of each kind of layer to a unit's gradient, from inputs and output gradients.

A unit u has k samples; a layer saw their inputs A, and S = ∂(mean of the unit's losses)/∂(its
output) is known. Then the gradient of each of the layer's parameters is a sum over the unit's
samples and positions t,

    convolution, linear   ∂weight = Σ_t S_t A_tᵀ       ∂bias = Σ_t S_t
    group, instance norm  ∂weight = Σ_t S_t Â_t        ∂bias = Σ_t S_t     (Â: A normalised)

with A_t the patch of the input under the kernel. A share keeps these gradients as rows, or, where
they are long and positions are few, only A and S: the norm then comes from two small Gram matrices,

    ‖Σ_t S_t A_tᵀ‖² = Σ_{t,t'} ⟨A_t, A_t'⟩ ⟨S_t, S_t'⟩,

and a weighted sum over units is one ordinary gradient with S scaled (Bu et al. 2023,
arXiv:2210.00038, section 3). Every rule here can be checked against ``torch.autograd`` alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from benchmark.privacy.dpsgd.convolution import convolution
from benchmark.privacy.dpsgd.shares import Rows, Seen, Share


def linear(seen: Seen) -> list[Share]:
    """Return the shares of an ``nn.Linear`` over the last axis."""
    inputs, output_gradients = (t.flatten(1, -2) for t in (seen.inputs, seen.output_gradients))
    weight = Rows("weight", torch.bmm(output_gradients.mT, inputs))
    has_bias = getattr(seen.layer, "bias", None) is not None
    return [weight, Rows("bias", output_gradients.sum(1))] if has_bias else [weight]


def normalisation(seen: Seen) -> list[Share]:
    """Return the shares of an ``nn.GroupNorm`` or ``nn.InstanceNorm2d`` with scale and shift."""
    layer, inputs = seen.layer, seen.inputs.flatten(0, 1)
    if isinstance(layer, nn.GroupNorm):
        normal = F.group_norm(inputs, layer.num_groups, eps=layer.eps)
    else:
        normal = F.instance_norm(inputs, eps=float(getattr(layer, "eps", 1e-5)))
    product = normal.view_as(seen.inputs) * seen.output_gradients
    return [
        Rows("weight", product.sum((1, 3, 4))),
        Rows("bias", seen.output_gradients.sum((1, 3, 4))),
    ]


RULES: dict[type[nn.Module], Callable[[Seen], list[Share]]] = {
    nn.Conv2d: convolution,
    nn.Linear: linear,
    nn.GroupNorm: normalisation,
    nn.InstanceNorm2d: normalisation,
}
