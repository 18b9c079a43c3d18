"""The answer to "At most this ε, what is best?" in sentences, made from a standing's numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from benchmark.core.budget import epsilon_text
from benchmark.metrics.crossed import Crossed, Estimate, OneDraw
from benchmark.metrics.paired import Chance, difference
from benchmark.metrics.ranking import ALPHA
from benchmark.results.bookends import Choice
from benchmark.results.tuned_settings import NOT_ACCOUNTED
from leaderboard.cohorts import Cohorts
from leaderboard.columns import estimate_text, p_text, selection_of
from leaderboard.rows import Row, Table
from leaderboard.scores import Scored
from leaderboard.standings import Place, Standing, free_p, standings_of
from leaderboard.trends import trend_sentences

FEW = 4
"""How many ties are named. Of any others, only the number is given."""

LOOKED = "Its settings were chosen by looking at patients, so that more than this ε was spent."
NO_FREE = "There is no free row in this table to compare with."
ONE_DRAW = "One draw tells no difference from others: run more seeds."


class Answers:
    """The answers of a table on one test set.

    Args:
        table: The table.
        test_set: The test set's name.
        free: By row number, the corrected p-value of the hypothesis that the row equals the free
            row.
        cohorts: The board's tables, by what they share beside their patients.
    """

    def __init__(
        self, table: Table, test_set: str, free: Mapping[int, float], cohorts: Cohorts
    ) -> None:
        self._table, self._test_set, self._free = table, test_set, free
        self._cohorts = cohorts

    def headline(self, standing: Standing) -> str:
        """Answer in a few words.

        They name the best row, its lead over the free row, its ties, and the cohorts on which this
        holds.
        """
        if not standing.places:
            return "No finished generator spends as little."
        named, *ties = self.ties(standing.places)
        row, scored = self._row(named.row), self._scored(named.row)
        said = f"{_called(row)} has a Dice of {estimate_text(scored.dice, 3)}{_over(row, scored)}"
        if scored.over_free is not None and self._table.free is not None:
            said += f", {self._against_free(named.row, scored.over_free, self._table.free)}"
        said += f". {self._beside(standing, named, ties)}"
        if isinstance(scored.dice, OneDraw):
            return f"{said}{ONE_DRAW}"
        return said + self._cohorts.sentence(self._table, self._test_set, standing, named.row)

    def _beside(self, standing: Standing, named: Place, ties: Sequence[Place]) -> str:
        """Whom the best row is not told apart from."""
        first, who = standing.places[0], self._row(named.row).who
        others = dict.fromkeys(o for p in ties if (o := self._row(p.row).who) != who)
        if named.row == first.row:
            return f"It is tied with {_listed([*others])}. " if others else ""
        highest, _ = difference(self._scored(first.row).told, self._scored(named.row).told)
        return (
            f"The highest, {_called(self._row(first.row))} with {self._dice(first.row):.3f}, has "
            f"{estimate_text(highest, 3)} more, which is not told apart. "
            + (f"Also tied: {_listed([*others])}. " if others else "")
        )

    def of(self, standing: Standing) -> list[str]:
        """Answer in several sentences.

        They name the best row, its ties, the next row, its lead over the free row, and the
        segmenters that were fitted privately themselves.
        """
        if not standing.places:
            return ["No finished generator spends as little.", *self._direct(standing)]
        named, *ties = self.ties(standing.places)
        row, scored = self._row(named.row), self._scored(named.row)
        many = f"{scored.patients} " if scored.patients else ""
        seeds = f"{len(row.done)} seed{'' if len(row.done) == 1 else 's'}"
        return [
            f"{_called(row)}: Dice {estimate_text(scored.dice, 3)} on {many}{self._test_set} "
            f"patients, {seeds}.",
            *self._others(standing, ties, named),
            *([LOOKED] if selection_of(row) == NOT_ACCOUNTED else []),
            self._over_free(named.row),
            *self._direct(standing),
        ]

    def ties(self, places: Sequence[Place]) -> list[Place]:
        """Return the places that do not differ significantly from the highest, the least ε first.

        If the highest is a single draw, it is returned alone.
        """
        if self._is_drawn_once(places[0]):
            return [places[0]]
        return sorted(
            (place for place in places if place.is_tied and not self._is_drawn_once(place)),
            key=lambda place: (self._row(place.row).spec.epsilon, -self._dice(place.row)),
        )

    def _against_free(self, number: int, above: Estimate, free: Choice) -> str:
        """The lead over the free row, and whether it is shown to be one."""
        said = f"{estimate_text(above, 3, signed=True)} against {free.name}, the free row "
        said += "chosen on validation patients"
        if isinstance(above, OneDraw):
            return said
        p = self._free.get(number, above.p)
        least, hardest = self._least(number)
        if above.mean > 0 and hardest != free.name:
            text = estimate_text(least, 3, signed=True)
            said += f", and {text} against {hardest}, the highest free row here"
        verdict = "" if p < ALPHA else ", so no lead is shown"
        return f"{said} ({p_text(p)}{verdict})"

    def _least(self, number: int) -> tuple[Estimate, str]:
        """The least lead over a free row, and that row's name."""
        each = self._scored(number).over_each_free
        hardest = min(each, key=lambda name: each[name].mean)
        return each[hardest], hardest

    def _is_drawn_once(self, place: Place) -> bool:
        return isinstance(self._scored(place.row).dice, OneDraw)

    def _row(self, number: int) -> Row:
        return self._table.rows[number]

    def _scored(self, number: int) -> Scored:
        return self._row(number).tests[self._test_set]

    def _dice(self, number: int) -> float:
        return self._scored(number).dice.mean

    def _others(self, standing: Standing, ties: Sequence[Place], named: Place) -> Iterator[str]:
        """Whom it is told apart from, and whom not."""
        who = self._row(named.row).who
        if all(self._row(place.row).who == who for place in standing.places):
            at = "" if standing.epsilon == math.inf else " at so small an ε"
            yield f"There is no other generator{at}."
        if self._is_drawn_once(named) and len(standing.places) > 1:
            yield ONE_DRAW
        if ties:
            told = [f"{_called(self._row(p.row))} {self._dice(p.row):.3f}" for p in ties[:FEW]]
            more = f" and {len(ties) - FEW} more" if len(ties) > FEW else ""
            yield f"Ties, not told apart from the highest: {', '.join(told)}{more}."
        after = next(
            (p for p in standing.places if not p.is_tied and self._row(p.row).who != who), None
        )
        if after is not None:
            first = standing.places[0]
            gap, _ = difference(self._scored(first.row).told, self._scored(after.row).told)
            behind = "it" if first.row == named.row else _called(self._row(first.row))
            yield (
                f"The next, {_called(self._row(after.row))}, is {estimate_text(gap, 3)} behind "
                f"{behind} ({p_text(after.p)}, corrected for all pairs)."
            )

    def _over_free(self, number: int) -> str:
        scored, free = self._scored(number), self._table.free
        above = scored.over_free
        if above is None or free is None:
            return NO_FREE
        said = f"{free.name}, the free row"
        if isinstance(above, OneDraw):
            return (
                f"It is {above.mean:+.3f} from {said}; one draw does not tell whether it beats it."
            )
        p = self._free.get(number, above.p)
        how = f"paired by {scored.paired}" if scored.paired != "nothing" else "unpaired"
        least, hardest = self._least(number)
        if above.mean > 0 and hardest != free.name:
            how += f", and {hardest}, the highest free row here, by {estimate_text(least, 3)}"
        numbers = f"{estimate_text(above, 3)}, {how}, {p_text(p)}{_better(scored.better)}"
        if p < ALPHA and above.mean > 0:
            return f"It beats {said}, by {numbers}."
        looked = self._row(number).spec.epsilon == math.inf
        bought = "looking at patients" if looked else "the privacy budget"
        if p < ALPHA:
            return f"It falls behind {said} ({numbers}): {bought} bought nothing."
        return f"It is not shown to beat {said} ({numbers}), so not that {bought} bought anything."

    def _direct(self, standing: Standing) -> Iterator[str]:
        """Whether synthesis is worth it: the same ε, spent on the segmenter itself."""
        if not standing.direct:
            return
        number = max(standing.direct, key=self._dice)
        scored = self._scored(number)
        said = (
            f"Without synthesis, {_called(self._row(number))} fits the segmenter itself on the "
            f"patients: Dice {estimate_text(scored.dice, 3)}"
        )
        if not standing.places:
            yield f"{said}."
            return
        gap, _ = difference(scored.told, self._scored(standing.places[0].row).told)
        where = f"{abs(gap.mean):.3f} {'below' if gap.mean < 0 else 'above'} the best generator"
        if isinstance(gap, Crossed):
            where += f" ({'' if gap.p < ALPHA else 'not told apart, '}{p_text(gap.p)})"
        yield f"{said}, {where}."


