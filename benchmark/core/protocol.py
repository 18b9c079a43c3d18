"""The protocol of a benchmark: how patches are taken, and how many each part uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import WithJsonSchema

from benchmark.core.editions import EDITIONS, FIRST
from benchmark.core.errors import UsageError
from benchmark.core.settings import Later, Settings

NATIVE = 0.0
"""The spacing that stands for each volume's own pixels."""


@dataclass(frozen=True, kw_only=True)
class Protocol(Settings):
    """How patches are taken, how many a segmenter learns from, and the parameters of FID.

    Attributes:
        patch_size: The side of a square patch, in pixels.
        patches_per_patient: The most patches that are taken of one patient.
        samples: How many patches a segmenter learns from.
        fid_n: How many patches FID is computed on.
        fid_dims: The number of Inception features that FID uses.
        spacing_mm: A pixel's side in the axial plane, in mm, of patches and of what a segmenter is
            shown; 0 for the volume's own. Scores are always on the volume's own voxels.
        edition: The edition's name, as ``--protocol`` takes it (see ``editions``).
    """

    patch_size: Annotated[int, IntDistribution(32, 256)] = 32
    patches_per_patient: Annotated[int, IntDistribution(2, 100_000, log=True)] = 1000
    samples: Annotated[int, IntDistribution(2, 1_000_000, log=True)] = 4096
    fid_n: Annotated[int, IntDistribution(2, 100_000, log=True)] = 512
    fid_dims: Annotated[int, CategoricalDistribution([64, 192, 768, 2048])] = 64
    spacing_mm: Annotated[float, FloatDistribution(0.0, 5.0), Later()] = 0.0
    edition: Annotated[str, CategoricalDistribution([*EDITIONS]), Later()] = FIRST


_MANY = {"type": "integer", "minimum": 1, "maximum": 10**7}
_OF_FIRST = ("patch_size", "patches_per_patient", "samples", "fid_n", "fid_dims")
Rules = Annotated[
    Mapping[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "required": [*_OF_FIRST],
            "additionalProperties": False,
            "properties": {
                **dict.fromkeys(_OF_FIRST, _MANY),
                "spacing_mm": {"type": "number", "minimum": 0, "maximum": 5},
                "edition": {"enum": [*EDITIONS]},
            },
        }
    ),
]
"""A protocol's values by name, as a spec has them. The first edition had fewer values."""

CutRules = Annotated[
    Mapping[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "required": ["patch_size", "patches_per_patient", "spacing_mm"],
            "additionalProperties": False,
            "properties": {
                **dict.fromkeys(("patch_size", "patches_per_patient"), _MANY),
                "spacing_mm": {"type": "number", "minimum": 0, "maximum": 5},
            },
        }
    ),
]
"""The values of a protocol that decide how patches are taken, by name."""

LEAST_MM = 0.2
"""The least spacing in mm that is accepted; no scanner in use has finer pixels."""

PROTOCOLS = {
    "quick": Protocol(),
    "standard": Protocol(patch_size=64, samples=8192, fid_n=1024, fid_dims=192),
    "paper": Protocol(patch_size=96, samples=41_000, fid_n=2048, fid_dims=2048),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How patches are taken.

    Attributes:
        size: The side of a patch, in pixels.
        per_patient: The most patches of one patient.
        spacing_mm: A pixel's side in mm; ``NATIVE`` for the volume's own.
    """

    size: int
    per_patient: int
    spacing_mm: float = NATIVE


def protocol_recipe(protocol: Mapping[str, Any]) -> Recipe:
    """Return how patches are taken under a protocol.

    Args:
        protocol: The protocol's values by name.

    Raises:
        UsageError: If the spacing is finer than ``LEAST_MM``.
    """
    return Recipe(
        size=int(protocol["patch_size"]),
        per_patient=int(protocol["patches_per_patient"]),
        spacing_mm=spacing_of(protocol),
    )


def spacing_of(protocol: Mapping[str, Any]) -> float:
    """Return a protocol's pixel side in mm; ``NATIVE`` for an earlier protocol without one.

    Args:
        protocol: The protocol's values by name.

    Raises:
        UsageError: If it is between 0 and ``LEAST_MM``: a slice would have thousands of pixels.
    """
    spacing_mm = float(protocol.get("spacing_mm", NATIVE))
    if NATIVE < spacing_mm < LEAST_MM:
        raise UsageError(
            f"Expected protocol.spacing_mm to be 0 (each volume's own) or at least {LEAST_MM:g}, "
            f"got {spacing_mm:g}."
        )
    return spacing_mm
