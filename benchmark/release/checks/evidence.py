"""The words and numbers of a statement's evidence: each computed, bounded, or the suite's own.

Whether an attack or a search was made, only whoever has the patients can see. But what is said of
it can be no more than such an attack can prove, and in no other words than the suite has for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from benchmark.audit.bound import lower_bound
from benchmark.audit.judgement import Claim
from benchmark.audit.membership import MISTAKE, MOST, mistake_of
from benchmark.audit.own_samples import DRAWN
from benchmark.audit.slots import people_in
from benchmark.core.budget import Guarantee
from benchmark.privacy.accounting.composition import total_epsilon
from benchmark.privacy.conformance import is_post_processing_but_for_its_mechanisms
from benchmark.privacy.ledger.ledger import DELTA
from benchmark.release.nearest_real import KINDS, LAWS
from benchmark.release.records import AuditRecord, AuditTest, LedgerRecord
from benchmark.release.statement import Place, Statement, UtilityRow
from benchmark.results.bookends import FREE, UPPER
from benchmark.results.disclosure import FEWEST
from benchmark.sweep.inputs import COST_OF_SKIPPING
from benchmark.sweep.plan_cache import same

REPLAYED = frozenset({is_post_processing_but_for_its_mechanisms.__name__})
"""The names of the laws that a replay measures."""

FIGURE = re.compile(rf"[a-z ]{{1,40}} by ({'|'.join(KINDS)})")
"""The name of a figure of the search for copies."""

COST = re.compile(re.escape(COST_OF_SKIPPING).replace(re.escape("{}"), r"\d{1,9}"))
RATIO = 1.02
"""Numbers of guesses are tried in such steps: the bound changes little between them."""

MARGIN = 0.01
"""The share by which a bound may exceed that of the numbers of guesses that were tried."""


def of_evidence(said: Statement) -> Iterator[str]:
    """Yield what a statement says of its evidence that cannot be, or that no suite says.

    Args:
        said: The statement.
    """
    yield from _of_words(said)
    for place in said.places:
        yield from (f"{fault}{where_of(place)}" for fault in _of_place(said, place))
    for row in said.utility:
        yield from _of_row(said, row)
    own = [row.test_set for row in said.utility if row.is_released]
    if len({*own}) < len(own):
        yield "it has two rows of its fit on one test set"


def of_ledger(said: Statement) -> Iterator[str]:
    """Yield faults of a ledger's totals; a patient of the fit has spent what the fit did.

    Args:
        said: The statement.
    """
    for place in said.places:
        if (charged := place.evidence.ledger) is not None:
            yield from (f"{fault}{where_of(place)}" for fault in _of_totals(place, charged))


def _of_totals(place: Place, charged: LedgerRecord) -> Iterator[str]:
    if charged.delta != DELTA:
        yield f"its ledger is at another δ than {DELTA:g}"
    if not charged.before <= charged.after:
        yield "its ledger has less after the fit than before"
    try:
        spent = max(total_epsilon([one], DELTA) for one in place.parts)
    except (ValueError, ArithmeticError) as error:
        yield f"what its fit spent cannot be composed: {error}"
        return
    if charged.after < spent and not same(charged.after, spent):
        yield f"its ledger has ε = {charged.after:g} after a fit that spent {spent:.4g}"


def people_of(said: Statement, place: Place) -> int:
    """Count the patients who were fitted on at a place.

    Args:
        said: The statement of the release.
        place: One of its places.
    """
    return sum(people_in_parts(said, place))


def people_in_parts(said: Statement, place: Place) -> list[int]:
    """Count the patients of each fit at a place: of each site, where sites were simulated.

    Args:
        said: The statement of the release.
        place: One of its places.
    """
    if place.people is not None:
        return [place.people]
    return [people_in(said.spec, one) for one in place.parts]


def where_of(place: Place) -> str:
    """Name a place at the end of a sentence; empty for the one place of a run."""
    return f" (site {place.site})" if place.site else ""


def _of_place(said: Statement, place: Place) -> Iterator[str]:
    """What was found where patients are: in the suite's own words, and no more than can be."""
    searched, audit = place.evidence.nearest_real, place.evidence.audit
    if searched and searched.laws != LAWS:
        yield "the limits of its search for copies are not those of this suite"
    figures = (searched and searched.disclosed) or {}
    if not all(FIGURE.fullmatch(name) for name in figures):
        yield "the figures of its search for copies are not those of this suite"
    if place.site and (figures or any(one.proven for one in _tests(audit))):
        yield "it has figures measured on patients, and a site says pass or fail"
    if audit:
        yield from _of_audit(said, place, audit)


def _tests(audit: AuditRecord | None) -> tuple[AuditTest, ...]:
    return () if audit is None else (audit, *audit.further)


