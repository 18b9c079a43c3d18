"""What rows and tables say beside scores, and how numbers are written, on page and in Markdown."""

from __future__ import annotations

import math

from benchmark.metrics.crossed import Estimate, OneDraw
from benchmark.results.bookends import LOWER, METHODS, UPPER
from benchmark.results.result import Result
from benchmark.results.scored import Fid
from leaderboard.rows import Row, Table

A_PATCH_ABOVE = (
    "A patch can cost more than its patient: zeroing out a patient moves the sum by the clip norm "
    "at most, and changing one of the patient's patches can move it by twice that."
)
"""To be said where an ε of a patch is above that of its patient."""

LABELS = {
    UPPER: "real patches",
    LOWER: "data-free simulator",
    **{name: f"{name}, free" for name in METHODS},
}


def costs_more(patch: float | None, patient: float | None) -> bool:
    """Whether a patch's ε is above its patient's, where both are known."""
    return patch is not None and patient is not None and patch > patient


def name_of(row: Row) -> str:
    """What the page calls it."""
    return LABELS.get(row.who, row.who)


def status_of(row: Row) -> str:
    """Of its cells, what says most."""
    return "done" if row.done else row.cells[0].status


def selection_of(row: Row) -> str:
    """How its settings were chosen."""
    return row.spec.tuned.selection if row.spec.tuned else "preset"


def suite_of(row: Row) -> tuple[str, str]:
    """The version of the suite that computed it, and the commit."""
    said = row.done[0].told.suite if row.done else None
    return (said.version, said.commit[:10]) if said else ("unknown", "unknown")


def plug_ins_of(row: Row) -> list[str]:
    """Where plug-ins that are not the suite's come from, a sentence each."""
    said = row.done[0].told.plug_ins if row.done else {}
    return [
        f"{name} is of {one.distribution} {one.version}"
        + (f", {one.address}." if one.address else "; it names no address.")
        for name, one in said.items()
    ]


def version_of(row: Row) -> str:
    """The generator's version, and why its row is not ranked if it is another than the present."""
    return row.unranked.removeprefix("version ") or str(row.spec.generator.version)


def distance_of(row: Row) -> float | None:
    """The offline distance."""
    return row.mean(distance_value)


def mask_distance_of(row: Row) -> float | None:
    """How far synthetic masks lie from real ones by shape; ``None`` in earlier results."""
    return row.mean(lambda result: result.mask_distance)


def seconds_of(row: Row) -> float | None:
    """Of a cell."""
    return row.mean(lambda result: result.seconds["total"])


def peak_of(row: Row) -> float | None:
    """Memory in MiB, where it was measured."""
    return row.mean(lambda result: result.peak_mib)


def far_name(table: Table) -> str:
    """What the distance is called: FID only where it is one."""
    if fid := fid_said(table):
        return f"FID (n = {fid.n}, {fid.dims} dims)"
    return "offline distance (FID is missing)"


def fid_said(table: Table) -> Fid | None:
    """What a cell says of its FID, if any has one."""
    results = (cell.told for row in table.rows if row.is_compared for cell in row.done)
    return next((result.fid for result in results if fid_value(result) is not None), None)


def fid_in_short(row: Row) -> str:
    """FID with what it rests on, or that it is missing; a dash where nothing is synthetic."""
    found = row.mean(fid_value)
    if row.is_direct:
        return "–"
    return "missing" if found is None else f"{short_text(found)} ({fid_of(row)})"


def fid_of(row: Row) -> str:
    """On what it rests."""
    found = (cell.told.fid for cell in row.done if fid_value(cell.told) is not None)
    fid = next(found, None)
    return f"n = {fid.n}, {fid.dims} dims" if fid else ""


def fid_in_words(row: Row) -> str:
    """On what FID rests, or why there is none."""
    missing = {fid.reason or "" if (fid := cell.told.fid) else "" for cell in row.done}
    return fid_of(row) or " ".join(sorted(missing))


def sortable(epsilon: float | None) -> float | str | None:
    """JSON has no infinity."""
    if epsilon is None:
        return None
    return "inf" if math.isinf(epsilon) else epsilon


def short_text(value: float | None) -> str:
    """Three digits of it, or a dash."""
    return "–" if value is None else f"{value:.3g}"


def short(value: float | None) -> float | None:
    """Four digits of it."""
    return None if value is None else float(f"{value:.4g}")


def fid_value(result: Result) -> float | None:
    """The FID of a finished cell, if it was computed."""
    return result.fid.value if result.fid else None


def distance_value(result: Result) -> float | None:
    """The offline distance of a finished cell, if something synthetic was made."""
    return result.offline_distance


def estimate_text(found: Estimate | None, digits: int, *, signed: bool = False) -> str:
    """A mean with its 95 % interval, or with what it has instead; the same wherever it is shown."""
    if found is None:
        return "–"
    if isinstance(found, OneDraw):
        return f"{found.mean:{'+' if signed else ''}.{digits}f} ({found.words})"
    return interval_text(found.mean, found.low, found.high, digits, signed=signed)


def interval_text(
    mean: float, low: float, high: float, digits: int, *, signed: bool = False
) -> str:
    """A mean with its interval's ends, each with that many decimals.

    >>> interval_text(0.5, 0.4, 0.6, 1), interval_text(0.1, -0.1, 0.3, 1)
    ('0.5 [0.4–0.6]', '0.1 [-0.1 to 0.3]')
    """
    form = f"{'+' if signed else ''}.{digits}f"
    to = " to " if signed or low < 0 else "–"
    return f"{mean:{form}} [{low:{form}}{to}{high:{form}}]"


def number_text(value: float | None, digits: int = 2) -> str:
    """That many decimals of it, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def p_text(p: float) -> str:
    """A p-value.

    >>> p_text(0.0312), p_text(1e-6)
    ('p = 0.031', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
