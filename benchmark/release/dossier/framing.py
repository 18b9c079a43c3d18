"""The dossier's last sections: limits, guidelines, citation, and the decision."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.release.dossier.document import Blank, Bullets, Paragraph, Section, Table, Tone
from benchmark.release.dossier.phrases import Phrases, number, tidy
from benchmark.release.statement import STATEMENT, Statement
from benchmark.results.tuned_settings import NOT_ACCOUNTED

NIST = {
    "parameters": ("promise",),
    "unit": ("promise", "people"),
    "composition": ("ledger",),
    "utility": ("utility",),
    "correctness": ("replay", "audit", "limits"),
    "trust": ("ledger", "limits"),
}
"""The points of NIST SP 800-226, each with the sections that answer it."""

EDPB = {
    "extraction": ("promise", "people"),
    "queries": ("promise", "nearest"),
    "attacks": ("audit", "nearest"),
    "design": ("folder", "promise"),
    "documents": ("citation",),
}
"""The points of EDPB Opinion 28/2024 on anonymous models."""


def limits(statement: Statement, say: Phrases) -> Section:
    """Say what nobody may conclude from the release."""
    items = (Paragraph(text, tone) for text, tone in _limits(statement, say))
    return Section("limits", number("limits"), say("limits.title"), (Bullets(tuple(items)),))


def standards(statement: Statement, say: Phrases) -> Section:
    """Say which section answers which point of two guidelines."""
    tables = [
        Table(
            caption=say(f"standards.{document}"),
            head=tuple(say(f"standards.{column}") for column in ("point", "answer", "section")),
            rows=tuple(_answers(document, points, statement, say)),
            widths=(8, 8, 1.6),
        )
        for document, points in (("nist", NIST), ("edpb", EDPB))
    ]
    legal = Paragraph(say("standards.legal"))
    return Section("standards", number("standards"), say("standards.title"), (legal, *tables))


def citation(statement: Statement, say: Phrases) -> Section:
    """Say how to cite the release, and under which licence it is."""
    cite = say(
        "citation.cite",
        version=statement.suite.version,
        commit=statement.suite.commit,
        run=statement.run,
        created=statement.created,
    )
    versions = ", ".join(f"{name} {version}" for name, version in statement.versions.items())
    words = (
        Paragraph(f"{cite} {say('citation.licence', licence=statement.licence)}"),
        Paragraph(say("citation.versions", versions=versions), "soft"),
    )
    return Section("citation", number("citation"), say("citation.title"), words)


def approval(statement: Statement, say: Phrases) -> Section:
    """Leave room for the decision of whoever answers for it."""
    names = ("approved_by", "role", "date", "signature", "decision")
    filled = {"decision": say("approval.choices")}
    fields = tuple((say(f"approval.{name}"), filled.get(name, "")) for name in names)
    parts = (Paragraph(say("approval.words"), "soft"), Blank(fields))
    return Section("approval", number("approval"), say("approval.title"), parts)


def _limits(statement: Statement, say: Phrases) -> Iterator[tuple[str, Tone]]:
    guarantee, tuned = statement.guarantee, statement.spec.chosen_by
    if guarantee.seeded:
        yield say("limits.seeded"), "loud"
    if tuned and tuned.selection == NOT_ACCOUNTED:
        yield say("limits.selection", selection=tuned.selection), "loud"
    if statement.is_private and guarantee.epsilon > 0 and not guarantee.seeded:
        yield say("limits.noise"), "plain"
    if guarantee.interruptions:
        times, steps = f"{guarantee.interruptions:,}", f"{guarantee.lost_steps:,}"
        yield say("limits.interrupted", times=times, steps=steps), "plain"
    if statement.cost_of_skipping:
        yield say("limits.skipped", words=tidy(statement.cost_of_skipping)), "loud"
    searched = any(place.evidence.nearest_real for place in statement.places)
    if searched and not statement.phantoms:
        yield say("limits.conditional"), "plain"
    for key in ("code", "use", *(() if statement.is_deployed else ("transfer",)), "copies"):
        yield say(f"limits.{key}"), "plain"


def _answers(
    document: str, points: dict[str, tuple[str, ...]], statement: Statement, say: Phrases
) -> Iterator[tuple[str, ...]]:
    unscored = {"utility"} if statement.is_deployed else set()
    for point, sections in points.items():
        key = f"standards.{document}_{point}"
        answer = f"{key}_sites" if point in unscored else f"{key}_answer"
        numbers = ", ".join(map(str, sorted(map(number, sections))))
        yield say(key), say(answer, file=STATEMENT), numbers
