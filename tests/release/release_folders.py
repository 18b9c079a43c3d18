"""Folders of a release's data for tests, as `bench release` would write them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from statements import SUM, statement

from benchmark.core.files import write_json
from benchmark.core.patches import Patches
from benchmark.core.sums import write_sums
from benchmark.release.contents.croissant import croissant
from benchmark.release.contents.descriptions import write_descriptions
from benchmark.release.contents.volumes import write_data
from benchmark.release.statement import CROISSANT, STATEMENT, Statement
from generators.simulator import Simulator, SimulatorParams

NOT_PRIVATE = {"claim": "not private", "reasons": ("The noise was seeded.",)}


def drawn(n: int = 50, size: int = 32, seed: int = 0) -> Patches:
    """Patches of the simulator, which reads nobody."""
    return Simulator.of_size(SimulatorParams(), size).sample(n, seed=seed)


def statement_of(patches: Patches, *, per_volume: int = 20, **changes: Any) -> Statement:
    """The statement of a release of these patches."""
    spacing = changes.pop("spacing_mm", 0.8)
    samples = {
        "n": len(patches),
        "seed": 0,
        "size": patches.size,
        "spacing_mm": spacing,
        "per_volume": per_volume,
        "volumes": math.ceil(len(patches) / per_volume),
        "generator": SUM,
    }
    return statement(samples=samples, **changes)


def write_release(folder: Path, patches: Patches, **changes: Any) -> Statement:
    """The data, all descriptions and the checksums."""
    said = statement_of(patches, **changes)
    folder.mkdir(parents=True, exist_ok=True)
    write_data(folder, patches, said)
    write_json(folder / STATEMENT, said.model_dump(mode="json"))
    write_descriptions(folder, said)
    write_json(folder / CROISSANT, croissant(said, folder))
    write_sums(folder)
    return said
