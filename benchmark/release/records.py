"""What a release says of patients: the attack, the search for copies, the ledger and the replay.

The owner of a run measures all of it. In a deployment each site measures it for its own patients,
and says no more of it than these records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from benchmark.core.budget import Unit
from benchmark.core.forms import (
    Count,
    Many,
    Name,
    Positive,
    Probability,
    Share,
    Size,
    Words,
    at_most,
    named,
)
from benchmark.results.form import Form

Sum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hex."""

Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{4}( [0-9a-f]{4}){15}$")]
"""That of a public key, as ``seals.fingerprint`` writes it."""


class LedgerEntry(Form):
    """An entry of a ledger: its number, and its keyed hash, which its owner can find again."""

    number: Many
    hash: Sum


class LedgerRecord(Form):
    """The ledger that was charged for the fit.

    Who was in which earlier fit is a patient's own affair. So both totals are those of a patient
    who was in every private fit of the ledger, which bound what any patient has spent.

    Attributes:
        entries: The entries of this fit.
        before: The total of all private fits before this one, as ε of a patient.
        after: The same with this fit and all others up to the release.
        delta: The δ of both.
    """

    entries: Annotated[tuple[LedgerEntry, ...], at_most(10_000)]
    before: Positive
    after: Positive
    delta: Probability


class AuditTest(Form):
    """A test of one claim.

    Attributes:
        unit: What was guessed: patches or patients.
        candidates: How many coins were guessed; of pairs of patients' patches, rounded down to a
            power of two unless their owner chose to disclose figures.
        claim: The ε that the attack tests: that of the unit, or twice it where one unit was
            exchanged for another.
        provable: The largest ε that so many candidates, as they are said, can refute.
        confidence: Of the verdict.
        proven: The ε that was refuted with that confidence; ``None`` where it was measured on
            patients and is not disclosed.
    """

    unit: Unit
    candidates: Count
    claim: Positive
    provable: Positive
    confidence: Share
    proven: Positive | None = None


class AuditRecord(AuditTest):
    """The attack on this very fit; its own fields are those of the test of the fit's unit.

    Attributes:
        method: ``canaries`` that were planted at fit time, or ``membership`` inference from
            synthetic patches of this generator.
        refuted: Whether any claim was refuted.
        samples: How many synthetic patches the attacker saw; 0 for canaries, whose auditor sees the
            private steps themselves.
        further: Tests of other units' claims that follow from the guarantee.
    """

    method: Literal["canaries", "membership"]
    refuted: bool
    samples: Count
    further: Annotated[tuple[AuditTest, ...], at_most(2)] = ()


class NearestRecord(Form):
    """The search for copies of patients among the synthetic patches.

    Attributes:
        passed: Whether none was found, by limits that were fixed beforehand.
        samples: How many synthetic patches were looked at.
        fitted: The number of fitted patients.
        held_out: The number of held-out patients whose patches say how near strangers come.
        laws: The limits in words.
        disclosed: Figures measured on patients, which no ε covers; ``None`` unless their owner
            chose to disclose them, or the patients are phantoms.
    """

    passed: bool
    samples: Count
    fitted: Count
    held_out: Count
    laws: Annotated[tuple[Words, ...], at_most(10, at_least=1)]
    disclosed: Annotated[Mapping[Name, Size], named(20)] | None = None


class ReplayRecord(Form):
    """Whether the generator keeps the laws of a private fit, measured before the release.

    Attributes:
        held: Whether all do.
        laws: Their names.
    """

    held: bool
    laws: Annotated[tuple[Name, ...], at_most(20)]


class Evidence(Form):
    """What was measured where the patients are.

    Attributes:
        ledger: What was charged; ``None`` where nobody was.
        audit: The attack on the fit; ``None`` where nothing is claimed that could be refuted.
        nearest_real: The search for copies; ``None`` where no patient was looked at.
    """

    ledger: LedgerRecord | None = None
    audit: AuditRecord | None = None
    nearest_real: NearestRecord | None = None
