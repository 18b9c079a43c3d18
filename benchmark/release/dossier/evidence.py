"""The dossier's middle sections: what was spent, attacked, searched and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmark.core.bounds import shortened
from benchmark.core.budget import delta_text, epsilon_text, proven_text
from benchmark.privacy.ledger.ledger import DELTA
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
from benchmark.release.records import AuditRecord, AuditTest, LedgerRecord, NearestRecord
from benchmark.release.statement import STATEMENT, SiteRecord, Statement

MOST_ROWS = 12
"""Longer tables are cut, as the dossier has to stay short; the statement has all of them."""

SHOWN, SIGNER = 12, 19
"""How much of a hash, and of a key's fingerprint, is printed."""

DOUBLED = 1.5
"""An attack tests twice the ε of the fit where one unit was exchanged for another."""


def ledger(statement: Statement, say: Phrases) -> Section:
    """Say what the patients have spent, and each site."""
    charged = statement.ledger
    parts: list[Part] = []
    if charged is not None:
        parts += [Paragraph(say("ledger.words")), *_charged(charged, say)]
    elif not statement.is_deployed:
        parts.append(Paragraph(say("ledger.nobody")))
    if statement.sites:
        parts += [Paragraph(_words_on_sites(statement, say)), *_sites(statement, say)]
    if statement.is_deployed:
        parts += [Paragraph(say("ledger.own_words")), *_own_ledgers(statement.sites, say)]
    return Section("ledger", number("ledger"), say("ledger.title"), tuple(parts))


def audit(statement: Statement, say: Phrases) -> Section:
    """Say how the fit was attacked, and what that could have shown at most."""
    tried = {place.site: place.evidence.audit for place in statement.places}
    found = {site: one for site, one in tried.items() if one is not None}
    parts: tuple[Part, ...] = (Paragraph(say("audit.nobody")),)
    if found:
        parts = (
            Paragraph(" ".join(_attack(found, statement, say))),
            *_attack_table(found, say),
            _verdict([*found.values()], say),
            Paragraph(" ".join(_strength(found, statement.is_private, say))),
        )
    return Section("audit", number("audit"), say("audit.title"), parts)


def nearest(statement: Statement, say: Phrases) -> Section:
    """Say whether a copy of a patient was found."""
    searched = {place.site: place.evidence.nearest_real for place in statement.places}
    found = {site: one for site, one in searched.items() if one is not None}
    parts: tuple[Part, ...] = (Paragraph(say("nearest.nobody")),)
    if found:
        parts = tuple(_search(found, statement.phantoms, say))
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
    words = say("ledger.secure_words" if curious else "ledger.secure_words_none", curious=curious)
    return words if statement.is_deployed else f"{words} {say('ledger.simulated')}"


def _sites(statement: Statement, say: Phrases) -> Iterator[Part]:
    sites = statement.sites
    of_all = statement.spec.curious is not None and not statement.is_deployed
    rows = [
        (
            shortened(tidy(one.site)),
            f"{one.patients or one.guarantee.patients:,}",
            epsilon_text(one.guarantee.epsilon_patch),
            epsilon_text(one.guarantee.epsilon_patient),
            one.consent[:SHOWN],
        )
        for one in sites
    ]
    columns = ("site", "patients", "epsilon_patch", "epsilon_patient", "consent")
    head = tuple(say(f"ledger.{column}") for column in columns)
    caption = "ledger.secure_caption" if of_all else "ledger.sites_caption"
    yield from _cut(say(caption), head, rows, (4, 2, 2, 2, 3), say)


def _own_ledgers(sites: tuple[SiteRecord, ...], say: Phrases) -> Iterator[Part]:
    """What each site's own ledger says, and whose key signed its consent."""
    rows = [
        (
            shortened(tidy(one.site)),
            ", ".join(f"{entry.number}: {entry.hash[:SHOWN]}" for entry in charged.entries[:2]),
            epsilon_text(charged.before),
            epsilon_text(charged.after),
            one.signer[:SIGNER] if one.signer else say("ledger.unsigned"),
        )
        for one in sites
        if one.evidence and (charged := one.evidence.ledger)
    ]
    columns = ("site", "entries", "before", "after", "signer")
    head = tuple(say(f"ledger.{column}") for column in columns)
    caption = say("ledger.own_caption", delta=delta_text(DELTA))
    yield from _cut(caption, head, rows, (3, 4, 2, 2.4, 3), say)


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


