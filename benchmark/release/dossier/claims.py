"""The dossier's first sections: what is released, what is promised, and to whom."""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmark.core.budget import Unit, delta_text, epsilon_text, rounded_up
from benchmark.release.dossier.belief import belief_after, curve, odds, percent, references
from benchmark.release.dossier.document import (
    Beside,
    Bullets,
    Paragraph,
    Part,
    Picture,
    Section,
    Sheet,
    Table,
    Tone,
    Warned,
)
from benchmark.release.dossier.phrases import Phrases, number, tidy
from benchmark.release.statement import Statement
from benchmark.results.promises import MEANINGFUL, factor_text
from benchmark.results.spec import parts_of

BELIEFS = (0.01, 0.1, 0.5)
"""How sure an attacker is before the release, in the table and in the picture's words."""

NEVER_COVERED = ("held_out", "everybody")
COVERED_IN_PART = ("again", *NEVER_COVERED, "relatives", "twice")
"""The sentences on people who are not fitted patients, or whom more than one fit concerns."""


def opening(statement: Statement, say: Phrases) -> tuple[Part, ...]:
    """Say what the release is, in one sentence and a table of facts, beside the contact sheet."""
    tone: Tone = "good" if statement.is_private and not weaknesses(statement, say) else "loud"
    words = [Paragraph(verdict(statement, say), tone)]
    words += [Paragraph(text, "loud") for text in weaknesses(statement, say)]
    if statement.phantoms:
        words.append(Paragraph(say("head.phantoms"), "good"))
    words.append(Paragraph(say("head.scale", meaningful=f"{MEANINGFUL:g}"), "soft"))
    facts = Table(say("facts.caption"), (), tuple(_facts(statement, say)), (4, 6))
    sheet = Sheet(say("head.sheet"), say("head.sheet_words"))
    return (*words, Beside((facts,), (sheet,), 0.62))


def warning(statement: Statement, say: Phrases) -> Warned | None:
    """Say on every page that a release is not private, and why."""
    if statement.is_private:
        return None
    reasons = tuple(tidy(reason) for reason in statement.reasons)
    return Warned(say("head.banner"), say("head.because"), reasons)


def verdict(statement: Statement, say: Phrases) -> str:
    """Say in one sentence what the folder holds and what is promised."""
    n, guarantee = f"{statement.samples.n:,}", statement.guarantee
    if not statement.is_private:
        return say("head.nobody", n=n)
    if guarantee.epsilon == 0:
        return say("head.free", n=n)
    return say(
        f"head.{guarantee.unit}",
        n=n,
        epsilon=epsilon_text(guarantee.epsilon),
        delta=_delta(statement),
    )


def folder(statement: Statement, say: Phrases) -> Section:
    """Say what the folder holds and whose data it came from."""
    return _section("folder", say, tuple(_contents(statement, say)))


def promise(statement: Statement, say: Phrases) -> Section:
    """Say the promise in words, with a picture of what an attacker can gain."""
    if not statement.is_private:
        key = "nothing" if math.isinf(statement.guarantee.epsilon) else "not_claimed"
        return _section("promise", say, (Paragraph(say(f"promise.{key}"), "loud"),))
    if statement.guarantee.epsilon == 0:
        return _section("promise", say, (Paragraph(say("promise.free")),))
    words = Paragraph(" ".join(_promised(statement, say)))
    pictured = Beside((_picture(statement, say),), (_beliefs(statement, say),), 0.6)
    kept = Paragraph(" ".join(_kept(statement, say)), "soft")
    return _section("promise", say, (words, pictured, kept))


def people(statement: Statement, say: Phrases) -> Section:
    """Say whom the promise protects, and whom it does not."""
    tone: Tone = "plain" if statement.is_private else "loud"
    covered = Paragraph(" ".join(_covered(statement, say)), tone)
    loud = [Paragraph(text, "loud") for text in weaknesses(statement, say)]
    others = COVERED_IN_PART if statement.is_private else NEVER_COVERED
    told = {"held_out": "held_out_sites"} if statement.is_deployed else {}
    rest = [Paragraph(say(f"people.{told.get(key, key)}")) for key in others]
    if statement.phantoms:
        rest.insert(0, Paragraph(say("people.phantoms"), "good"))
    return _section("people", say, (Bullets((covered, *loud, *rest)),))