def summary_of(table: Table, test_set: str, cohorts: Cohorts) -> list[str]:
    """Return the answers at every level and the trends over ε, as lines of Markdown.

    Args:
        table: The table.
        test_set: The test set's name.
        cohorts: The board's tables, by what they share beside their patients.
    """
    answers = Answers(table, test_set, free_p(table, test_set), cohorts)
    lines = [
        f"* At most ε = {epsilon_text(standing.epsilon)}: {' '.join(answers.of(standing))}"
        for standing in standings_of(table, test_set)
    ]
    trends = trend_sentences(table, test_set)
    return [*lines, *([f"* {' '.join(trends)}"] if trends else [])]


def _listed(names: Sequence[str]) -> str:
    """Names in a sentence, the first few of many. Names may have commas of their own."""
    between = "; " if any("," in name for name in names) else ", "
    if len(names) > FEW:
        return f"{between.join(names[:FEW])} and {len(names) - FEW} more"
    return " and ".join([between.join(names[:-1]), names[-1]] if names[1:] else names)


def _over(row: Row, scored: Scored) -> str:
    """Over how many seeds and patients an interval is; one draw says so itself."""
    if isinstance(scored.dice, OneDraw):
        return ""
    patients = f", {scored.patients} patients" if scored.patients else ""
    return f" ({len(row.done)} seeds{patients})"


def _called(row: Row) -> str:
    chosen = f", selection: {NOT_ACCOUNTED}" if selection_of(row) == NOT_ACCOUNTED else ""
    return f"{row.who} (ε = {epsilon_text(row.spec.epsilon)}{chosen})"


def _better(found: Chance | None) -> str:
    if found is None:
        return ""
    return f"; a fresh fit is better with probability {chance_text(found)}"


def chance_text(found: Chance | None) -> str:
    """Write a probability with its interval; a dash for ``None``."""
    if found is None:
        return "–"
    return f"{found.mean:.2f} [{found.low:.2f}–{found.high:.2f}]"
