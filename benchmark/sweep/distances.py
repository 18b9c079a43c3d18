"""How far a cell's synthetic patches lie from patches of held-out patients."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.data.patching import extract
from benchmark.metrics.distances import fid, offline_distance
from benchmark.metrics.mask_shapes import mask_distance
from benchmark.metrics.weights import missing_reason
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.presets import protocol_recipe
from benchmark.sweep.spec import RunSpec

NOTHING_SYNTHETIC = "The segmenter itself was fitted: there are no synthetic patches to compare."
HELD_OUT_SEED = stream(0, "held-out patches")


def no_distances() -> dict[str, Any]:
    """What a cell without synthetic patches says."""
    nothing = {"value": None, "reason": NOTHING_SYNTHETIC}
    return {"offline_distance": None, "mask_distance": None, "fid": nothing}


def distances(
    spec: RunSpec, inputs: Inputs, synthetic: Patches, weights: Path | None, cache: Path
) -> dict[str, Any]:
    """FID where the Inception weights are at hand; the offline and the mask distance always."""
    n, dims = int(spec.protocol["fid_n"]), int(spec.protocol["fid_dims"])
    patients = inputs.tests[inputs.main]
    recipe = protocol_recipe({**spec.protocol, "patches_per_patient": math.ceil(n / len(patients))})
    held_out = extract(patients, recipe, seed=HELD_OUT_SEED)
    real, fake = held_out.images[:n], synthetic.images[:n]
    result: dict[str, Any] = {
        "offline_distance": offline_distance(real, fake),
        "mask_distance": mask_distance(held_out.masks[:n], synthetic.masks[:n]),
    }
    if weights is None:
        return {**result, "fid": {"value": None, "reason": missing_reason()}}
    key = f"{inputs.test_data[inputs.main]}-{recipe.size}-{n}"
    found = fid(real, fake, dims=dims, weights=weights, cache=cache / "fid", real_key=key)
    return {**result, "fid": found._asdict()}