def weaknesses(statement: Statement, say: Phrases) -> list[str]:
    """Say what is weak in a promise that is made; nothing where it is a meaningful one."""
    guarantee = statement.guarantee
    epsilon, patient = guarantee.epsilon, guarantee.epsilon_patient
    if not statement.is_private:
        return []
    limit, found = f"{MEANINGFUL:g}", []
    if epsilon > MEANINGFUL:
        unit = unit_name(guarantee.unit, say)
        spent = epsilon_text(epsilon)
        found.append(say("people.weak", epsilon=spent, meaningful=limit, unit=unit))
    if guarantee.unit == "patch" and patient is None:
        found.append(say("people.unknown_patient"))
    elif guarantee.unit == "patch" and patient is not None and patient > MEANINGFUL:
        spent = epsilon_text(patient)
        found.append(say("people.weak_patient", epsilon=spent, meaningful=limit))
    return found


def unit_name(unit: Unit, say: Phrases) -> str:
    """Return the name of a protected unit."""
    return say(f"units.{unit}")


def fitted(statement: Statement) -> int:
    """Count the fitted patients, over all sites."""
    parts = parts_of(statement.spec, statement.guarantee, statement.guarantees)
    return sum(one.patients for one in parts)


def _section(name: str, say: Phrases, parts: tuple[Part, ...]) -> Section:
    return Section(name, number(name), say(f"{name}.title"), parts)


def _delta(statement: Statement) -> str:
    return "0" if statement.guarantee.is_pure else delta_text(statement.guarantee.delta)


def _facts(statement: Statement, say: Phrases) -> Iterator[tuple[str, str]]:
    guarantee, plug_in = statement.guarantee, statement.spec.generator
    claim = "facts.private" if statement.is_private else "facts.not_private"
    yield say("facts.claim"), say(claim)
    yield say("facts.unit"), say(f"facts.unit_{guarantee.unit}")
    for unit in ("patient", "patch"):
        yield say(f"facts.epsilon_{unit}"), _spent(statement, unit, say)
    yield say("facts.delta"), _delta(statement)
    if guarantee.epsilon > 0:
        whose = "facts.phantoms" if statement.phantoms else "facts.patients"
        yield say(whose), f"{fitted(statement):,}"
    if statement.sites:
        yield say("facts.sites"), f"{len(statement.sites):,}"
    version = say("facts.version", name=plug_in.name, version=plug_in.version)
    yield say("facts.generator"), version
    yield say("facts.mechanism"), tidy(statement.mechanism)
    yield say("facts.patches"), f"{statement.samples.n:,}"
    yield say("facts.licence"), statement.licence


def _spent(statement: Statement, unit: str, say: Phrases) -> str:
    guarantee = statement.guarantee
    epsilon = guarantee.epsilon_patient if unit == "patient" else guarantee.epsilon_patch
    text = epsilon_text(epsilon)
    return text if statement.is_private else say("facts.not_claimed", epsilon=text)


def _contents(statement: Statement, say: Phrases) -> Iterator[Part]:
    samples = statement.samples
    mm = f"{samples.spacing_mm:g}"
    told = {name: f"{getattr(samples, name):,}" for name in ("n", "size", "volumes", "per_volume")}
    spacing = say("folder.spacing", mm=mm) if samples.spacing_mm else say("folder.own_spacing")
    origin = " ".join(_origin(statement, say))
    weights = say("folder.weights", sum=samples.generator, seed=samples.seed)
    yield Paragraph(say("folder.patches", spacing=spacing, **told))
    yield Paragraph(f"{origin} {say('folder.names')}")
    yield Paragraph(weights, "soft")


def _origin(statement: Statement, say: Phrases) -> Iterator[str]:
    guarantee, name = statement.guarantee, statement.spec.generator.name
    if guarantee.epsilon == 0:
        yield say("folder.read_nobody", generator=name)
        return
    key = "fitted_sites" if statement.sites else "fitted"
    yield say(
        "folder.fitted_phantoms" if statement.phantoms else f"folder.{key}",
        generator=name,
        patients=f"{fitted(statement):,}",
        patches=f"{guarantee.patches_per_patient:,}",
        sites=f"{len(statement.sites):,}",
    )
    if (spec := statement.run_spec) is None:
        yield say("folder.cohort_sites")
    else:
        cohort = "folder.cohort_phantoms" if statement.phantoms else "folder.cohort"
        yield say(cohort, data=spec.data)


