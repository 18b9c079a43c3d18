"""The base of all parts of a result file."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from benchmark.core.files import plain

_GIVEN: dict[frozenset[str], set[str]] = {}


class Form(BaseModel):
    """A part of a result file. Fields that were not given at construction are not written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _share_given(self) -> Self:
        """All forms of the same fields share one set of their names: half of what a mean takes."""
        given = self.model_fields_set
        object.__setattr__(
            self, "__pydantic_fields_set__", _GIVEN.setdefault(frozenset(given), given)
        )
        return self

    def has(self, name: str) -> bool:
        """Tell whether a field was given."""
        return name in self.model_fields_set

    def but(self, *gone: str, **changed: Any) -> Self:
        """Copy with some fields changed and others removed.

        Args:
            *gone: The names of fields to remove.
            **changed: New values by field; they are not checked.
        """
        kept = {name: getattr(self, name) for name in self.model_fields_set if name not in gone}
        values = {**kept, **changed}
        return self.model_construct(_fields_set={*values}, **values)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that were given, as JSON can hold them."""
        said: dict[str, Any] = plain(self.model_dump(exclude_unset=True))
        return said
