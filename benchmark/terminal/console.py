"""The terminal output of a sweep, while it runs and at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import click
import rich.console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmark.core.budget import delta_text, epsilon_text
from benchmark.metrics.weights import missing_reason
from benchmark.results.composed import Together, together
from benchmark.results.matrix import MATRIX, Square
from benchmark.results.observers import observed
from benchmark.results.outcome import Outcome
from benchmark.results.own_curve import OWN_CURVE
from benchmark.results.spec import RunSpec
from benchmark.results.store import SAMPLES, Store
from benchmark.results.summary import SUMMARY, called
from benchmark.terminal.isolation import drawn
from benchmark.terminal.remaining import Remaining

if TYPE_CHECKING:
    from benchmark.sweep.sweep import Finished
    from benchmark.sweep.workspace import Listener

PLAIN_WIDTH = 160


class Console:
    """A progress bar for each running cell; plain lines where there is no terminal.

    Args:
        debug: Whether the traceback of a cell that failed in this process is shown.
    """

    def __init__(self, *, debug: bool = False) -> None:
        self._debug = debug
        out = rich.console.Console()
        self._out = out if out.is_terminal else rich.console.Console(width=PLAIN_WIDTH)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:g}/{task.total:g}"),
            TimeElapsedColumn(),
            console=self._out,
            disable=not self._out.is_terminal,
            transient=True,
        )
        self._of_cell: dict[str, TaskID] = {}
        self._preparing: tuple[str, TaskID] | None = None
        self._remaining = Remaining(0)
        self._of_sweep: TaskID | None = None

    def __enter__(self) -> Console:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def listener(self) -> Listener:
        """Return the listener that shows a sweep's progress here."""
        from benchmark.sweep.executors.executor import Events
        from benchmark.sweep.workspace import Listener  # what only shows results need not run

        events = Events(progress=self._progress, ended=self._ended)
        return Listener(
            preparing=self.prepare,
            planned=self._planned,
            events=events,
            warning=self._warn,
            news=self._say,
            drawn=self._drawn,
        )

    def report(self, finished: Finished, out: Path) -> None:
        """Print the tables, failures and files of a finished sweep, and write its reports.

        Args:
            finished: The sweep.
            out: The folder of its results.
        """
        from benchmark.terminal.consortium import observers_table
        from benchmark.terminal.figures import (
            HEAT_MAP,
            PATCHES,
            TRADE_OFF,
            draw_patches,
            draw_trade_off,
        )
        from benchmark.terminal.own_patients import CURVE, draw_own, own_table
        from benchmark.terminal.reports import MARKDOWN, PAGE, write_report
        from benchmark.terminal.table import matrix_table, sweep_table
        from leaderboard.entries import entries_of_sweep

        table, outcomes, matrix, notes, own, store = finished
        self._out.print(sweep_table(table))
        strips = _strips([outcome.spec for outcome in outcomes], store)
        drew = [
            drawn(lambda: draw_trade_off(table, out / TRADE_OFF)),
            drawn(lambda: draw_patches(strips, out / PATCHES)),
        ]
        for note in notes:
            self._warn(note)
        self.say_together(together(outcomes, store))
        if matrix:
            self._out.print(matrix_table(matrix))
        if seen := observed(outcomes, store):
            self._out.print(observers_table(seen, of_run=True))
        if own:
            drew.append(drawn(lambda: draw_own(own, out / CURVE)))
            self._out.print(own_table(own))
        if any(row.offline_distance is not None and row.fid is None for row in table):
            self._warn(missing_reason())
        for outcome in outcomes:
            if outcome.state == "failed":
                last = outcome.error.strip().splitlines()[-1]
                self._out.print(f"[red]{label(outcome.spec)} failed:[/] {escape(last)}")
        if busy := sum(outcome.state == "busy" for outcome in outcomes):
            self._warn(
                f"Another process computes {busy} of these cells; the same command shows them once "
                "it has ended."
            )
        names = [SUMMARY, TRADE_OFF, PATCHES, *([MATRIX, HEAT_MAP] if matrix else [])]
        names += [OWN_CURVE, CURVE] if own else []
        drew.append(drawn(lambda: write_report(entries_of_sweep(out, store), out)))
        if not all(drew):
            self._warn(
                "The memory limit of this process does not suffice for charts; `bench report` "
                "makes pages without it."
            )
        files = [out / name for name in (*names, PAGE, MARKDOWN)]
        self._out.print(f"Files: {', '.join(str(file) for file in files if file.exists())}")

    def show(self, table: Table) -> None:
        """Print a table."""
        self._out.print(table)

    def say_together(self, whole: Together | None) -> None:
        """Print the composed cost of several private fits; nothing if it is ``None``."""
        if whole is None:
            return
        patient = (
            f" (a patient: {epsilon_text(whole.epsilon_patient)})" if whole.unit == "patch" else ""
        )
        self._out.print(
            f"Composed over the {whole.fits} private fits: "
            f"ε = {epsilon_text(whole.epsilon)} for a {whole.unit}{patient}; "
            f"δ = {delta_text(whole.delta)}."
        )

    def _say(self, sentence: str) -> None:
        self._out.print(escape(sentence))

    def _warn(self, sentence: str) -> None:
        self._out.print(f"[yellow]{escape(sentence)}[/]")

    def prepare(self, stage: str, done: int, total: int) -> None:
        """Show how much of a stage is done."""
        if self._preparing is None or self._preparing[0] != stage:
            self._drop()
            self._preparing = (stage, self._bars.add_task(stage, total=total))
            if not self._out.is_terminal:
                self._out.print(f"{stage} ({total})")
        self._bars.update(self._preparing[1], completed=done)

    def _drop(self) -> None:
        if self._preparing is not None:
            self._bars.remove_task(self._preparing[1])
            self._preparing = None

    def _drawn(self, matrix: Sequence[Square], out: Path) -> Path:
        from benchmark.terminal.figures import HEAT_MAP, draw_matrix

        drawn(lambda: draw_matrix(matrix, out / HEAT_MAP))
        return out / HEAT_MAP

    def _planned(self, specs: list[RunSpec], pending: list[RunSpec]) -> None:
        self._drop()
        kept = len(specs) - len(pending)
        self._out.print(f"{len(specs)} cells, {kept} of them done before.")
        if self._of_sweep is not None:
            self._bars.remove_task(self._of_sweep)
        self._remaining = Remaining(len(pending))
        words = self._remaining.words
        self._of_sweep = self._bars.add_task(words, total=len(pending)) if pending else None

    def _progress(self, spec: RunSpec, stage: str, done: int, total: int) -> None:
        self._drop()
        self._remaining.begin(spec.key)
        if spec.key not in self._of_cell:
            self._of_cell[spec.key] = self._bars.add_task("")
        self._show_remaining()
        text = f"{label(spec)}: {stage}"
        self._bars.update(self._of_cell[spec.key], description=text, completed=done, total=total)

    def _ended(self, outcome: Outcome) -> None:
        bar = self._of_cell.pop(outcome.spec.key, None)
        if bar is not None:
            self._bars.remove_task(bar)
        self._remaining.end(outcome.spec.key)
        self._show_remaining()
        count = f" ({self._remaining.words})" if self._of_sweep is not None else ""
        self._out.print(f"{label(outcome.spec)}: {outcome.state}{count}")
        if self._debug and outcome.trace:
            click.echo(outcome.trace, err=True)

    def _show_remaining(self) -> None:
        """In the bar of the whole sweep: how many cells have ended, and how long the rest takes."""
        if self._of_sweep is not None:
            known = self._remaining
            self._bars.update(self._of_sweep, description=known.words, completed=known.ended)


def _strips(specs: Sequence[RunSpec], store: Store) -> list[tuple[str, Path]]:
    """Labelled strips of one seed's cells, in the order of the table."""
    from benchmark.terminal.table import order

    shown = sorted(
        (spec for spec in specs if spec.seed == specs[0].seed),
        key=lambda spec: order(called(spec), spec.segmenter.name, spec.epsilon),
    )
    of = {(called(s), s.epsilon): store.folder(s) / SAMPLES for s in shown}
    return [(f"{name}, {_epsilon(epsilon)}", file) for (name, epsilon), file in of.items()]


def label(spec: RunSpec) -> str:
    """Name a cell in a few words: generator, ε, segmenter and seed."""
    segmenter = "" if spec.is_direct else f", {spec.segmenter.name}"
    return f"{called(spec)}, {_epsilon(spec.epsilon)}{segmenter}, seed {spec.seed}"


def _epsilon(value: float) -> str:
    return "ε = ∞" if math.isinf(value) else f"ε = {value:g}"
