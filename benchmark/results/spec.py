"""What decides a result, and the key that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema

from benchmark.core.budget import Budget, Unit
from benchmark.core.federation import Schedule
from benchmark.core.files import plain
from benchmark.core.forms import (
    Count,
    Digest,
    Many,
    Name,
    PartitionText,
    PlugInName,
    Positive,
    Probability,
    Sites,
    Values,
    WeightsDigest,
    named,
)
from benchmark.core.generator import RELEASE
from benchmark.core.protocol import Rules
from benchmark.core.registry import Registry, generators, segmenters

STRICT = ConfigDict(extra="forbid")
SCHEMA = 3
"""Raised whenever the meaning of a cell changes without a plug-in's version saying so."""

KEY_LENGTH = 12

MAIN_TEST, VALIDATION = "test", "val"
"""The names of the main test set, and of the patients that a free row is chosen by."""

LATER = ("own", "validation")
"""Fields that earlier specs lack: without a value they are not named, so that no key changes."""


@dataclass(frozen=True, kw_only=True)
class PlugIn:
    """A plug-in with its settings."""

    __pydantic_config__ = STRICT

    name: PlugInName
    version: Count
    settings: Values


@dataclass(frozen=True, kw_only=True)
class AcrossSites:
    """How several sites train a cell's generator together.

    Attributes:
        partition: Which patients are whose, as ``federation.partition`` reads it.
        design: A name among the generator's designs.
        rounds: How often the server asks every site.
        local_steps: Private steps of a site in each round.
    """

    __pydantic_config__ = STRICT

    partition: PartitionText
    design: PlugInName
    rounds: Many
    local_steps: Many

    @property
    def schedule(self) -> Schedule:
        """How the fit proceeds."""
        return Schedule(design=self.design, rounds=self.rounds, local_steps=self.local_steps)


@dataclass(frozen=True, kw_only=True)
class OneSite:
    """Which of several sites a cell's patients are of.

    Attributes:
        partition: Which patients are whose.
        of: How many sites there are.
        alone: The site's name.
    """

    __pydantic_config__ = STRICT

    partition: PartitionText
    of: Annotated[int, Field(ge=2, le=10_000)]
    alone: Name


@dataclass(frozen=True, kw_only=True)
class TunedBy:
    """Whence a cell's settings come, if a study found them.

    Attributes:
        epsilon: The level that they were tuned at.
        study: The study's name.
        on: ``phantom`` or ``private``: whose data it saw.
        selection: ``free of private data``, or ``not accounted``.
        trial: Whether the cell is itself a trial of that study; written only if it is.
    """

    __pydantic_config__ = STRICT

    epsilon: Positive
    study: Name
    on: Literal["phantom", "private"]
    selection: Literal["free of private data", "not accounted"]
    trial: bool = False


@dataclass(frozen=True, kw_only=True)
class OwnPatients:
    """With which numbers of own patients a cell is judged.

    Attributes:
        patients: The numbers, rising.
        mixture: How own and synthetic patches are mixed.
    """

    __pydantic_config__ = STRICT

    patients: tuple[int, ...]
    mixture: str


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

    __pydantic_config__ = STRICT

    generator: PlugIn
    segmenter: PlugIn
    protocol: Rules
    epsilon: Positive
    delta: Probability
    unit: Unit
    data: Digest
    test_data: Annotated[Mapping[Name, Digest], named(20, at_least=1)]
    fid_weights: WeightsDigest
    noise: Annotated[str, WithJsonSchema({"enum": ["seeded", "system"]})]
    seed: Count
    sites: Sites = 1
    federation: AcrossSites | OneSite | None = None
    tuned: TunedBy | None = None
    validation: Digest = ""
    schema: Count = SCHEMA
    own: OwnPatients | None = None

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

    @property
    def is_federated(self) -> bool:
        """Whether several sites train the generator."""
        return isinstance(self.federation, AcrossSites)

    @property
    def alone_at(self) -> str | None:
        """The site whose patients alone the generator is fitted on."""
        return self.federation.alone if isinstance(self.federation, OneSite) else None

    @property
    def own_counts(self) -> list[int]:
        """The numbers of own patients that the cell is judged with, rising; empty for none."""
        return [*self.own.patients] if self.own else []

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


NESTED = (PlugIn, AcrossSites, OneSite, TunedBy, OwnPatients)


def _is_as_before(name: str, value: Any) -> bool:
    return name in LATER and not value


def _said(value: Any) -> Any:
    if not isinstance(value, NESTED):
        return value
    return {name: said for name, said in vars(value).items() if said is not False}


def spec_from(said: Mapping[str, Any]) -> RunSpec:
    """The spec that a JSON file has; its key is the one that it had.

    Raises:
        ValueError: If it is no spec, with what is wrong.
    """
    try:
        return _reader().validate_python(said)
    except ValidationError as error:
        raise ValueError(f"no spec of a run ({first_fault(error)})") from error


@cache
def _reader() -> TypeAdapter[RunSpec]:
    return TypeAdapter(RunSpec)


def first_fault(error: ValidationError) -> str:
    """Where the first fault of a file is, and what, in a few words."""
    fault = error.errors(include_url=False, include_input=False)[0]
    where = "/".join(map(str, fault["loc"]))[:80] or "the whole"
    return f"at {where!r}: {fault['msg'].removeprefix('Value error, ')}"


def canonical(value: Any) -> str:
    """JSON with one form for each meaning: sorted names, ``2`` for 2.0, ``"inf"`` for infinity.

    >>> canonical({"b": 2, "a": float("inf")})
    '{"a":"inf","b":2}'
    """
    return json.dumps(plain(value, exact=True), sort_keys=True, separators=(",", ":"))


def number(value: Any) -> float | None:
    """Reads back a number that ``plain`` wrote; ``None`` stays ``None``."""
    return None if value is None else float(value)
