"""The scores of a segmenter on a test set, as a result file has them.

Every mean must follow from the listed patients, whoever wrote the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self, overload

import numpy as np
from pydantic import ConfigDict, Field, GetCoreSchemaHandler, create_model, model_validator
from pydantic_core import CoreSchema, core_schema

from benchmark.core.forms import Count, Name, Number, Share, Size, Words, at_most
from benchmark.metrics.scores import METRICS, NAMES, Metric, Scores
from benchmark.results.form import Form

NOTHING_SYNTHETIC = "The segmenter itself was fitted: there are no synthetic patches to compare."
TOLERANCE = 1e-6
"""How much a mean may differ from that of its patients, because libraries add in different
orders."""


class Mean(Form):
    """A mean over the patients of a test set, with its 95 % interval over them."""

    mean: Number
    low: Number
    high: Number


class ShareMean(Mean):
    """A mean of shares, with its 95 % interval, all in [0, 1]."""

    mean: Share
    low: Share
    high: Share


class _Patient(Form):
    """Whose scores they are."""

    patient: Name
    site: Name


class _Tested(Form):
    """On whom means are."""

    name: Name
    n: Count | None = None


def _fields(bounded: Any, free: Any) -> dict[str, Any]:
    """A field for each metric: of one type if it is a share, of another if it has no bound."""

    def field(metric: Metric) -> Any:
        kind = free if math.isinf(metric.most) else bounded
        kind = kind | None if metric.can_lack or metric.since else kind
        return (kind, None) if metric.since else (kind, ...)

    return {metric.name: field(metric) for metric in METRICS}


if TYPE_CHECKING:

    class _PatientWithScores(_Patient):
        dice: float

    class _TestedWithMeans(_Tested):
        dice: ShareMean
else:
    _PatientWithScores = create_model(
        "_PatientWithScores", __base__=_Patient, **_fields(Share, Number)
    )
    _TestedWithMeans = create_model(
        "_TestedWithMeans", __base__=_Tested, **_fields(ShareMean, Mean)
    )


class PatientScores(_PatientWithScores):
    """The scores of one patient, with a field for each of ``metrics.scores.METRICS``.

    Attributes:
        patient: The patient.
        site: The patient's site; empty where the cohort names none.
        empty: Whether nothing was marked.
    """

    empty: bool

    def score(self, name: str) -> float | None:
        """Return a metric's value by its name; ``None`` where the patient has none."""
        found: float | None = getattr(self, name)
        return found

    @property
    def scores(self) -> Scores:
        """All scores by their names."""
        return {name: self.score(name) for name in NAMES}


class Packed(Sequence[PatientScores]):
    """Patients' scores held as one array, which takes a tenth of the memory of as many models.

    A sweep of ten thousand cells has their results in memory at its end.

    Args:
        patients: The patients, in the order of the file.
    """

    __slots__ = ("_values", "_whose")

    def __init__(self, patients: Iterable[PatientScores] = ()) -> None:
        many = tuple(patients)
        whose = tuple((o.patient, o.site, o.empty, frozenset(o.model_fields_set)) for o in many)
        self._whose = _shared(whose)
        self._values = np.array(
            [[math.nan if v is None else v for v in one.scores.values()] for one in many]
        )

    def __len__(self) -> int:
        """How many there are."""
        return len(self._whose)

    @overload
    def __getitem__(self, index: int) -> PatientScores: ...

    @overload
    def __getitem__(self, index: slice) -> Packed: ...

    def __getitem__(self, index: int | slice) -> PatientScores | Packed:
        """One patient's scores as they were given, or those of several."""
        if isinstance(index, slice):
            return Packed(self[i] for i in range(len(self))[index])
        patient, site, empty, given = self._whose[index]
        scores = {n: _told(v) for n, v in zip(NAMES, self._values[index].tolist(), strict=True)}
        said = {**scores, "patient": patient, "site": site, "empty": empty}
        return PatientScores.model_construct(_fields_set={*given}, **said)

    def __eq__(self, other: object) -> bool:
        """Whether another sequence has the same patients with the same scores."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        """A digest of whose scores they are."""
        return hash(self._whose)

    def __repr__(self) -> str:
        """The patients, as a tuple shows them."""
        return repr(tuple(self))

    def column(self, score: str) -> list[float | None]:
        """Return a metric's values in the patients' order; ``None`` where one has none."""
        number = NAMES.index(score)
        return [_told(value) for value in self._values[:, number].tolist()] if self._whose else []

    def by_patient(self, score: str) -> dict[str, float | None]:
        """Return a metric's values by patient; ``None`` where one has none."""
        return dict(zip((whose[0] for whose in self._whose), self.column(score), strict=True))

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read a list of patients, and write one."""
        return core_schema.no_info_before_validator_function(
            lambda said: tuple(said) if isinstance(said, cls) else said,
            core_schema.no_info_after_validator_function(
                cls, handler.generate_schema(tuple[PatientScores, ...])
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda many: [one.as_dict() for one in many]
            ),
        )


@lru_cache(maxsize=256)
def _shared(whose: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same object for the same patients, whichever result names them."""
    return whose


