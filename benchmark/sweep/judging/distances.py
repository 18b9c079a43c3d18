"""Distances of a cell's synthetic patches from patches of held-out patients."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmark.core.patches import Patches
from benchmark.core.protocol import protocol_recipe
from benchmark.core.seeds import stream
from benchmark.data.patching import extract
from benchmark.metrics.distances import fid, offline_distance
from benchmark.metrics.mask_shapes import mask_distance
from benchmark.metrics.weights import missing_reason
from benchmark.results.scored import NOTHING_SYNTHETIC, Distances, Fid
from benchmark.results.spec import RunSpec
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.machine import Machine

Images = NDArray[np.float32]
HELD_OUT_SEED = stream(0, "held-out patches")


def no_distances() -> Distances:
    """Return the distances of a cell without synthetic patches: none, and the reason."""
    return Distances(None, None, Fid(value=None, reason=NOTHING_SYNTHETIC))


def distances(spec: RunSpec, inputs: Inputs, synthetic: Patches, machine: Machine) -> Distances:
    """Compute the distances of synthetic patches from the main test set's patches.

    FID is computed where the Inception weights are available, the offline and the mask distance
    always.

    Args:
        spec: The cell.
        inputs: The sweep's data.
        synthetic: The synthetic patches.
        machine: Its Inception weights, cache folder and device.
    """
    n = int(spec.protocol["fid_n"])
    patients = inputs.tests[inputs.main]
    recipe = protocol_recipe({**spec.protocol, "patches_per_patient": math.ceil(n / len(patients))})
    held_out = extract(patients, recipe, seed=HELD_OUT_SEED)
    real, fake = held_out.images[:n], synthetic.images[:n]
    return Distances(
        offline=offline_distance(real, fake, device=machine.device),
        mask=mask_distance(held_out.masks[:n], synthetic.masks[:n]),
        fid=_fid(spec, inputs, (real, fake), machine),
    )


def _fid(spec: RunSpec, inputs: Inputs, images: tuple[Images, Images], machine: Machine) -> Fid:
    if machine.fid_weights is None:
        return Fid(value=None, reason=missing_reason())
    real, fake = images
    key = f"{inputs.test_data[inputs.main]}-{real.shape[-1]}-{int(spec.protocol['fid_n'])}"
    dims = int(spec.protocol["fid_dims"])
    found = fid(
        real,
        fake,
        dims=dims,
        weights=machine.fid_weights,
        cache=machine.cache / "fid",
        real_key=key,
        device=machine.device,
    )
    return Fid(**found._asdict())
