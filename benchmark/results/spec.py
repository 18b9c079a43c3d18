"""The spec of a cell: everything that decides its result, and the key that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError, WithJsonSchema

from benchmark.core.budget import Budget, Guarantee, Unit
from benchmark.core.files import plain
from benchmark.core.forms import (
    Count,
    Digest,
    Name,
    Positive,
    Probability,
    Sites,
    WeightsDigest,
    named,
)
from benchmark.core.generator import RELEASE
from benchmark.core.protocol import CutRules, Rules
from benchmark.core.registry import Registry, generators, segmenters
from benchmark.results.spec_parts import STRICT, AcrossSites, OneSite, OwnPatients, PlugIn, TunedBy

SCHEMA = 3
"""Raised whenever the meaning of a cell changes while no plug-in's version does."""

KEY_LENGTH = 12

MAIN_TEST, VALIDATION = "test", "val"
"""The names of the main test set, and of the patients by whom a free row is chosen."""

LATER = ("own", "validation", "canaries")
"""Fields that earlier specs lack. Without a value they are not written, so that keys stay the
same."""


@dataclass(frozen=True, kw_only=True)
class FitSpec:
    """What decides a fit of a generator, in a cell of a sweep or in a deployment.

    Attributes:
        generator: The generator with its settings.
        protocol: The values of ``core.protocol.Protocol`` that are known, by name; those that say
            how patches are taken always are.
        epsilon: The target; 0 for a generator that reads no data.
        delta: δ.
        unit: The protected unit.
        noise: ``seeded`` or ``system``.
        seed: Seeds everything but a system's noise.
        sites: How many sites train the generator together.
        federation: How they do, or which of them is alone; ``None`` where all patients are pooled.
    """

    generator: PlugIn
    protocol: Mapping[str, Any]
    epsilon: Positive
    delta: Probability
    unit: Unit
    noise: Annotated[str, WithJsonSchema({"enum": ["seeded", "system"]})]
    seed: Count
    sites: Sites = 1
    federation: AcrossSites | OneSite | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name.

        Fields that were added later are left out at their default.
        """
        said = {field.name: _said(getattr(self, field.name)) for field in fields(self)}
        return {name: value for name, value in said.items() if not _is_as_before(name, value)}

    @property
    def registry(self) -> Registry:
        """The registry of the plug-in that is fitted on patients."""
        return generators

    @property
    def budget(self) -> Budget:
        """The privacy loss that the fit may cause."""
        return Budget(epsilon=self.epsilon, delta=self.delta, unit=self.unit)

    @property
    def is_federated(self) -> bool:
        """Whether several sites train the generator."""
        return isinstance(self.federation, AcrossSites)

    @property
    def curious(self) -> int | None:
        """T of secure sums; ``None`` where each site adds noise of its own, or none trains."""
        return self.federation.curious if isinstance(self.federation, AcrossSites) else None

    @property
    def alone_at(self) -> str | None:
        """The site whose patients alone the generator is fitted on."""
        return self.federation.alone if isinstance(self.federation, OneSite) else None

    @property
    def planted(self) -> int:
        """How many made-up units were planted in the fit, to audit it."""
        return 0

    @property
    def chosen_by(self) -> TunedBy | None:
        """The study that found the settings; ``None`` where nobody looked at anything."""
        return None


@dataclass(frozen=True, kw_only=True)
class DeployedSpec(FitSpec):
    """What decided the fit of a deployment, in which each site has its own patients.

    Nobody has all data, and nobody scored the generator. So there is no digest of data and no
    segmenter.
    """

    __pydantic_config__ = STRICT

    protocol: CutRules
    federation: AcrossSites


@dataclass(frozen=True, kw_only=True)
class RunSpec(FitSpec):
    """Everything that decides a cell's result, and nothing that decides only its speed.

    Attributes:
        generator: The generator with its settings, or the segmenter if it is itself fitted on
            patients.
        segmenter: The segmenter with its settings; the same as ``generator`` if it is itself fitted
            on patients, without synthetic patches between.
        protocol: All values of ``core.protocol.Protocol``.
        data: Digest of the training cohort.
        test_data: Digest of each test set, by its name.
        fid_weights: Digest of the Inception weights; empty where they are missing.
        validation: Digest of the validation patients on whom a free row is scored, to choose the
            best of them; empty for all other cells, and where there are none.
        tuned: The study that found the settings; ``None`` for a preset's own.
        own: The numbers of own patients that are used beside the synthetic patches, and how the two
            are mixed; ``None`` for none.
        canaries: How many made-up units are planted in the fit, to audit it; 0 for none.
        schema: The version of the meaning of all this.
    """

    __pydantic_config__ = STRICT

    segmenter: PlugIn
    protocol: Rules
    data: Digest
    test_data: Annotated[Mapping[Name, Digest], named(20, at_least=1)]
    fid_weights: WeightsDigest
    tuned: TunedBy | None = None
    validation: Digest = ""
    schema: Count = SCHEMA
    own: OwnPatients | None = None
    canaries: Count = 0

    @property
    def is_direct(self) -> bool:
        """Whether the segmenter itself is fitted on patients, under the cell's budget."""
        return self.generator == self.segmenter

    @property
    def control(self) -> str:
        """The name of the control that replaces patients' data; empty where patients decide."""
        said = str(self.generator.settings.get("evidence", RELEASE))
        return "" if said == RELEASE else said

    @property
    def registry(self) -> Registry:
        """The registry of the plug-in that is fitted on patients."""
        return segmenters if self.is_direct else generators

    @property
    def planted(self) -> int:
        """How many made-up units were planted in the fit, to audit it."""
        return self.canaries

    @property
    def chosen_by(self) -> TunedBy | None:
        """The study that found the settings; ``None`` for a preset's own."""
        return self.tuned

    @property
    def own_counts(self) -> list[int]:
        """The numbers of own patients that the cell is judged with, rising; empty for none."""
        return [*self.own.patients] if self.own else []

    @cached_property
    def key(self) -> str:
        """The first 12 hex digits of the SHA-256 of the canonical JSON.

        ``federation`` and ``tuned`` are left out where they are ``None``.
        """
        said = self.as_dict()
        for name in ("federation", "tuned"):
            if said[name] is None:
                del said[name]
        return hashlib.sha256(canonical(said).encode()).hexdigest()[:KEY_LENGTH]


