"""Types for the values in files: their ranges, and the form that a published file must have.

Every reader refuses a number out of its range. The form of a text is checked for *published* files
alone: they come from strangers and may hold no free text. On a hospital's own machine, a patient
may have any name. ``leaderboard/schema.json`` is generated from these types.
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


StudyName = Annotated[str, _text(r"^[\w][\wε .,+()=-]{0,99}$")]
"""The name of a study of ``bench tune``, such as ``dp-merf ε=2 patch d14a166c``."""

Name = Annotated[str, _text(_NAME)]
"""The name of a patient, a site, a test set or a setting."""

PlugInName = Annotated[str, _text(_PLUG_IN)]
Key = Annotated[str, _text(r"^[0-9a-f]{12}$")]
Digest = Annotated[str, _text(r"^[0-9a-f]{16}$")]
WeightsDigest = Annotated[str, _text(r"^[0-9a-f]{0,64}$")]
PartitionText = Annotated[str, _text(r"^[a-z][a-z-]{0,19}(:[0-9.,e+-]{1,80})?$")]
Words = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 400})]
"""A sentence that the suite itself wrote."""

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
"""Settings by name; the values are numbers, texts, truth values or ``None``."""


def at_most(many: int, *, at_least: int = 0) -> Any:
    """Bound the number of items of a published list, in its JSON schema.

    Args:
        many: The most items.
        at_least: The fewest items.

    Returns:
        A pydantic ``Field`` to annotate the list with.
    """
    return Field(json_schema_extra={"minItems": at_least, "maxItems": many})


def named(many: int, *, at_least: int = 0) -> Any:
    """Bound the number of entries of a published object whose keys are names, in its JSON schema.

    Args:
        many: The most entries.
        at_least: The fewest entries.

    Returns:
        A pydantic ``Field`` to annotate the mapping with.
    """
    return Field(
        json_schema_extra={
            "minProperties": at_least,
            "maxProperties": many,
            "propertyNames": NAME,
        }
    )
