"""The work of a cell by stage, and what decides how long each takes.

Two cells share a stage's seconds if they share all of that: cells of other generators train the
same segmenter on as many patches of the same size. A seed decides nothing, and of ε it matters only
whether it is finite.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmark.results.spec import RunSpec, canonical
from benchmark.results.spec_parts import AcrossSites, PlugIn
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.machine import Machine
from benchmark.sweep.sites import inputs_of

PATCHES, FIT, SAMPLE, TRAIN, OWN, DISTANCES, SCORE = STAGES = (
    *("patches", "fit", "sample", "train"),
    *("own patients", "distances", "score"),
)
KEY_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class Work:
    """One stage of a cell.

    Attributes:
        stage: Its name, as in a result's ``seconds``.
        plug_in: The generator or segmenter that decides it; ``None`` where none does.
        private: Whether the fit has noise; false for other stages.
        sites: How many sites fit together; 1 for none, and for other stages.
        patches: How many patches are cut, sampled or learnt from.
        side: The side of a patch, in pixels.
        patients: How many patients are fitted on, or scored.
        more: What else decides it: the cohort, the device, federated rounds.
    """

    stage: str
    plug_in: PlugIn | None = None
    private: bool = False
    sites: int = 1
    patches: int
    side: int
    patients: int
    more: Mapping[str, Any]

    @property
    def key(self) -> str:
        """A digest of everything that decides the stage; no patient can be told from it."""
        return hashlib.sha256(canonical(asdict(self)).encode()).hexdigest()[:KEY_LENGTH]


def works_of(spec: RunSpec, inputs: Inputs, machine: Machine) -> list[Work]:
    """Return the stages of a cell, in their order.

    Args:
        spec: The cell.
        inputs: The sweep's data, of which only digests and the counts are used.
        machine: The machine that it runs on.
    """
    return list(_works(spec, inputs, machine))


def memory_key(spec: RunSpec, inputs: Inputs, machine: Machine) -> str:
    """Return a digest of what decides how much memory a cell needs."""
    keys = [work.key for work in works_of(spec, inputs, machine)]
    return hashlib.sha256(" ".join(keys).encode()).hexdigest()[:KEY_LENGTH]


def _works(spec: RunSpec, inputs: Inputs, machine: Machine) -> Iterator[Work]:
    protocol = spec.protocol
    side, samples = int(protocol["patch_size"]), int(protocol["samples"])
    here = {"device": machine.device}
    fitted = len(inputs_of(spec, inputs).train)
    own = {"generator": spec.generator, "segmenter": spec.segmenter}
    base: dict[str, Any] = {"side": side, "patients": fitted}
    if not (spec.is_direct and spec.epsilon == 0):  # methods have no fit
        cut = int(protocol["patches_per_patient"]) * fitted
        data = {"spacing_mm": protocol.get("spacing_mm", 0)}
        if not spec.is_federated:
            yield Work(stage=PATCHES, patches=cut, more={**here, **data, "data": spec.data}, **base)
        yield Work(
            stage=FIT,
            plug_in=own["generator"],
            private=math.isfinite(spec.epsilon) and spec.epsilon > 0,
            sites=spec.sites,
            patches=cut,
            more={**here, **_together(spec, machine), "unit": spec.unit, "canaries": spec.canaries},
            **base,
        )
    if not spec.is_direct:
        many = {**base, "patches": samples, "patients": 0}
        yield Work(stage=SAMPLE, plug_in=own["generator"], more=here, **many)
        yield Work(stage=TRAIN, plug_in=own["segmenter"], more=here, **many)
        if spec.own is not None:
            counts = {"own": spec.own_counts, "mixture": spec.own.mixture}
            yield Work(stage=OWN, plug_in=own["segmenter"], more={**here, **counts}, **many)
        fid = {name: protocol[name] for name in ("fid_n", "fid_dims")} if spec.fid_weights else {}
        tested = {"test": next(iter(spec.test_data.values()))}
        yield Work(stage=DISTANCES, more={**fid, **tested}, **many)
    scored = sum(map(len, inputs.tests.values()))
    scored += len(inputs.validation) if spec.validation else 0
    of = {"tests": sorted(spec.test_data.values()), "spacing_mm": protocol.get("spacing_mm", 0)}
    yield Work(
        stage=SCORE,
        plug_in=own["segmenter"],
        patches=0,
        side=side,
        patients=scored,
        more={**here, **of},
    )


def _together(spec: RunSpec, machine: Machine) -> dict[str, Any]:
    """How sites fit together, if they do."""
    if not isinstance(spec.federation, AcrossSites):
        return {}
    how = {n: said for n, said in asdict(spec.federation).items() if n != "assignment"}
    return {"federation": how, "backend": machine.backend}