def _promised(statement: Statement, say: Phrases) -> Iterator[str]:
    guarantee = statement.guarantee
    unit, epsilon = guarantee.unit, epsilon_text(guarantee.epsilon)
    yield say(f"promise.{unit}", factor=factor_text(guarantee.epsilon))
    if guarantee.is_pure:
        yield say("promise.pure", epsilon=epsilon)
    else:
        chance = odds(guarantee.delta)
        yield say("promise.approximate", epsilon=epsilon, delta=_delta(statement), odds=chance)
    yield say("promise.later")
    yield say(f"promise.sure_{unit}", belief=percent(belief_after(0.5, guarantee.epsilon)))


def _kept(statement: Statement, say: Phrases) -> Iterator[str]:
    guarantee = statement.guarantee
    unit = unit_name(guarantee.unit, say)
    yield say(
        "promise.choices" if guarantee.is_pure else "promise.mechanism",
        mechanism=statement.mechanism,
        steps=f"{guarantee.steps:,}",
        unit=unit,
        rate=f"{guarantee.sampling_rate:.4g}",
        sensitivity=f"{rounded_up(guarantee.sensitivity, 5):g}",
        sigma=f"{guarantee.noise_multiplier:.4g}",
        accountant=guarantee.accountant,
    )
    if statement.spec.curious:
        yield say("promise.shared", curious=statement.spec.curious)
    yield say("promise.neighbours", unit=unit, relation=guarantee.relation)


def _picture(statement: Statement, say: Phrases) -> Picture:
    epsilon = statement.guarantee.epsilon
    own = curve(say("promise.this", epsilon=epsilon_text(epsilon)), epsilon, "release")
    nothing = curve(say("promise.diagonal"), 0.0, "diagonal")
    others = (
        curve(say("promise.reference", epsilon=epsilon_text(one)), one, "reference")
        for one in references(epsilon)
    )
    key = "promise.picture_pure" if statement.guarantee.is_pure else "promise.picture_delta"
    exception = say(key, delta=_delta(statement))
    return Picture(
        caption=f"{say('promise.picture')}. {exception}",
        words=_picture_words(epsilon, say),
        across=say("promise.before"),
        up=say("promise.after"),
        curves=(nothing, *others, own),
    )


def _picture_words(epsilon: float, say: Phrases) -> str:
    told: dict[str, str] = {}
    for name, belief in zip(("low", "middle", "high"), BELIEFS, strict=True):
        told[name] = percent(belief)
        told[f"{name}_after"] = percent(belief_after(belief, epsilon))
    return say("promise.picture_words", **told)


def _beliefs(statement: Statement, say: Phrases) -> Table:
    guarantee = statement.guarantee
    after = [percent(belief_after(belief, guarantee.epsilon)) for belief in BELIEFS]
    return Table(
        caption=say("promise.beliefs", unit=unit_name(guarantee.unit, say)),
        head=(say("promise.before"), say("promise.after")),
        rows=tuple((percent(p), then) for p, then in zip(BELIEFS, after, strict=True)),
        widths=(1, 1.4),
    )


def _covered(statement: Statement, say: Phrases) -> Iterator[str]:
    guarantee = statement.guarantee
    if not statement.is_private or guarantee.epsilon == 0:
        yield say("people.free" if statement.is_private else "people.nobody")
        return
    yield say(f"people.{guarantee.unit}", patients=f"{fitted(statement):,}")
    patch, patient = guarantee.epsilon_patch, guarantee.epsilon_patient
    if guarantee.unit == "patch" and patient is not None and patient <= MEANINGFUL:
        yield say("people.whole_patient", epsilon=epsilon_text(patient))
    if guarantee.unit == "patient" and patch is not None:
        yield say("people.patch_of_patient", epsilon=epsilon_text(patch))