def _told(value: float) -> float | None:
    return None if math.isnan(value) else value


class Fid(Form):
    """FID with the numbers of patches and features behind it, or the reason why it is missing."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"properties": {"value": {"const": None}}}, {"required": ["n", "dims"]}]
        }
    )

    value: Annotated[float, Field(ge=-1, le=1e9, allow_inf_nan=False)] | None
    kid: Number | None = None
    n: Count | None = None
    dims: Count | None = None
    reason: Words | None = None


class Distances(NamedTuple):
    """The distances of synthetic patches from those of a test set's patients.

    Attributes:
        offline: Between scattering features; ``None`` where nothing synthetic was made.
        mask: Between the shapes of vessels, 0 to 1; ``None`` in results of earlier versions.
        fid: Between Inception features.
    """

    offline: float | None
    mask: float | None
    fid: Fid


class TestSet(_TestedWithMeans):
    """The scores of a test set, with a mean for each of ``metrics.scores.METRICS``.

    Attributes:
        name: The test set's name.
        n: The number of patients behind the means; missing in results of earlier versions.
        patients: Each one's scores, unless they stay with their owner.
        offline_distance: See ``Distances``; for the main test set alone.
        mask_distance: See ``Distances``.
        fid: See ``Distances``.
    """

    __test__ = False  # no test of pytest's
    model_config = ConfigDict(
        json_schema_extra={
            "dependentRequired": {
                "offline_distance": ["fid"],
                "fid": ["offline_distance"],
                "mask_distance": ["fid"],
            }
        }
    )

    patients: Annotated[Packed, at_most(10_000, at_least=1)] = Packed()
    offline_distance: Size | None = None
    mask_distance: Share | None = None
    fid: Fid | None = None

    def mean(self, score: str) -> Mean | None:
        """Return a metric's mean by its name; ``None`` where no patient has it."""
        found: Mean | None = getattr(self, score)
        return found

    @property
    def many(self) -> int | None:
        """The number of patients behind the means; ``None`` where an earlier version hid it."""
        return len(self.patients) or self.n

    @property
    def distances(self) -> Distances | None:
        """The distances of synthetic patches from this test set; ``None`` if not given."""
        if self.fid is None:
            return None
        return Distances(self.offline_distance, self.mask_distance, self.fid)

    @model_validator(mode="after")
    def _means_follow(self) -> Self:
        """Every mean is that of the patients that are told of."""
        for score in NAMES if self.patients else ():
            values = [v for v in self.patients.column(score) if v is not None]
            claimed = self.mean(score)
            due = fmean(values) if values else None
            if not _same(claimed.mean if claimed else None, due):
                raise ValueError(f"{score} on {self.name} is not that of its patients")
        return self


def _same(claimed: float | None, due: float | None) -> bool:
    if claimed is None or due is None:
        return claimed is due
    return abs(claimed - due) <= TOLERANCE * max(1.0, due)
