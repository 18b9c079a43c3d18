"""What came of a cell, as its file has it: read and written here, and checked whenever it is read.

A file that lacks a field, has one of another type or out of bounds, or whose means do not follow
from its own patients is refused with one sentence. Earlier versions of the suite wrote the
distances of synthetic patches, which tell of the main test set's patients, beside the test sets;
they are moved there when such a file is read.
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
    """What a federated fit gives the patients of one site."""

    site: Name
    guarantee: Guaranteed


class OwnResult(Form):
    """What a segmenter reached with some own patients.

    Attributes:
        patients: How many.
        test_sets: From synthetic patches and theirs.
        alone: From theirs alone.
    """

    patients: Count
    test_sets: tuple[TestSet, ...]
    alone: tuple[TestSet, ...]


class Suite(Form):
    """Which suite computed a result."""

    version: Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9a-z.+-]{1,40}$"})]
    commit: Annotated[
        str, WithJsonSchema({"type": "string", "pattern": "^([0-9a-f]{40}|unknown)$"})
    ]


class PlugInOrigin(Form):
    """The distribution of a plug-in that is not the suite's."""

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
    """What came of a cell.

    Attributes:
        run_key: The spec's key.
        status: Only what is done has a result.
        spec: What decided it.
        guarantee: What the patients paid: of sites, the worst.
        test_sets: The main one first.
        validation: A free row's scores on validation patients.
        sites: What each site of a federated fit paid.
        rounds: How many rounds a federated fit took, their bytes and seconds.
        own: What own patients add, where that was asked.
        private_data: Whether the data are anything but phantoms.
        skipped: Who was left out, and why.
        notes: What may have been read otherwise than it is meant.
        cost_of_skipping: What leaving patients out costs them.
        suite: Which suite computed it.
        plug_ins: Whence plug-ins come that are not the suite's.
        peak_mib: The most memory.
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
        """The result that a JSON file has.

        Raises:
            ValueError: If it is none, with what is wrong.
        """
        try:
            return cls.model_validate(said)
        except ValidationError as error:
            raise ValueError(first_fault(error)) from error

    def test(self, name: str) -> TestSet | None:
        """The test set of that name, if it is told of."""
        return next((test for test in self.test_sets if test.name == name), None)

    @cached_property
    def distances(self) -> Distances | None:
        """Of synthetic patches to the main test set; ``None`` where that is not told of."""
        return next((d for test in self.test_sets if (d := test.distances)), None)

    @property
    def offline_distance(self) -> float | None:
        """``None`` if nothing synthetic was made, or its test set is not told of."""
        return self.distances.offline if self.distances else None

    @property
    def mask_distance(self) -> float | None:
        """``None`` as for the offline one, and in results of earlier versions."""
        return self.distances.mask if self.distances else None

    @property
    def fid(self) -> Fid | None:
        """FID, or why there is none; ``None`` if its test set is not told of."""
        return self.distances.fid if self.distances else None

    @property
    def guarantees(self) -> dict[str, Guarantee]:
        """What each site of a federated fit paid, by its name; empty for any other."""
        return {one.site: one.guarantee for one in self.sites}

    def with_tests(self, change: Callable[[TestSet], TestSet | None]) -> Self:
        """Every test set changed, or left out where it becomes ``None``; own patients' too."""

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
"""What an earlier version wrote beside the test sets."""


def carried_over(said: Mapping[str, Any]) -> dict[str, Any]:
    """A file's result with each distance in the entry of its test set.

    Where that is not told of, its distances are left out. What is no result at all is returned as
    it is, for its reader to refuse.
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
    """The test sets, and the validation patients where there are some."""
    yield from result.test_sets
    if result.validation:
        yield result.validation
