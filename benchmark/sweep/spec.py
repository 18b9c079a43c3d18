"""What decides a result, and the key that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from benchmark.core.budget import Budget, Unit
from benchmark.core.files import plain
from benchmark.core.generator import RELEASE
from benchmark.core.registry import Registry, generators, segmenters

SCHEMA = 3
"""Raised whenever the meaning of a cell changes without a plug-in's version saying so."""

KEY_LENGTH = 12

LATER = ("own", "validation")
"""Fields that earlier specs lack: without a value they are not named, so that no key changes."""


@dataclass(frozen=True, kw_only=True)
class PlugIn:
    """A plug-in with its settings."""

    name: str
    version: int
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """Everything that decides a cell's result, and nothing that only decides its speed.

    Attributes:
        generator: The generator with its settings; what is fitted on patients.
        segmenter: The segmenter with its settings; one and the same as the generator where it is
            itself fitted on patients, and nothing synthetic lies between.
        protocol: The values of ``presets.Protocol``.
        epsilon: The target; 0 for a generator that reads no data.
        delta: δ.
        unit: The protected unit.
        data: Digest of the training cohort.
        test_data: Digest of each test set, by its name.
        fid_weights: Digest of the Inception weights; empty where they are missing.
        noise: ``seeded`` or ``system``.
        sites: How many sites train the generator together.
        federation: How they do, or which of them is alone; ``None`` where all patients are pooled.
        validation: Digest of the validation patients that a free row is scored on, to choose the
            best of them; empty for all other cells, and where there are none.
        tuned: Whence tuned settings come, and how they were chosen; ``None`` for a preset's own.
        own: Which numbers of own patients are judged beside the synthetic patches, and how the two
            are mixed; ``None`` for none.
        seed: Seeds everything but a system's noise.
        schema: The meaning of all this.
    """

    generator: PlugIn
    segmenter: PlugIn
    protocol: Mapping[str, Any]
    epsilon: float
    delta: float
    unit: Unit
    data: str
    test_data: Mapping[str, str]
    fid_weights: str
    noise: str
    seed: int
    sites: int = 1
    federation: Mapping[str, Any] | None = None
    tuned: Mapping[str, Any] | None = None
    validation: str = ""
    schema: int = SCHEMA
    own: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields by name; of what was added later, those that differ from the default."""
        said = {field.name: _said(getattr(self, field.name)) for field in fields(self)}
        return {name: value for name, value in said.items() if not _is_as_before(name, value)}

    @property
    def is_direct(self) -> bool:
        """Whether the segmenter itself is fitted on patients, under the cell's budget."""
        return self.generator == self.segmenter

    @property
    def control(self) -> str:
        """What stands where patients should decide; empty where they do."""
        said = str(self.generator.settings.get("evidence", RELEASE))
        return "" if said == RELEASE else said

    @property
    def registry(self) -> Registry:
        """Where what is fitted on patients is found by its name."""
        return segmenters if self.is_direct else generators

    @property
    def budget(self) -> Budget:
        """The privacy loss that the fit may cause."""
        return Budget(epsilon=self.epsilon, delta=self.delta, unit=self.unit)

    @cached_property
    def key(self) -> str:
        """The first 12 hex digits of the SHA-256 of the canonical JSON.

        A cell whose patients are pooled says nothing of a federation, and one with a preset's own
        settings nothing of tuning.
        """
        said = self.as_dict()
        for name in ("federation", "tuned"):
            if said[name] is None:
                del said[name]
        return hashlib.sha256(canonical(said).encode()).hexdigest()[:KEY_LENGTH]


def _is_as_before(name: str, value: Any) -> bool:
    return name in LATER and not value


def _said(value: Any) -> Any:
    return dict(vars(value)) if isinstance(value, PlugIn) else value


def spec_from(said: Mapping[str, Any]) -> RunSpec:
    """The spec that a JSON file has; its key is the one that it had.

    Raises:
        ValueError: If it is no spec.
    """
    try:
        return RunSpec(
            **{
                **said,
                "generator": PlugIn(**said["generator"]),
                "segmenter": PlugIn(**said["segmenter"]),
                "epsilon": float(said["epsilon"]),
            }
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"no spec of a run ({error})") from error


def canonical(value: Any) -> str:
    """JSON with one form for each meaning: sorted names, ``2`` for 2.0, ``"inf"`` for infinity.

    >>> canonical({"b": 2, "a": float("inf")})
    '{"a":"inf","b":2}'
    """
    return json.dumps(plain(value, exact=True), sort_keys=True, separators=(",", ":"))


def number(value: Any) -> float | None:
    """Reads back a number that ``plain`` wrote; ``None`` stays ``None``."""
    return None if value is None else float(value)
