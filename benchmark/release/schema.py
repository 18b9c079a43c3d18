"""The JSON schema of ``privacy.json``, made from the types of its parts.

``python -m benchmark.release.schema`` writes ``schema.json``, for readers without the suite.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.core.files import write_text
from benchmark.release.statement import Statement
from leaderboard.schema import check, without_kept, without_titles

SCHEMA = Path(__file__).with_name("schema.json")
KEPT = {"RunSpec": ("own",), "TunedBy": ("trial",)}
"""The fields that no release may have; canaries are declared."""


def schema() -> dict[str, Any]:
    """Return the schema of a release's statement."""
    made = Statement.model_json_schema()
    types = made.pop("$defs")
    without_kept(types, KEPT)
    types.pop("OwnPatients", None)
    written = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **without_titles({**made, "$defs": types}),
    }
    return {"title": "The privacy statement of a release of AngioBench", **written}


def check_statement(said: Any) -> None:
    """Refuse what breaks the schema.

    Args:
        said: The content of a JSON file.

    Raises:
        ValueError: With the place and the rule.
    """
    check(said, _validator())


@cache
def _validator() -> Any:
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator(schema())


if __name__ == "__main__":
    write_text(SCHEMA, json.dumps(schema(), indent=1) + "\n")
