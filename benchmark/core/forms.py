"""The types of what is written to files: their bounds, and the form that a published file has.

A number out of its bounds is refused wherever a file is read. The form of a text is a law for
*published* files alone, which come from strangers and may hold no free text: on a hospital's own
machine a patient may be called as the hospital likes. ``leaderboard/schema.json`` is generated from
these types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

HUGE = 1e15
NUMBER = {"type": "number", "minimum": -HUGE, "maximum": HUGE}
_NAME, _PLUG_IN = r"^[\w][\w .,+()-]{0,63}$", r"^[a-z][a-z0-9-]{0,39}$"
NAME: dict[str, Any] = {"type": "string", "pattern": _NAME}


def _text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


Name = Annotated[str, _text(_NAME)]
"""Of a patient, a site, a test set, a setting."""

PlugInName = Annotated[str, _text(_PLUG_IN)]
Key = Annotated[str, _text(r"^[0-9a-f]{12}$")]
Digest = Annotated[str, _text(r"^[0-9a-f]{16}$")]
WeightsDigest = Annotated[str, _text(r"^[0-9a-f]{0,64}$")]
PartitionText = Annotated[str, _text(r"^[a-z][a-z-]{0,19}(:[0-9.,e+-]{1,80})?$")]
Words = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 400})]
"""A sentence of the suite's own."""

Number = Annotated[float, Field(ge=-HUGE, le=HUGE, allow_inf_nan=False)]
Size = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[
    float,
    Field(ge=0),
    WithJsonSchema({"anyOf": [{**NUMBER, "minimum": 0}, {"const": "inf"}]}),
]
"""At least 0; infinity, which JSON lacks, is written ``"inf"``."""

Count = Annotated[int, Field(ge=0, le=10**9)]
Steps = Annotated[int, Field(ge=0, le=10**7)]
Many = Annotated[int, Field(ge=1, le=10**7)]
Sites = Annotated[int, Field(ge=1, le=10_000)]

_SETTING = {
    "anyOf": [
        NUMBER,
        {"type": "boolean"},
        {"type": "null"},
        {"type": "string", "pattern": r"^[\w .,:+()-]{0,100}$"},
    ]
}
Values = Annotated[
    Mapping[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": 60,
            "propertyNames": NAME,
            "additionalProperties": _SETTING,
        }
    ),
]
"""Settings by name: numbers, texts, truth values."""


def at_most(many: int, *, at_least: int = 0) -> Any:
    """So many items in a published list."""
    return Field(json_schema_extra={"minItems": at_least, "maxItems": many})


def named(many: int, *, at_least: int = 0) -> Any:
    """So many entries with names in a published object."""
    return Field(
        json_schema_extra={
            "minProperties": at_least,
            "maxProperties": many,
            "propertyNames": NAME,
        }
    )