def parts_of(spec: FitSpec, whole: Guarantee, sites: Mapping[str, Guarantee]) -> list[Guarantee]:
    """Return the guarantees whose N count every patient of a fit once.

    With local noise each site has one of its own. With secure sums all sites have the same one,
    whose N is that of all patients.

    Args:
        spec: What decided the fit.
        whole: The guarantee of the fit.
        sites: Those of its sites, by name; empty for a fit at one place.
    """
    return [whole] if spec.curious is not None or not sites else [*sites.values()]


NESTED = (PlugIn, AcrossSites, OneSite, TunedBy, OwnPatients)


def _is_as_before(name: str, value: Any) -> bool:
    return name in LATER and not value


def _said(value: Any) -> Any:
    if not isinstance(value, NESTED):
        return value
    return {n: said for n, said in vars(value).items() if said is not False and said is not None}


SHARED = ("generator", "protocol", "segmenter", "test_data")
"""What the many cells of a sweep have in common, and hold once in memory."""

_PARTS: dict[str, Any] = {}


def spec_from(said: Mapping[str, Any]) -> RunSpec:
    """Read a spec from the content of a JSON file. It keeps its key.

    Raises:
        ValueError: If it is not a spec; the message says what is wrong.
    """
    found: RunSpec = _read(_runs(), said, "spec of a run")
    parts = {name: _shared(getattr(found, name)) for name in SHARED}
    return replace(found, **parts)


def _shared(part: Any) -> Any:
    """The same object for the same part, in whichever spec it is."""
    return _PARTS.setdefault(repr(part), part)


def fit_from(said: Mapping[str, Any]) -> RunSpec | DeployedSpec:
    """Read what decided a fit, from the content of a JSON file.

    Returns:
        The spec of a cell, which names a segmenter, or that of a deployment.

    Raises:
        ValueError: If it is neither; the message says what is wrong.
    """
    if not isinstance(said, Mapping):
        raise ValueError("no spec of a fit")
    if "segmenter" in said:
        return spec_from(said)
    found: DeployedSpec = _read(_deployments(), said, "spec of a deployment")
    return found


def _read(reader: TypeAdapter[Any], said: Mapping[str, Any], name: str) -> Any:
    try:
        return reader.validate_python(said)
    except ValidationError as error:
        raise ValueError(f"no {name} ({first_fault(error)})") from error


@cache
def _runs() -> TypeAdapter[RunSpec]:
    return TypeAdapter(RunSpec)


@cache
def _deployments() -> TypeAdapter[DeployedSpec]:
    return TypeAdapter(DeployedSpec)


def first_fault(error: ValidationError) -> str:
    """Return the place and the kind of the first fault of a file, in a few words."""
    fault = error.errors(include_url=False, include_input=False)[0]
    where = "/".join(map(str, fault["loc"]))[:80] or "the whole"
    return f"at {where!r}: {fault['msg'].removeprefix('Value error, ')}"


def canonical(value: Any) -> str:
    """Write JSON with one form for each meaning.

    Names are sorted, 2.0 is written ``2``, and infinity is ``"inf"``.

    Examples:
        >>> canonical({"b": 2, "a": float("inf")})
        '{"a":"inf","b":2}'
    """
    return json.dumps(plain(value, exact=True), sort_keys=True, separators=(",", ":"))


def number(value: Any) -> float | None:
    """Read back a number that ``plain`` wrote; ``None`` stays ``None``."""
    return None if value is None else float(value)
