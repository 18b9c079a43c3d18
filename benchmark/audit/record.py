"""The record of an audit as a file: what was asked, and what was counted.

The file holds numbers and names of laws alone, no free text. A reader plans the claim again and
computes every bound from the guesses (``leaderboard.audits``); nothing in the file is a verdict.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.audit.report import AuditReport
from benchmark.audit.request import Audit, Subject, settings_of
from benchmark.core.errors import UsageError
from benchmark.core.files import plain, write_json

FORMAT = 1


def record_of(asked: Audit, subject: Subject, found: AuditReport) -> dict[str, Any]:
    """Return the record of an audit, as JSON can hold it.

    Args:
        asked: What was audited.
        subject: What was attacked.
        found: The result.
    """
    fitted, said = subject.fitted, found.verdict
    numbers = ("canaries", "guesses", "right")
    membership = found.membership.judgements if found.membership else ()
    record = {
        "format": FORMAT,
        "generator": {
            "name": fitted.name,
            "version": fitted.version,
            "settings": settings_of(asked).as_dict(),
        },
        "epsilon": asked.epsilon,
        "unit": asked.unit,
        "edition": asked.protocol,
        "preset": asked.preset,
        "seed": asked.seed,
        "claim": found.claim.as_dict(),
        "canaries": {name: getattr(said, name) for name in numbers} if said else None,
        "laws": sorted(found.laws),
        "broken": sorted(found.broken),
        "membership": [
            {
                "unit": judgement.claim.unit,
                "candidates": judgement.candidates,
                "attempts": [{"guesses": a.guesses, "right": a.right} for a in judgement.attempts],
            }
            for judgement in membership
        ],
    }
    shown: dict[str, Any] = plain(record)
    return shown


def write_record(record: dict[str, Any], folder: Path) -> Path:
    """Write a record to ``<generator>-<unit>-<epsilon>.json`` in a folder, and return the file."""
    name = f"{record['generator']['name']}-{record['unit']}-{record['epsilon']:g}.json"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / name, record)
    return folder / name


def check_may_leave(*, private: bool) -> None:
    """Refuse to write a record of figures that were measured on patients.

    Raises:
        UsageError: If the data are private.
    """
    if private:
        raise UsageError(
            "--out writes an audit for a board, and figures measured on patients stay at home; "
            "audit on the embedded phantoms, or leave --out away."
        )
