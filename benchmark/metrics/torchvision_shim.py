"""Lets torchvision be imported beside a torch without CUDA.

The registry's torchvision wheel is built for CUDA; beside a CPU torch its import stops at operators
that its library could not register. Nothing here calls them, so declaring them is enough.
"""

from __future__ import annotations

import torch

_SCHEMAS = (
    "torchvision::nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def import_torchvision() -> None:
    """Imports torchvision; declares its operators only where they are what it fails for."""
    try:
        import torchvision
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for schema in _SCHEMAS:
            torch.library.define(schema.split("(")[0], schema[schema.index("(") :])
        import torchvision  # noqa: F401
