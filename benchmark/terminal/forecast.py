"""The tables and sentences of ``bench run --dry-run``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.core.budget import epsilon_text
from benchmark.privacy.ledger.ledger import DELTA
from benchmark.results.summary import called
from benchmark.sweep.forecast.forecast import Forecast
from benchmark.sweep.forecast.predict import (
    ESTIMATED,
    MEASURED,
    ROUGH,
    UNKNOWN,
    CellForecast,
    standard_error,
)
from benchmark.sweep.forecast.work import STAGES
from benchmark.terminal.remaining import in_words

NONE = "–"
SOURCES = {
    MEASURED: "measured: the mean of cells of this kind on this machine",
    ESTIMATED: "estimated: the board's seconds of the same settings and sizes, times a calibration "
    "of this machine",
    ROUGH: "rough: the same, scaled from other settings or sizes, or from one or two cells",
    UNKNOWN: "unknown: a plug-in that neither this machine nor the board has timed; counted as 0",
}
ERROR = "An estimate may be wrong by a factor of two, a rough one by three (docs/start.md)."
ALONE = "All hold while nothing else uses the machine."
ON_NODES = (
    "All hold for nodes as fast as this machine, and leave out how long cells wait for a node."
)


def hours_table(found: Forecast) -> Table:
    """Make the table of hours by stage, with a line for each generator and its total."""
    lines: dict[str, list[CellForecast]] = {}
    failed = {outcome.spec.key for outcome in found.unplanned}
    running = [spec for spec in found.pending if spec.key not in failed]
    for spec, cell in zip(running, found.cells, strict=True):
        lines.setdefault(called(spec), []).append(cell)
    kept = Counter(called(spec) for spec in found.specs)
    kept.subtract(Counter(called(spec) for spec in found.pending))
    shown = [s for s in STAGES if any(one.stage == s for c in found.cells for one in c.stages)]
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("generator")
    for heading in ("cells", "done", *(f"{stage}, h" for stage in shown), "h", "MiB a cell"):
        table.add_column(heading, justify="right")
    table.add_column("seconds are")
    for name in kept:
        table.add_row(name, *_line(lines.get(name, []), kept[name], shown))
    table.add_section()
    table.add_row("all", *_line(found.cells, found.done, shown))
    sources = {source for cell in found.cells for source in cell.sources}
    table.caption = Text(" ".join(f"{SOURCES[one]}." for one in SOURCES if one in sources))
    table.caption_justify = "left"
    return table


def _line(cells: Sequence[CellForecast], done: int, stages: Sequence[str]) -> list[str]:
    seconds = [
        sum(one.seconds for cell in cells for one in cell.stages if one.stage == stage)
        for stage in stages
    ]
    peaks = [cell.mib for cell in cells if cell.mib is not None]
    mark = "" if all(cell.mib_measured for cell in cells) else "*"
    sources = {source for cell in cells for source in cell.sources}
    return [
        str(len(cells) + done),
        str(done),
        *(_hours(each) if cells else NONE for each in seconds),
        _hours(sum(seconds)) if cells else NONE,
        f"{max(peaks):.0f}{mark}" if peaks else NONE,
        ", ".join(one for one in SOURCES if one in sources) if cells else "all done",
    ]


def _hours(seconds: float) -> str:
    """Two digits; what is below a hundredth is not shown."""
    hours = seconds / 3600
    if hours < 0.01:
        return "< 0.01" if hours else "0"
    return f"{hours:.2g}" if hours < 100 else f"{hours:.0f}"


def charges_table(found: Forecast) -> Table:
    """Make the table of what each group of patients would be charged."""
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("patients of")
    for heading in ("patients", "new fits", "without a finite ε", "ε now", "ε then", "cap"):
        table.add_column(heading, justify="right")
    for one in found.charges:
        real = one.private
        table.add_row(
            one.group,
            *(str(number) for number in (one.patients, one.fits, one.without_bound)),
            epsilon_text(one.before) if real else NONE,
            epsilon_text(one.after),
            (epsilon_text(found.cap) if found.cap < math.inf else "none") if real else NONE,
        )
    table.caption = Text(_caption(found))
    table.caption_justify = "left"
    return table


def _caption(found: Forecast) -> str:
    words = f"ε of the worst patient of a group at δ = {DELTA:g}, all fits composed. "
    if any(one.private for one in found.charges):
        return words + "The ledger adds the new fits to what was paid before. Nothing is charged."
    return words + (
        "The patients are phantoms: the ledger records their fits, and no cap holds. ε then leaves "
        "out fits without a finite ε. Nothing is charged."
    )


def sentences(found: Forecast) -> list[str]:
    """Write the whole sweep's time and memory, and how certain they are."""
    if not found.pending:
        return [f"All {len(found.specs)} cells are done.", *found.notes]
    where = f"--jobs {found.jobs}" + (" on the cluster" if found.on_cluster else "")
    whole = f"about {in_words(found.wall_s)} with {where}, " if found.wall_s is not None else ""
    said = [
        f"{len(found.specs)} cells, {found.done} of them done: {whole}{in_words(found.seconds)} of "
        "computing."
    ]
    if found.wall_s is None:
        said.append("The cluster decides how many run at a time; with --jobs the time is told too.")
    if found.mib is not None:
        of = "of a cell on its node" if found.on_cluster else f"with {where}"
        said.append(f"Memory {of}: about {found.mib / 1024:.1f} GiB.")
    return [*said, *_certainty(found), *found.notes]


def _certainty(found: Forecast) -> list[str]:
    stages = [stage for cell in found.cells for stage in cell.stages]
    of = {name: sum(s.seconds for s in stages if s.source == name) for name in SOURCES}
    whole, said = sum(of.values()), []
    if of[MEASURED] and whole:
        error = 2 * standard_error(found.cells)
        share = of[MEASURED] / whole
        said.append(f"{share:.0%} of it is measured here, ± {in_words(error)} (95 %).")
    if any(stage.coarse for stage in stages):
        said.append(
            "Seconds on patients' data are kept rounded up to a power of two, so up to half of "
            "them may not be needed."
        )
    if any(s.source in (ESTIMATED, ROUGH) for s in stages):
        said += [ERROR] if found.on_cluster else [ERROR, ALONE]
    if found.on_cluster:
        said.append(ON_NODES)
    if any(not cell.mib_measured for cell in found.cells):
        said.append("*: memory of the board's cells, not measured here.")
    return said
