"""The columns of rows beside scores, and the text forms of numbers, for the page and Markdown."""

from __future__ import annotations

import math

from benchmark.metrics.crossed import Crossed, Estimate, OneDraw
from benchmark.results.bookends import LOWER, METHODS, UPPER
from benchmark.results.result import Result
from benchmark.results.scored import Fid
from leaderboard.rows import Row, Table

A_PATCH_ABOVE = (
    "A patch can cost more than its patient: zeroing out a patient moves the sum by the clip norm "
    "at most, and changing one of the patient's patches can move it by twice that."
)
"""The note that is shown where an ε of a patch is above that of its patient."""

LABELS = {
    UPPER: "real patches",
    LOWER: "data-free simulator",
    **{name: f"{name}, free" for name in METHODS},
}


def costs_more(patch: float | None, patient: float | None) -> bool:
    """Tell whether a patch's ε is above its patient's, where both are known."""
    return patch is not None and patient is not None and patch > patient


def name_of(row: Row) -> str:
    """Return a row's name on the page."""
    return LABELS.get(row.who, row.who)


def status_of(row: Row) -> str:
    """Return ``done`` if a cell of the row is done, else the status of its first cell."""
    return "done" if row.done else row.cells[0].status


def selection_of(row: Row) -> str:
    """Return how the row's settings were chosen."""
    return row.spec.tuned.selection if row.spec.tuned else "preset"


def suite_of(row: Row) -> tuple[str, str]:
    """Return the version and the commit of the suite that computed the row."""
    said = row.done[0].told.suite if row.done else None
    return (said.version, said.commit[:10]) if said else ("unknown", "unknown")


def plug_ins_of(row: Row) -> list[str]:
    """Return a sentence for each plug-in from outside the suite, with its distribution."""
    said = row.done[0].told.plug_ins if row.done else {}
    return [
        f"{name} is of {one.distribution} {one.version}"
        + (f", {one.address}." if one.address else "; it names no address.")
        for name, one in said.items()
    ]


def version_of(row: Row) -> str:
    """Return the generator's version, and why its row is not ranked if another one is installed."""
    return row.unranked.removeprefix("version ") or str(row.spec.generator.version)


def distance_of(row: Row) -> float | None:
    """Return the mean offline distance of a row."""
    return row.mean(distance_value)


def mask_distance_of(row: Row) -> float | None:
    """Return the mean mask distance of a row; ``None`` for results of earlier versions."""
    return row.mean(lambda result: result.mask_distance)


def seconds_of(row: Row) -> float | None:
    """Return the mean duration of a row's cells, in seconds."""
    return row.mean(lambda result: result.seconds["total"])


def peak_of(row: Row) -> float | None:
    """Return the mean peak memory of a row's cells in MiB, where it was measured."""
    return row.mean(lambda result: result.peak_mib)


def far_name(table: Table) -> str:
    """Return the name of a table's distance: FID only where it was computed."""
    if fid := fid_said(table):
        return f"FID (n = {fid.n}, {fid.dims} dims)"
    return "offline distance (FID is missing)"


def fid_said(table: Table) -> Fid | None:
    """Return the FID of a cell of the table; ``None`` if none has one."""
    results = (cell.told for row in table.rows if row.is_compared for cell in row.done)
    return next((result.fid for result in results if fid_value(result) is not None), None)


def fid_in_short(row: Row) -> str:
    """Write a row's FID with the numbers behind it, or ``missing``.

    A row without synthetic patches gets a dash.
    """
    found = row.mean(fid_value)
    if row.is_direct:
        return "–"
    return "missing" if found is None else f"{short_text(found)} ({fid_of(row)})"


def fid_of(row: Row) -> str:
    """Write the numbers of patches and features behind a row's FID; empty if it has none."""
    found = (cell.told.fid for cell in row.done if fid_value(cell.told) is not None)
    fid = next(found, None)
    return f"n = {fid.n}, {fid.dims} dims" if fid else ""


def fid_in_words(row: Row) -> str:
    """Write the numbers behind a row's FID, or why it is missing."""
    missing = {fid.reason or "" if (fid := cell.told.fid) else "" for cell in row.done}
    return fid_of(row) or " ".join(sorted(missing))


def sortable(epsilon: float | None) -> float | str | None:
    """Return an ε as JSON can hold it: infinity becomes the text ``inf``."""
    if epsilon is None:
        return None
    return "inf" if math.isinf(epsilon) else epsilon


def short_text(value: float | None) -> str:
    """Write a number with three significant digits; a dash for ``None``."""
    return "–" if value is None else f"{value:.3g}"


def short(value: float | None) -> float | None:
    """Round a number to four significant digits."""
    return None if value is None else float(f"{value:.4g}")


def fid_value(result: Result) -> float | None:
    """Return the FID of a finished cell; ``None`` if it was not computed."""
    return result.fid.value if result.fid else None


def distance_value(result: Result) -> float | None:
    """Return the offline distance of a finished cell; ``None`` without synthetic patches."""
    return result.offline_distance


def estimate_text(found: Estimate | None, digits: int, *, signed: bool = False) -> str:
    """Write a mean with its 95 % interval, or with the words that replace it for one draw.

    Args:
        found: The mean; a dash is returned for ``None``.
        digits: The number of decimals.
        signed: Whether a plus sign is written.
    """
    if found is None:
        return "–"
    if isinstance(found, OneDraw):
        return f"{found.mean:{'+' if signed else ''}.{digits}f} ({found.words})"
    return interval_text(found.mean, found.low, found.high, digits, signed=signed)


def interval_text(
    mean: float, low: float, high: float, digits: int, *, signed: bool = False
) -> str:
    """Write a mean with the ends of its interval.

    Args:
        mean: The mean.
        low: The lower end.
        high: The upper end.
        digits: The number of decimals.
        signed: Whether a plus sign is written.

    Examples:
        >>> interval_text(0.5, 0.4, 0.6, 1), interval_text(0.1, -0.1, 0.3, 1)
        ('0.5 [0.4–0.6]', '0.1 [-0.1 to 0.3]')
    """
    form = f"{'+' if signed else ''}.{digits}f"
    to = " to " if signed or low < 0 else "–"
    return f"{mean:{form}} [{low:{form}}{to}{high:{form}}]"


def number_text(value: float | None, digits: int = 2) -> str:
    """Write a number with some decimals; a dash for ``None``."""
    return "–" if value is None else f"{value:.{digits}f}"


def share_text(found: Estimate | None, share: float | None) -> str:
    """Write a share with its interval, where it has one of some width.

    Args:
        found: The share with its interval; ``None`` where it has none.
        share: The share; a dash is returned for ``None``.
    """
    if share is not None and isinstance(found, Crossed) and found.high > found.low:
        return interval_text(share, found.low, found.high, 2)
    return number_text(share)


def p_text(p: float) -> str:
    """Write a p-value.

    Examples:
        >>> p_text(0.0312), p_text(1e-6)
        ('p = 0.031', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
