"""The JSON schema of published files, made from the types of their parts.

``python -m leaderboard.schema`` writes ``schema.json``, for readers without the suite.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.core.files import write_text
from benchmark.core.forms import NAME, NUMBER
from benchmark.results.result import Result

FORMAT = 2
SCHEMA = Path(__file__).with_name("schema.json")
KEPT = {"RunSpec": ("own", "canaries"), "TunedBy": ("trial",)}
"""The fields that stay with the owner of a cohort: no published file may have them."""

REPEATED = ("title", "description", "default")
_COUNT = {"type": "integer", "minimum": 0, "maximum": 10**9}
_PICTURE = {
    "type": "string",
    "contentEncoding": "base64",
    "pattern": "^[A-Za-z0-9+/]+={0,2}$",
    "maxLength": 400_000,
}
_CURVE = {
    "type": "array",
    "maxItems": 200,
    "items": {"type": "array", "prefixItems": [_COUNT, NUMBER], "items": False, "minItems": 2},
}


def schema() -> dict[str, Any]:
    """Return the schema of one published file."""
    result = Result.model_json_schema()
    types = result.pop("$defs")
    without_kept(types)
    for unused in ("OwnPatients", "OwnResult"):
        types.pop(unused, None)
    made: dict[str, Any] = without_titles(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "required": ["format", "result", "curves", "pictures"],
            "additionalProperties": False,
            "properties": {
                "format": {"const": FORMAT},
                "result": {"$ref": "#/$defs/Result"},
                "curves": {
                    "type": "object",
                    "maxProperties": 40,
                    "propertyNames": {"$ref": "#/$defs/name"},
                    "additionalProperties": _CURVE,
                },
                "pictures": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"samples": _PICTURE, "neighbours": _PICTURE},
                },
            },
            "$defs": {"name": NAME, "Result": result, **types},
        }
    )
    return {"title": "A published result of AngioBench", **made}


def without_kept(types: Mapping[str, Any], kept: Mapping[str, Sequence[str]] = KEPT) -> None:
    """Remove the fields that stay with their owner from the types of a schema, in place.

    Args:
        types: The ``$defs`` that Pydantic made.
        kept: The fields by their type.
    """
    for name, fields in kept.items():
        for field in fields:
            del types[name]["properties"][field]


def check(said: Any, validator: Any) -> None:
    """Refuse content that breaks a schema.

    Args:
        said: The content of a JSON file.
        validator: A validator of ``jsonschema_rs``.

    Raises:
        ValueError: With the place and the rule, and nothing of the content but names.
    """
    error = next(iter(validator.iter_errors(said)), None)
    if error is not None:
        where = "/".join(map(str, error.instance_path)) or "the file"
        law = type(error.kind).__name__
        wrong = error.message if law == "Required" else f"it breaks `{law}`"
        raise ValueError(f"at {where[:80]!r}, {wrong}")


def without_titles(said: Any) -> Any:
    """Remove from a schema what Pydantic repeats of the names, and of docstrings."""
    if isinstance(said, list):
        return [without_titles(one) for one in said]
    if not isinstance(said, dict):
        return said
    return {
        name: without_titles(one)
        for name, one in said.items()
        if name not in REPEATED or isinstance(one, dict)  # a field may be called so
    }


if __name__ == "__main__":
    write_text(SCHEMA, json.dumps(schema(), indent=1) + "\n")
