"""The results of a sweep for a notebook: a table, a chart, and the answer at an ε."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.core.budget import UNITS
from benchmark.core.errors import UsageError
from benchmark.core.names import unknown
from benchmark.metrics.crossed import OneDraw
from benchmark.results.bookends import references_of
from benchmark.results.outcome import Outcome
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec
from benchmark.results.summary import SummaryRow, rows
from leaderboard.answers import Answers
from leaderboard.board import tables_of
from leaderboard.cohorts import Cohorts
from leaderboard.entries import Entry, entries_of, entries_of_sweep
from leaderboard.rows import Table
from leaderboard.standings import free_p, standings_of

if TYPE_CHECKING:
    import altair
    import pandas


class Answer(NamedTuple):
    """The best generator among those that spend at most an ε.

    Attributes:
        generator: Its name.
        epsilon: The ε that it was asked for.
        dice: Its mean Dice.
        low: The lower end of the 95 % interval over seeds and patients; ``None`` for one draw.
        high: The upper end.
        tied: Generators that do not differ significantly from the best.
        words: The answer in sentences.
    """

    generator: str
    epsilon: float
    dice: float
    low: float | None
    high: float | None
    tied: tuple[str, ...]
    words: str

    def __str__(self) -> str:
        """The sentences."""
        return self.words


@dataclass(frozen=True)
class Results:
    """The cells of a sweep, or of several.

    Attributes:
        entries: The cells, finished or not.
        notes: Sentences without which the results could be misread.
    """

    entries: Sequence[Entry]
    notes: Sequence[str] = ()

    @property
    def failed(self) -> dict[str, str]:
        """Why cells failed, by their keys."""
        return {e.spec.key: e.reason for e in self.entries if e.status == "failed"}

    @cached_property
    def rows(self) -> list[SummaryRow]:
        """One row for each cell and test set, as in ``summary.csv``."""
        specs = [entry.spec for entry in self.entries]
        outcomes = [
            Outcome(entry.spec, "done" if entry.status == "done" else "failed", entry.reason)
            for entry in self.entries
        ]
        references = references_of(specs, specs)
        return rows(outcomes, references, self)

    def result(self, spec: RunSpec) -> Result | None:
        """Return a cell's result; ``None`` if it is not done."""
        return self._by_key.get(spec.key)

    @cached_property
    def _by_key(self) -> dict[str, Result]:
        return {entry.spec.key: entry.result for entry in self.entries if entry.result}

    def to_frame(self) -> pandas.DataFrame:
        """Return the rows as a table, with the columns of ``summary.csv``."""
        import pandas

        names = SummaryRow.names()
        table = [[row.value(name) for name in names] for row in self.rows]
        return pandas.DataFrame(table, columns=names)

    def plot(self) -> altair.HConcatChart:
        """Draw Dice on each test set, and the distance, against ε.

        Raises:
            UsageError: If no cell is done.
        """
        from benchmark.terminal.figures import trade_off

        chart = trade_off(self.rows)
        if chart is None:
            raise UsageError("No cell is done, so there is nothing to draw.")
        return chart

    def best(
        self, *, epsilon: float, unit: str | None = None, test_set: str | None = None
    ) -> Answer:
        """Find the best generator among those that spend at most an ε, and its ties.

        Args:
            epsilon: The most that may be spent for the unit.
            unit: ``patch`` or ``patient``; ``None`` where all cells protect the same.
            test_set: Its name; ``None`` for the main one.

        Raises:
            UsageError: If no cell is done, or nothing finished spends as little.
        """
        table = self._table(unit)
        name = test_set or table.test_sets[0]
        if name not in table.test_sets:
            raise UsageError(unknown("test set", name, table.test_sets))
        fit = [one for one in standings_of(table, name) if one.epsilon <= epsilon and one.places]
        if not fit:
            raise UsageError(f"No finished generator spends ε = {epsilon:g} or less for its unit.")
        standing, answers = fit[-1], Answers(table, name, free_p(table, name), Cohorts([table]))
        named, *ties = answers.ties(standing.places)
        row = table.rows[named.row]
        dice = row.tests[name].dice
        low, high = (None, None) if isinstance(dice, OneDraw) else (dice.low, dice.high)
        return Answer(
            generator=row.who,
            epsilon=row.spec.epsilon,
            dice=dice.mean,
            low=low,
            high=high,
            tied=tuple(dict.fromkeys(table.rows[one.row].who for one in ties)),
            words=" ".join(answers.of(standing)),
        )

    def _table(self, unit: str | None) -> Table:
        """The table of a unit, the largest first."""
        if unit is not None and unit not in UNITS:
            raise UsageError(unknown("unit", unit, [*UNITS]))
        tables = tables_of(self.entries, for_owner=True)
        found = [table for table in tables if unit in (None, table.common.unit)]
        if not found:
            raise UsageError("No cell protects that unit." if tables else "There is no cell.")
        if len({table.common.unit for table in found}) > 1:
            raise UsageError("Some cells protect a patch and others a patient; say which unit.")
        return found[0]


def load_results(*paths: str | Path, last: bool = False) -> Results:
    """Load results from this machine.

    Args:
        paths: Folders of ``bench run``, cells' own folders, or published files.
        last: Whether to load only the last sweep of each folder.

    Raises:
        UsageError: If a path has no result.
        DataError: For a damaged one.
    """
    folders = [Path(path) for path in paths]
    if last:
        return Results([entry for folder in folders for entry in entries_of_sweep(folder)])
    return Results(entries_of(folders))
