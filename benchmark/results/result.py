"""The result of a cell, as its file has it. It is checked whenever it is read.

A file is refused with one sentence if a field is missing, of another type or out of bounds, or if
its means do not follow from its own patients. Earlier versions of the suite wrote the distances of
synthetic patches, which concern the main test set's patients, beside the test sets. They are moved
there when such a file is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from benchmark.core.budget import Guarantee
from benchmark.core.files import plain
from benchmark.core.forms import (
    Count,
    Key,
    Name,
    Number,
    Size,
    Words,
    at_most,
    named,
)
from benchmark.results.form import Form
from benchmark.results.scored import Distances, Fid, TestSet
from benchmark.results.spec import RunSpec, first_fault, spec_from


def _written(value: RunSpec | Guarantee) -> Any:
    return plain(value.as_dict())


Guaranteed = Annotated[Guarantee, PlainSerializer(_written)]
Spec = Annotated[
    RunSpec,
    BeforeValidator(lambda said: said if isinstance(said, RunSpec) else spec_from(said)),
    PlainSerializer(_written),
]


class SiteResult(Form):
    """The guarantee of a federated fit for the patients of one site."""

    site: Name
    guarantee: Guaranteed


class OwnResult(Form):
    """The scores of segmenters that learnt from some own patients.

    Attributes:
        patients: The number of own patients.
        test_sets: The scores after learning from synthetic patches and theirs.
        alone: The scores after learning from theirs alone.
    """

    patients: Count
    test_sets: tuple[TestSet, ...]
    alone: tuple[TestSet, ...]


class Suite(Form):
    """The version and the commit of the suite that computed a result."""

    version: Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9a-z.+-]{1,40}$"})]
    commit: Annotated[
        str, WithJsonSchema({"type": "string", "pattern": "^([0-9a-f]{40}|unknown)$"})
    ]


class PlugInOrigin(Form):
    """The distribution of a plug-in from outside the suite."""

    distribution: Annotated[
        str, WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,100}$"})
    ]
    version: Annotated[
        str, WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9.!+_-]{1,60}$"})
    ]
    address: Annotated[
        str, WithJsonSchema({"type": "string", "pattern": "^(https?://[!-~]{1,200})?$"})
    ]


class Result(Form):
    """The result of a cell.

    Attributes:
        run_key: The spec's key.
        status: Always ``done``: only a finished cell has a result.
        spec: Everything that decides the result.
        guarantee: The guarantee of the fit; across sites, the worst.
        test_sets: The main one first.
        validation: A free row's scores on validation patients.
        sites: The guarantee of each site of a federated fit.
        rounds: How many rounds a federated fit took, their bytes and seconds.
        own: The scores with own patients, where these were asked for.
        fit_of: The key of the run whose fit this one shares, by which the ledger has it and seeded
            noise is drawn; not given for a run with a fit of its own.
        private_data: Whether the data are of real patients; false for phantoms.
        skipped: Which patients were left out, and why.
        notes: What may have been read differently than intended.
        cost_of_skipping: What leaving patients out means for their privacy.
        suite: The suite that computed it.
        plug_ins: The distributions of plug-ins from outside the suite.
        peak_mib: The most memory, in MiB.
        seconds: By stage, and ``total``.
        fraction_of_real: Dice over that of ``real``, by test set.
    """

    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema["properties"].pop("own")  # never published
    )

    run_key: Key
    status: Literal["done"]
    spec: Spec
    guarantee: Guaranteed
    test_sets: Annotated[tuple[TestSet, ...], at_most(20, at_least=1)]
    validation: TestSet | None = None
    sites: Annotated[tuple[SiteResult, ...], at_most(10_000)] = ()
    rounds: Annotated[Mapping[Name, Number], named(20)] = {}
    own: tuple[OwnResult, ...] = ()
    fit_of: Key | None = None
    private_data: bool
    skipped: Annotated[tuple[Words, ...], at_most(10_000)] = ()
    notes: Annotated[tuple[Words, ...], at_most(10_000)] = ()
    cost_of_skipping: Words | None = None
    suite: Suite | None = None
    plug_ins: Annotated[Mapping[Name, PlugInOrigin], named(2)] = {}
    peak_mib: Size | None = None
    seconds: Annotated[Mapping[Name, Size], named(20)]
    fraction_of_real: (
        Annotated[Mapping[Name, Annotated[float, Field(ge=0, le=1e6)]], named(20)] | None
    ) = None

    @model_validator(mode="before")
    @classmethod
    def _of_earlier(cls, said: Any) -> Any:
        return carried_over(said) if isinstance(said, Mapping) else said

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if "total" not in self.seconds:
            raise ValueError("seconds lack the total")
        return self

    @classmethod
    def read(cls, said: Any) -> Self:
        """Read the result from the content of a JSON file.

        Args:
            said: The content.

        Raises:
            ValueError: If it is not a result; the message says what is wrong.
        """
        try:
            return cls.model_validate(said)
        except ValidationError as error:
            raise ValueError(first_fault(error)) from error

    def test(self, name: str) -> TestSet | None:
        """Return the test set with a name; ``None`` if the result does not have it."""
        return next((test for test in self.test_sets if test.name == name), None)

    @cached_property
    def distances(self) -> Distances | None:
        """The distances of synthetic patches from the main test set; ``None`` if not given."""
        return next((d for test in self.test_sets if (d := test.distances)), None)

    @property
    def offline_distance(self) -> float | None:
        """The offline distance; ``None`` without synthetic patches, or where it is not given."""
        return self.distances.offline if self.distances else None

    @property
    def mask_distance(self) -> float | None:
        """The mask distance; ``None`` like the offline one, and in results of earlier versions."""
        return self.distances.mask if self.distances else None

    @property
    def fid(self) -> Fid | None:
        """FID, or the reason why it is missing; ``None`` if its test set is not given."""
        return self.distances.fid if self.distances else None

    @property
    def fitted_as(self) -> str:
        """The key of the run that the ledger has the fit under: its own, or the one it shares."""
        return self.fit_of or self.run_key

    @property
    def guarantees(self) -> dict[str, Guarantee]:
        """The guarantee of each site of a federated fit, by its name; empty for other fits."""
        return {one.site: one.guarantee for one in self.sites}

    def with_tests(self, change: Callable[[TestSet], TestSet | None]) -> Self:
        """Copy with every test set changed, those with own patients too.

        Args:
            change: Returns the changed test set; ``None`` removes it.
        """

        def changed(tests: tuple[TestSet, ...]) -> tuple[TestSet, ...]:
            return tuple(kept for test in tests if (kept := change(test)) is not None)

        made = self.but(test_sets=changed(self.test_sets))
        if not self.own:
            return made
        own = (
            one.but(test_sets=changed(one.test_sets), alone=changed(one.alone)) for one in self.own
        )
        return made.but(own=tuple(own))


OF_MAIN = ("offline_distance", "fid")
"""The fields that earlier versions wrote beside the test sets."""


def carried_over(said: Mapping[str, Any]) -> dict[str, Any]:
    """Move the distances of an earlier version's result into the entry of their test set.

    If that test set is not in the result, they are removed. Content that is not a result is
    returned unchanged, for its reader to refuse.

    Args:
        said: The content of the file.
    """
    if not any(name in said for name in OF_MAIN):
        return dict(said)
    try:
        main = next(iter(said["spec"]["test_data"]))
        moved = {name: said[name] for name in OF_MAIN if name in said}
        tests = [{**t, **(moved if t["name"] == main else {})} for t in said["test_sets"]]
    except (TypeError, KeyError, StopIteration):
        return dict(said)
    return {**{n: v for n, v in said.items() if n not in OF_MAIN}, "test_sets": tests}


def tests_in(result: Result) -> Iterator[TestSet]:
    """Yield the test sets, and then the validation patients' scores if there are any."""
    yield from result.test_sets
    if result.validation:
        yield result.validation
