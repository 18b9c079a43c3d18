"""What all parts of a result file have in common."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from benchmark.core.files import plain


class Form(BaseModel):
    """A part of a result file; what was not said when it was made is not written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def has(self, name: str) -> bool:
        """Whether the file says something of it."""
        return name in self.model_fields_set

    def but(self, *gone: str, **changed: Any) -> Self:
        """The same with some fields changed, and without others."""
        kept = {name: getattr(self, name) for name in self.model_fields_set if name not in gone}
        values = {**kept, **changed}
        return self.model_construct(_fields_set={*values}, **values)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        said: dict[str, Any] = plain(self.model_dump(exclude_unset=True))
        return said
