"""The notes that a reader of a table needs, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from benchmark.core.budget import Guarantee
from benchmark.metrics.crossed import OneDraw
from benchmark.results.bookends import COLUMNS, is_free
from benchmark.results.disclosure import FEWEST
from benchmark.results.promises import MEANINGFUL
from benchmark.results.tuned_settings import NOT_ACCOUNTED
from benchmark.results.variance_parts import shipped
from leaderboard.columns import A_PATCH_ABOVE, costs_more, selection_of
from leaderboard.rows import AUDITED, REPLAYED, Row, Table

OTHER_VERSIONS = (
    "{} rows are of another version of their generator than the installed one: they stand below, "
    "compared with nothing."
)

BADGES = {
    AUDITED: (
        "audited: an audit of the same generator, version, settings, unit and ε, whose numbers add "
        "up, or of this very fit, did not refute the claim."
    ),
    REPLAYED: "replayed: whoever built this page computed it again, and every score is the same.",
}

INTERVALS = (
    "Brackets: 95 % interval of the mean over seeds and patients. One draw, which is a single "
    "seed, has none."
)

ONE_DRAW = (
    "± beside one draw: the standard deviation of Dice over seeds of that generator's rows with "
    "more seeds in this table; without any, of its rows on the shipped board ({seeds} seeds, "
    "{patients} phantoms, protocol {edition})."
)


def notes_of(table: Table) -> list[str]:
    """Return how many cells there are, and the notes on the table."""
    refused = [row for row in table.rows if row.is_refused]
    apart = [row for row in table.rows if row.unranked and not row.is_refused]
    rows = [row for row in table.rows if row.is_compared]
    done = sum(len(row.done) for row in rows)
    asked = sum(row.asked for row in rows)
    seeds = max((row.asked for row in rows), default=0)
    return [
        *_for_owner(table),
        f"{done} of {asked} cells are finished: {len(rows)} rows of "
        f"{'' if asked == seeds * len(rows) else 'up to '}"
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}.",
        INTERVALS,
        *_of_one_draw(table),
        f"ε is for neighbours by {table.relation}; above {MEANINGFUL:g} it is no meaningful "
        "guarantee.",
        *([A_PATCH_ABOVE] if any(_costs_more(row.guarantee) for row in rows) else []),
        *_beside_own(table),
        *([COLUMNS, table.free.words] if table.free else []),
        *_warnings([*rows, *apart], table.phantoms),
        *([OTHER_VERSIONS.format(len(apart))] if apart else []),
        *_badges(rows),
        *([f"{len(refused)} published rows do not add up and are ranked last."] if refused else []),
    ]


def _badges(rows: Sequence[Row]) -> Iterator[str]:
    """What badges beside ``verified`` mean, where a row has one."""
    found = {name for row in rows for name in row.badges}
    yield from (words for name, words in BADGES.items() if name in found)


def _of_one_draw(table: Table) -> Iterator[str]:
    told = (scored.dice for row in table.rows for scored in row.tests.values())
    if any(isinstance(dice, OneDraw) and dice.seed_sd is not None for dice in told):
        known = shipped()
        yield ONE_DRAW.format(seeds=known.seeds, patients=known.patients, edition=known.edition)


def _beside_own(table: Table) -> Iterator[str]:
    if own := table.common.own:
        yield (
            f"{max(own.patients)} own patients were withheld from every fit; these rows are of "
            "synthetic patches alone, and own-patients.csv has what own patients add."
        )


def _for_owner(table: Table) -> Iterator[str]:
    """Of patients who are so few that their means tell of single ones, on their owner's report."""
    few = {
        name: scored.patients
        for row in table.rows
        for name, scored in row.tests.items()
        if scored.patients and scored.patients < FEWEST
    }
    if few and not table.phantoms:
        told = ", ".join(f"{name}: {many}" for name, many in few.items())
        yield (
            f"For whoever has these data, and nobody else: means over fewer than {FEWEST} patients "
            f"({told}) tell of single ones. Published files and boards leave them out."
        )


def _warnings(rows: Sequence[Row], phantoms: bool) -> Iterator[str]:
    if any(row.spec.epsilon < math.inf and row.spec.noise == "seeded" for row in rows):
        yield "Seeded noise makes a benchmark repeatable; it is no release."
    if direct := sorted({row.who for row in rows if row.is_direct and not is_free(row.spec)}):
        yield (
            f"{', '.join(direct)}: the segmenter itself was fitted on patients under that ε; "
            "nothing synthetic exists, so that there is no distance."
        )
    if any(selection_of(row) == NOT_ACCOUNTED for row in rows):
        yield f"Some settings were tuned on patients; selection: {NOT_ACCOUNTED}."
    if not phantoms:
        yield (
            "Scores were measured on patients, outside of any ε; nothing of single patients or "
            "sites is shown."
        )


def _costs_more(said: Guarantee | None) -> bool:
    return said is not None and costs_more(said.epsilon_patch, said.epsilon_patient)
