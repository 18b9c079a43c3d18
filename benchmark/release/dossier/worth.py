"""The dossier's section on utility, whose comparisons are computed from the statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmark.core.budget import epsilon_text
from benchmark.release.dossier.claims import unit_name
from benchmark.release.dossier.document import Paragraph, Section, Table
from benchmark.release.dossier.phrases import Phrases, number, tidy
from benchmark.release.statement import Statement, UtilityRow
from benchmark.results.scored import ShareMean

REAL = "real"


def utility(statement: Statement, say: Phrases) -> Section:
    """Say what segmenters scored that learnt from the release, beside others."""
    title = say("utility.title")
    if not statement.utility:
        key = "utility.sites" if statement.is_deployed else "utility.nothing"
        nothing = Paragraph(say(key))
        return Section("utility", number("utility"), title, (nothing,))
    words = Paragraph(" ".join(compared(statement.utility, say)))
    return Section("utility", number("utility"), title, (words, _table(statement, say)))


def compared(rows: Sequence[UtilityRow], say: Phrases) -> Iterator[str]:
    """Compare the released fit with real patches and with the best free method.

    Args:
        rows: The scores; the first row of the released fit says on which test set.
        say: The sentences.
    """
    own = next((row for row in rows if row.is_released), None)
    if own is None:
        yield say("utility.unscored")
        return
    others = [row for row in rows if row.test_set == own.test_set and not row.is_released]
    real = next((row for row in others if row.generator == REAL), None)
    told = {"test": own.test_set, "dice": dice_text(own.dice)}
    if real is None or real.dice.mean == 0:
        yield say("utility.reached", **told)
    else:
        share = f"{100 * own.dice.mean / real.dice.mean:.0f} %"
        yield say("utility.reached_real", real=f"{real.dice.mean:.3f}", share=share, **told)
    free = [row for row in others if row.epsilon == 0]
    if free:
        yield from _beside(own, max(free, key=lambda row: row.dice.mean), say)


def dice_text(dice: ShareMean) -> str:
    """Write a mean Dice with its interval."""
    return f"{dice.mean:.3f} [{dice.low:.3f}, {dice.high:.3f}]"


def _beside(own: UtilityRow, free: UtilityRow, say: Phrases) -> Iterator[str]:
    gap = round(own.dice.mean - free.dice.mean, 3)
    key = "above" if gap > 0 else "below" if gap < 0 else "level"
    named = f"{free.generator}, {free.dice.mean:.3f}"
    yield say(f"utility.{key}", gap=f"{abs(gap):.3f}", free=named)
    overlap = own.dice.low <= free.dice.high and free.dice.low <= own.dice.high
    yield say("utility.overlap" if overlap else "utility.apart")


def _table(statement: Statement, say: Phrases) -> Table:
    spec = statement.run_spec
    columns = ("generator", "epsilon", "test_set", "patients", "seeds", "dice")
    return Table(
        caption=say(
            "utility.caption",
            segmenter=spec.segmenter.name if spec else "",
            unit=unit_name(statement.guarantee.unit, say),
        ),
        head=tuple(say(f"utility.{column}") for column in columns),
        rows=tuple(_row(row, say) for row in statement.utility),
        widths=(5, 1.6, 2.4, 1.8, 1.8, 4),
        marked=tuple(i for i, row in enumerate(statement.utility) if row.is_released),
    )


def _row(row: UtilityRow, say: Phrases) -> tuple[str, ...]:
    name = tidy(row.generator)
    return (
        say("utility.released", generator=name) if row.is_released else name,
        epsilon_text(row.epsilon),
        tidy(row.test_set),
        f"{row.patients:,}",
        say("utility.one_draw") if row.seeds == 1 else f"{row.seeds:,}",
        dice_text(row.dice),
    )
