"""The rows of a board, which are cells over seeds, and the tables in which they may be ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from benchmark.core.budget import Guarantee
from benchmark.metrics.crossed import Estimate
from benchmark.metrics.paired import difference
from benchmark.results.bookends import UPPER, Choice, is_free
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec, canonical
from leaderboard.entries import Entry
from leaderboard.scores import Scored
from leaderboard.versions import why_unranked

HERE, VERIFIED, IN_PART, REFUSED = "computed here", "verified", "in part", "does not add up"
AUDITED, REPLAYED = "audited", "replayed"
CHECKS = {
    HERE: "Computed by whoever built this page.",
    VERIFIED: "All that a file can be held to was computed again from its own numbers.",
    IN_PART: "Some of its numbers could not be computed again; its row says which.",
    REFUSED: "Its numbers do not add up; its row says which.",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One generator with its settings at one privacy level. Its cells differ in the seed alone.

    Attributes:
        who: The generator's name, where it was trained, whether it was tuned, and what else
            distinguishes it from others of its table.
        cells: Finished or not, by seed.
        tests: Scores by test set; empty if no cell is done.
        guarantee: The worst of its cells'; ``None`` if no cell is done.
    """

    who: str
    cells: Sequence[Entry]
    tests: Mapping[str, Scored]
    guarantee: Guarantee | None

    @property
    def spec(self) -> RunSpec:
        """The spec of the first seed."""
        return self.cells[0].spec

    @property
    def recipe(self) -> str:
        """All that decides it but seeds, patients and δ, as text: the same on every cohort.

        A δ is lawful for its number of patients, so it may differ with the cohort. FID's weights
        decide no other score.
        """
        how = self.spec.federation and replace(self.spec.federation, assignment=None)
        bare = replace(self.spec, seed=0, data="", test_data={}, validation="", fid_weights="")
        return canonical(replace(bare, delta=0.5, federation=how).as_dict())

    @property
    def asked(self) -> int:
        """How many seeds there are, finished or not."""
        return len(self.cells)

    @property
    def done(self) -> list[Entry]:
        """The finished cells."""
        return [cell for cell in self.cells if cell.status == "done"]

    @property
    def check(self) -> str:
        """Whether the row's numbers were recomputed, as a key of ``CHECKS``."""
        verdicts = [cell.verdict for cell in self.cells if cell.verdict is not None]
        if self.is_refused:
            return REFUSED
        if not verdicts:
            return HERE
        return IN_PART if any(verdict.unchecked for verdict in verdicts) else VERIFIED

    @property
    def badges(self) -> dict[str, str]:
        """Each badge with its reason. All badges are found here; a file cannot claim one."""
        found = {self.check: CHECKS[self.check]}
        if self.is_refused:
            return found
        if audit := next((cell.audit for cell in self.done if cell.audit), ""):
            found[AUDITED] = audit
        if self.done and all(cell.replay and cell.replay.is_same for cell in self.done):
            found[REPLAYED] = "Every cell was computed again here, and every score is the same."
        return found

    @property
    def is_refused(self) -> bool:
        """Whether a published cell's numbers do not add up, so that the row is not ranked."""
        return any(cell.faults for cell in self.cells)

    @property
    def unranked(self) -> str:
        """Why it is not ranked, if another version of its generator is installed; else empty."""
        return why_unranked(self.spec)

    @property
    def is_compared(self) -> bool:
        """Whether it is in charts: its numbers add up, and its version is the installed one."""
        return not (self.is_refused or self.unranked)

    @property
    def is_bookend(self) -> bool:
        """Whether it is a bookend."""
        return self.spec.generator.name == UPPER or is_free(self.spec)

    @property
    def is_rival(self) -> bool:
        """Whether it is ranked: compared with others, and neither a bookend nor a control."""
        return self.is_compared and not (self.is_bookend or self.spec.control)

    @property
    def is_direct(self) -> bool:
        """Whether the segmenter itself was fitted, without synthetic patches."""
        return self.spec.is_direct

    def over(self, other: Row, test_set: str) -> Estimate:
        """Estimate by how much its Dice is above another row's, on a test set that both have."""
        return difference(self.tests[test_set].told, other.tests[test_set].told)[0]

    def mean(self, of: Callable[[Result], float | None]) -> float | None:
        """Average a number over the finished cells that have it; ``None`` if none has."""
        values = [value for cell in self.done if (value := of(cell.told)) is not None]
        return fmean(values) if values else None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows that may be ranked against each other.

    Attributes:
        key: A digest of all that they share.
        common: The spec of one of them, for what they share.
        phantoms: Whether the data are phantoms.
        relation: The neighbouring relation.
        free: The free row that all others are compared with.
        rows: The upper bookend, generators by name and falling ε, private segmenters, the free
            rows; then those of other versions, and last those that do not add up.
    """

    key: str
    common: RunSpec
    phantoms: bool
    relation: str
    free: Choice | None
    rows: Sequence[Row]

    def is_best_free(self, row: Row) -> bool:
        """Tell whether a row is the free row that all others are compared with."""
        name = self.free.name if self.free else None
        return row.is_compared and row.spec.generator.name == name

    @property
    def test_sets(self) -> list[str]:
        """The names of the test sets, the main one first, without those that are withheld."""
        told = {name for row in self.rows for name in row.tests}
        names = list(self.common.test_data)
        return [name for name in names if name in told] or names
