"""The dossier's middle sections: what was spent, attacked, searched and checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmark.core.bounds import shortened
from benchmark.core.budget import delta_text, epsilon_text, proven_text
from benchmark.release.dossier.claims import unit_name
from benchmark.release.dossier.document import (
    Beside,
    Bullets,
    Paragraph,
    Part,
    Section,
    Single,
    Table,
)
from benchmark.release.dossier.phrases import Phrases, number, tidy
from benchmark.release.statement import (
    STATEMENT,
    AuditRecord,
    AuditTest,
    LedgerRecord,
    NearestRecord,
    Statement,
)

MOST_ROWS = 12
"""Longer tables are cut, as the dossier has to stay short; the statement has all of them."""

SHOWN = 12
"""How much of a hash is printed."""

DOUBLED = 1.5
"""An attack tests twice the ε of the fit where one unit was exchanged for another."""


def ledger(statement: Statement, say: Phrases) -> Section:
    """Say what the patients have spent, and each site."""
    charged = statement.ledger
    parts: list[Part] = []
    if charged is None:
        parts.append(Paragraph(say("ledger.nobody")))
    else:
        parts += [Paragraph(say("ledger.words")), *_charged(charged, say)]
    if statement.sites:
        parts += [Paragraph(_words_on_sites(statement, say)), *_sites(statement, say)]
    return Section("ledger", number("ledger"), say("ledger.title"), tuple(parts))


def audit(statement: Statement, say: Phrases) -> Section:
    """Say how the fit was attacked, and what that could have shown at most."""
    tried = statement.audit
    parts: tuple[Part, ...] = (Paragraph(say("audit.nobody")),)
    if tried is not None:
        parts = (
            Paragraph(" ".join(_attack(tried, statement, say))),
            _attack_table(tried, say),
            _verdict(tried, say),
            Paragraph(" ".join(_strength(tried, statement.is_private, say))),
        )
    return Section("audit", number("audit"), say("audit.title"), parts)


def nearest(statement: Statement, say: Phrases) -> Section:
    """Say whether a copy of a patient was found."""
    searched = statement.nearest_real
    parts: tuple[Part, ...] = (Paragraph(say("nearest.nobody")),)
    if searched is not None:
        parts = tuple(_search(searched, statement.phantoms, say))
    return Section("nearest", number("nearest"), say("nearest.title"), parts)


def replay(statement: Statement, say: Phrases) -> Section:
    """Say which laws of a private fit were measured."""
    measured = statement.replay
    parts: tuple[Part, ...] = (Paragraph(say("replay.nobody")),)
    if measured is not None:
        failed, held = say("replay.failed"), say("replay.held")
        parts = (Paragraph(say("replay.words")), _outcome(not measured.held, failed, held))
    return Section("replay", number("replay"), say("replay.title"), parts)


def _charged(charged: LedgerRecord, say: Phrases) -> Iterator[Part]:
    total = Table(
        say("ledger.total_caption", delta=delta_text(charged.delta)),
        (say("ledger.before"), say("ledger.after")),
        ((epsilon_text(charged.before), epsilon_text(charged.after)),),
        (1, 1.4),
    )
    rows = [(str(one.number), one.hash[:SHOWN]) for one in charged.entries]
    head = say("ledger.number"), say("ledger.hash")
    entries = tuple(_cut(say("ledger.entries_caption"), head, rows, (1, 3), say)) if rows else ()
    yield Beside((total,), entries, 0.5)


def _words_on_sites(statement: Statement, say: Phrases) -> str:
    """Whose noise it was, and against whom the promise holds."""
    curious = statement.spec.curious
    if curious is None:
        return say("ledger.sites_words")
    return say("ledger.secure_words" if curious else "ledger.secure_words_none", curious=curious)


def _sites(statement: Statement, say: Phrases) -> Iterator[Part]:
    sites, secure = statement.sites, statement.spec.curious is not None
    rows = [
        (
            shortened(tidy(one.site)),
            f"{one.guarantee.patients:,}",
            epsilon_text(one.guarantee.epsilon_patch),
            epsilon_text(one.guarantee.epsilon_patient),
            one.consent[:SHOWN],
        )
        for one in sites
    ]
    columns = ("site", "patients", "epsilon_patch", "epsilon_patient", "consent")
    head = tuple(say(f"ledger.{column}") for column in columns)
    caption = "ledger.secure_caption" if secure else "ledger.sites_caption"
    yield from _cut(say(caption), head, rows, (4, 2, 2, 2, 3), say)


def _cut(
    caption: str,
    head: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    widths: tuple[float, ...],
    say: Phrases,
) -> Iterator[Single]:
    """A table of the first rows, and how many more there are."""
    yield Table(caption, head, tuple(rows[:MOST_ROWS]), widths)
    if len(rows) > MOST_ROWS:
        more = f"{len(rows) - MOST_ROWS:,}"
        yield Paragraph(say("ledger.more", many=more, file=STATEMENT), "soft")


def _attack(tried: AuditRecord, statement: Statement, say: Phrases) -> Iterator[str]:
    numbers = {"candidates": f"{tried.candidates:,}", "samples": f"{tried.samples:,}"}
    key = f"membership_{tried.unit}" if tried.method == "membership" else "canaries"
    yield say(f"audit.{key}", **numbers)
    guarantee = statement.guarantee
    own = guarantee.epsilon_patient if tried.unit == "patient" else guarantee.epsilon_patch
    if own and tried.claim > DOUBLED * own:
        yield say("audit.exchanged", unit=unit_name(tried.unit, say))
    if tried.further:
        yield say("audit.further")


def _attack_table(tried: AuditRecord, say: Phrases) -> Table:
    told = [_tested(one, say) for one in (tried, *tried.further)]
    head = tuple(say(f"audit.{name}") for name in told[0])
    rows = tuple(tuple(row.values()) for row in told)
    return Table(say("audit.caption"), head, rows, (2, 3, 4, 3, 2))


def _tested(one: AuditTest, say: Phrases) -> dict[str, str]:
    """A row of the table, by its columns."""
    proven = say("audit.hidden") if one.proven is None else proven_text(one.proven)
    return {
        "guessed": f"{one.candidates:,} × {unit_name(one.unit, say)}",
        "claim": epsilon_text(one.claim),
        "provable": proven_text(one.provable),
        "proven": proven,
        "confidence": f"{100 * one.confidence:g} %",
    }


def _strength(tried: AuditRecord, is_private: bool, say: Phrases) -> Iterator[str]:
    key = "weak" if tried.provable < tried.claim else "strong"
    numbers = {"provable": proven_text(tried.provable), "claim": epsilon_text(tried.claim)}
    yield say(f"audit.{key}", **numbers)
    if is_private and not tried.refuted:
        yield say(f"audit.{key}_promise")


def _search(searched: NearestRecord, phantoms: bool, say: Phrases) -> Iterator[Part]:
    yield Paragraph(
        say(
            "nearest.words",
            samples=f"{searched.samples:,}",
            fitted=f"{searched.fitted:,}",
            held_out=f"{searched.held_out:,}",
        )
    )
    yield Bullets(tuple(Paragraph(tidy(law)) for law in searched.laws))
    yield _outcome(not searched.passed, say("nearest.failed"), say("nearest.passed"))
    uncovered = "" if phantoms else say("nearest.uncovered")
    yield Paragraph(f"{say('nearest.limits')} {uncovered}".strip())
    if searched.disclosed:
        rows = [(_spaced(name), f"{value:.4g}") for name, value in searched.disclosed.items()]
        caption = say("nearest.disclosed_phantoms" if phantoms else "nearest.disclosed")
        head = say("nearest.figure"), say("nearest.value")
        yield Table(caption, head, tuple(rows), (3, 1))


def _verdict(tried: AuditRecord, say: Phrases) -> Paragraph:
    """Say whether the claim stands, and whether the attack could have told."""
    if not tried.refuted and all(one.provable < one.claim for one in (tried, *tried.further)):
        return Paragraph(say("audit.powerless"), "plain")
    return _outcome(tried.refuted, say("audit.refuted"), say("audit.passed"))


def _outcome(is_bad: bool, bad: str, good: str) -> Paragraph:
    return Paragraph(bad, "loud") if is_bad else Paragraph(good, "good")


def _spaced(name: str) -> str:
    return tidy(name).replace("_", " ")