def _of_words(said: Statement) -> Iterator[str]:
    """Free text could claim anything."""
    if said.replay and not REPLAYED.issuperset(said.replay.laws):
        yield "the laws of its replay are not those of this suite"
    if said.cost_of_skipping is not None and not COST.fullmatch(said.cost_of_skipping):
        yield "what it says of patients who were left out is no sentence of this suite"


def _of_audit(said: Statement, place: Place, audit: AuditRecord) -> Iterator[str]:
    """An attack is that of the fit, and says no more than it can."""
    due = "canaries" if said.spec.planted else "membership"
    if audit.method != due:
        yield f"its audit is by {audit.method}, and its fit has {said.spec.planted} canaries"
    if audit.samples != (0 if audit.method == "canaries" else DRAWN):
        yield f"its audit by {audit.method} saw {audit.samples} samples"
    tests = _tests(audit)
    units = [one.unit for one in tests]
    if units not in ([said.guarantee.unit], ["patient", "patch"]):
        yield "its audit guesses other units than its fit has"
    for one in tests:
        yield from _of_test(said, place, audit, one)


def _of_test(said: Statement, place: Place, audit: AuditRecord, one: AuditTest) -> Iterator[str]:
    many = one.candidates
    least, most = _candidates(said, place, audit, one)
    if not least <= many <= most:
        yield f"its audit has {many:,} candidates, and can have {least:,} to {most:,}"
        return
    mistake = mistake_of(one.unit, audit.unit) if audit.further else MISTAKE
    if not math.isclose(one.confidence, 1 - mistake, rel_tol=1e-9):
        yield f"its audit has a confidence of {one.confidence:g}, and not of {1 - mistake:g}"
        return
    largest = largest_provable(many, claim_of(place.guarantee, audit, one), mistake)
    if one.provable > largest * (1 + MARGIN):
        yield f"its audit can prove ε = {largest:.3g} at most, and says {one.provable:g}"
    if one.proven is not None and one.proven > one.provable:
        yield "its audit has proven more than it can"


def _candidates(
    said: Statement, place: Place, audit: AuditRecord, one: AuditTest
) -> tuple[int, int]:
    """The fewest and the most candidates of a test."""
    if audit.method == "canaries":
        return said.spec.planted, said.spec.planted
    if one.unit == "patch":
        return 1, MOST // 2
    searched = place.evidence.nearest_real
    strangers = searched.held_out if searched else math.inf
    return 1, int(min(people_of(said, place), strangers))


def claim_of(held: Guarantee, audit: AuditRecord, test: AuditTest) -> Claim:
    """Return the claim that a test attacks: that of its unit, or of an exchange of two.

    Args:
        held: What the fit gives the patients at the audit's place.
        audit: The audit.
        test: The audit's own test, or one of the further ones.
    """
    claim = Claim.of_a_patch(held) if test.unit == "patch" else Claim.of(held)
    return claim if audit.method == "canaries" else claim.exchanged


def largest_provable(candidates: int, claim: Claim, mistake: float) -> float:
    """Return about the largest ε that can be refuted if all guesses of one rule are right.

    Args:
        candidates: How many coins there are.
        claim: The claim, whose δ counts.
        mistake: The largest probability that a true claim is refuted.
    """
    steps = math.ceil(math.log(candidates + 1, RATIO)) + 1
    numbers = sorted({min(candidates, math.ceil(RATIO**step)) for step in range(steps)})
    return max(
        lower_bound(
            canaries=candidates, guesses=k, right=k, delta=claim.delta, confidence=1 - mistake
        )
        for k in numbers
    )


def _of_row(said: Statement, row: UtilityRow) -> Iterator[str]:
    """A mean is of enough patients, in its interval, and of what it can be compared with."""
    place = f"Dice of {row.generator} on {row.test_set!r}"
    if row.generator not in {said.spec.generator.name, UPPER, *FREE}:
        yield f"{place} is not that of its generator, of real patches, or of a free method"
    spec = said.run_spec
    if spec is None or row.test_set not in spec.test_data:
        yield f"{place} is not on a test set of its run"
    if not said.phantoms and row.patients < FEWEST:
        yield f"{place} is over {row.patients} patients, and tells of them"
    if not row.dice.low <= row.dice.mean <= row.dice.high:
        yield f"{place} lies outside of its own interval"
    if row.is_released and (row.generator, row.epsilon) != (
        said.spec.generator.name,
        said.guarantee.epsilon,
    ):
        yield f"{place} is said to be the released fit's, and is another's"
    if row.generator in FREE and row.epsilon != 0:
        yield f"{place} has ε = {row.epsilon:g}, and a free method has 0"