def _attack(found: Mapping[str, AuditRecord], statement: Statement, say: Phrases) -> Iterator[str]:
    tried = next(iter(found.values()))
    numbers = {"candidates": f"{tried.candidates:,}", "samples": f"{tried.samples:,}"}
    key = f"membership_{tried.unit}" if tried.method == "membership" else "canaries"
    if "" in found:
        yield say(f"audit.{key}", **numbers)
        if tried.method == "membership" and tried.proven is None:
            yield say("audit.rounded")
    else:
        yield say("audit.at_sites", samples=numbers["samples"], unit=unit_name(tried.unit, say))
    guarantee = statement.guarantee
    own = guarantee.epsilon_patient if tried.unit == "patient" else guarantee.epsilon_patch
    if own and tried.claim > DOUBLED * own:
        yield say("audit.exchanged", unit=unit_name(tried.unit, say))
    if tried.further:
        yield say("audit.further")


def _attack_table(found: Mapping[str, AuditRecord], say: Phrases) -> Iterator[Single]:
    told = [
        {**({"site": shortened(tidy(site))} if site else {}), **_tested(one, say)}
        for site, tried in found.items()
        for one in (tried, *tried.further)
    ]
    head = tuple(say(f"audit.{name}") for name in told[0])
    widths = (2, 3, 4, 3, 2) if "" in found else (3, 3, 3, 4, 5, 2)
    rows = [tuple(row.values()) for row in told]
    yield from _cut(say("audit.caption"), head, rows, widths, say)


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


def _strength(found: Mapping[str, AuditRecord], is_private: bool, say: Phrases) -> Iterator[str]:
    if "" not in found:
        yield say("audit.sites_strength")
        yield say("audit.weak_promise")
        return
    tried = found[""]
    key = "weak" if tried.provable < tried.claim else "strong"
    numbers = {"provable": proven_text(tried.provable), "claim": epsilon_text(tried.claim)}
    yield say(f"audit.{key}", **numbers)
    if is_private and not tried.refuted:
        yield say(f"audit.{key}_promise")


def _search(found: Mapping[str, NearestRecord], phantoms: bool, say: Phrases) -> Iterator[Part]:
    searched = next(iter(found.values()))
    numbers = {name: f"{getattr(searched, name):,}" for name in ("samples", "fitted", "held_out")}
    at_sites = "" not in found
    yield Paragraph(
        say("nearest.at_sites", samples=numbers["samples"])
        if at_sites
        else say("nearest.words", **numbers)
    )
    yield Bullets(tuple(Paragraph(tidy(law)) for law in searched.laws))
    if at_sites:
        yield from _searches(found, say)
    failed = not all(one.passed for one in found.values())
    yield _outcome(failed, say("nearest.failed"), say("nearest.passed"))
    uncovered = "" if phantoms else say("nearest.uncovered")
    yield Paragraph(f"{say('nearest.limits')} {uncovered}".strip())
    if searched.disclosed:
        rows = [(_spaced(name), f"{value:.4g}") for name, value in searched.disclosed.items()]
        caption = say("nearest.disclosed_phantoms" if phantoms else "nearest.disclosed")
        head = say("nearest.figure"), say("nearest.value")
        yield Table(caption, head, tuple(rows), (3, 1))


def _searches(found: Mapping[str, NearestRecord], say: Phrases) -> Iterator[Single]:
    """The search at each site."""
    rows = [
        (
            shortened(tidy(site)),
            f"{one.fitted:,}",
            f"{one.held_out:,}",
            say("nearest.yes" if one.passed else "nearest.no"),
        )
        for site, one in found.items()
    ]
    head = tuple(say(f"nearest.{name}") for name in ("site", "fitted", "held_out", "outcome"))
    yield from _cut(say("nearest.sites_caption"), head, rows, (4, 2, 2, 2), say)


def _verdict(found: Sequence[AuditRecord], say: Phrases) -> Paragraph:
    """Say whether the claim stands, and whether the attack could have told."""
    tests = [one for tried in found for one in (tried, *tried.further)]
    refuted = any(tried.refuted for tried in found)
    if not refuted and all(one.provable < one.claim for one in tests):
        return Paragraph(say("audit.powerless"), "plain")
    return _outcome(refuted, say("audit.refuted"), say("audit.passed"))


def _outcome(is_bad: bool, bad: str, good: str) -> Paragraph:
    return Paragraph(bad, "loud") if is_bad else Paragraph(good, "good")


def _spaced(name: str) -> str:
    return tidy(name).replace("_", " ")
