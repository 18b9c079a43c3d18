"""Import of torchvision beside a torch without CUDA.

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
    """Import torchvision, and declare its operators if their absence is what the import fails for.

    Raises:
        RuntimeError: If the import fails for another reason.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for schema in _SCHEMAS:
            torch.library.define(schema.split("(")[0], schema[schema.index("(") :])
        import torchvision  # noqa: F401
