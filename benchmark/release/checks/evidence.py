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
from benchmark.release.statement import AuditRecord, AuditTest, Statement, UtilityRow
from benchmark.results.bookends import FREE, UPPER
from benchmark.results.disclosure import FEWEST
from benchmark.results.spec import parts_of
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
    if said.audit:
        yield from _of_audit(said, said.audit)
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
    if said.ledger is None:
        return
    if said.ledger.delta != DELTA:
        yield f"its ledger is at another δ than {DELTA:g}"
    if not said.ledger.before <= said.ledger.after:
        yield "its ledger has less after the fit than before"
    try:
        spent = max(total_epsilon([one], DELTA) for one in _parts(said))
    except (ValueError, ArithmeticError) as error:
        yield f"what its fit spent cannot be composed: {error}"
        return
    if said.ledger.after < spent and not same(said.ledger.after, spent):
        yield f"its ledger has ε = {said.ledger.after:g} after a fit that spent {spent:.4g}"


def people_of(said: Statement) -> int:
    """Count the patients of a fit, at all its sites.

    Args:
        said: The statement of its release.
    """
    return sum(people_in(said.spec, one) for one in _parts(said))


def _parts(said: Statement) -> list[Guarantee]:
    """The guarantees by which each patient is in one fit."""
    return parts_of(said.spec, said.guarantee, said.guarantees)


def _of_words(said: Statement) -> Iterator[str]:
    """Free text could claim anything."""
    if said.nearest_real and said.nearest_real.laws != LAWS:
        yield "the limits of its search for copies are not those of this suite"
    figures = (said.nearest_real and said.nearest_real.disclosed) or {}
    if not all(FIGURE.fullmatch(name) for name in figures):
        yield "the figures of its search for copies are not those of this suite"
    if said.replay and not REPLAYED.issuperset(said.replay.laws):
        yield "the laws of its replay are not those of this suite"
    if said.cost_of_skipping is not None and not COST.fullmatch(said.cost_of_skipping):
        yield "what it says of patients who were left out is no sentence of this suite"


def _of_audit(said: Statement, audit: AuditRecord) -> Iterator[str]:
    """An attack is that of the fit, and says no more than it can."""
    due = "canaries" if said.spec.canaries else "membership"
    if audit.method != due:
        yield f"its audit is by {audit.method}, and its fit has {said.spec.canaries} canaries"
    if audit.samples != (0 if audit.method == "canaries" else DRAWN):
        yield f"its audit by {audit.method} saw {audit.samples} samples"
    tests = (audit, *audit.further)
    units = [one.unit for one in tests]
    if units not in ([said.guarantee.unit], ["patient", "patch"]):
        yield "its audit guesses other units than its fit has"
    for one in tests:
        yield from _of_test(said, audit, one)


def _of_test(said: Statement, audit: AuditRecord, one: AuditTest) -> Iterator[str]:
    many = one.candidates
    least, most = _candidates(said, audit, one)
    if not least <= many <= most:
        yield f"its audit has {many:,} candidates, and can have {least:,} to {most:,}"
        return
    mistake = mistake_of(one.unit, audit.unit) if audit.further else MISTAKE
    if not math.isclose(one.confidence, 1 - mistake, rel_tol=1e-9):
        yield f"its audit has a confidence of {one.confidence:g}, and not of {1 - mistake:g}"
        return
    largest = largest_provable(many, claim_of(said, audit, one), mistake)
    if one.provable > largest * (1 + MARGIN):
        yield f"its audit can prove ε = {largest:.3g} at most, and says {one.provable:g}"
    if one.proven is not None and one.proven > one.provable:
        yield "its audit has proven more than it can"


def _candidates(said: Statement, audit: AuditRecord, one: AuditTest) -> tuple[int, int]:
    """The fewest and the most candidates of a test."""
    if audit.method == "canaries":
        return said.spec.canaries, said.spec.canaries
    if one.unit == "patch":
        return 1, MOST // 2
    strangers = said.nearest_real.held_out if said.nearest_real else math.inf
    return 1, int(min(people_of(said), strangers))


def claim_of(said: Statement, audit: AuditRecord, test: AuditTest) -> Claim:
    """Return the claim that a test attacks: that of its unit, or of an exchange of two.

    Args:
        said: The statement.
        audit: Its audit.
        test: The audit's own test, or one of the further ones.
    """
    held = said.guarantee
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
    if row.test_set not in said.spec.test_data:
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
