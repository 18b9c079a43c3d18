"""The scores of a segmenter on a test set, as a result file has them.

Every mean must follow from the listed patients, whoever wrote the file.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from pydantic import ConfigDict, Field, create_model, model_validator

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

    patients: Annotated[tuple[PatientScores, ...], at_most(10_000, at_least=1)] = ()
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
            values = [v for one in self.patients if (v := one.score(score)) is not None]
            claimed = self.mean(score)
            due = fmean(values) if values else None
            if not _same(claimed.mean if claimed else None, due):
                raise ValueError(f"{score} on {self.name} is not that of its patients")
        return self


def _same(claimed: float | None, due: float | None) -> bool:
    if claimed is None or due is None:
        return claimed is due
    return abs(claimed - due) <= TOLERANCE * max(1.0, due)
