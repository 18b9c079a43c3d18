"""What is measured for a release: the audit of its fit, the search for copies, and the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.audit.exchange import largest_by_pairs
from benchmark.audit.own_fit import FitAudit, FitVerdict, planted_audit
from benchmark.audit.own_samples import Known, audit_by_samples
from benchmark.core.budget import Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.files import write_json
from benchmark.core.generator import Generator, Progress, drawn, silent
from benchmark.core.laws import LawBrokenError
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.privacy.conformance import is_post_processing_but_for_its_mechanisms
from benchmark.privacy.ledger.chain import Entry
from benchmark.privacy.ledger.ledger import DELTA, Ledger, ledger_in
from benchmark.privacy.subject import Subject
from benchmark.release.cohort import Cohort
from benchmark.release.nearest_real import LAWS, LEAST, nearness
from benchmark.release.records import (
    AuditRecord,
    AuditTest,
    LedgerEntry,
    LedgerRecord,
    NearestRecord,
    ReplayRecord,
)
from benchmark.release.source import Source
from benchmark.results.store import AUDIT
from generators.checks import subjects

DIGITS = 3
"""Decimal places of what is disclosed of patients."""


def audited(source: Source, cohort: Cohort, progress: Progress = silent) -> list[FitAudit]:
    """Attack a run's fit by what its generator draws, beside the canaries that it planted.

    The attack is made anew, whatever a file says of an earlier one.

    Args:
        source: The run.
        cohort: Its patients.
        progress: Called while synthetic patches are drawn and compared.

    Returns:
        The audits, that by canaries first if the run planted some.

    Raises:
        UsageError: If nobody can be guessed on, or canaries were planted and not seen.
        DataError: If the file of the canaries is gone or damaged.
    """
    canaries = source.result.spec.planted
    planted = planted_audit(source.folder, canaries)
    if canaries and planted is None:
        raise UsageError(
            f"{source.folder}: a kill kept the {canaries} canaries of this run from being seen; "
            "fit it anew, with another --first-seed."
        )
    found = attacked(source, cohort, source.result.guarantee, progress)
    if found is None and planted is None:
        raise UsageError(
            f"{source.folder}: there is nobody to guess on, so the fit cannot be audited; give "
            "some patients of the cohort the split test, or plant canaries (bench run --canaries)."
        )
    if found is not None:
        found = found.but(generator=source.generator_sum)
        write_json(source.folder / AUDIT, found.as_dict())
    return [one for one in (planted, found) if one is not None]


def attacked(
    source: Source, cohort: Cohort, guarantee: Guarantee, progress: Progress = silent
) -> FitAudit | None:
    """Attack a fit by what its generator draws.

    Args:
        source: The fit.
        cohort: Its patients, or those of one site.
        guarantee: What the fit gives them.
        progress: Called while synthetic patches are drawn and compared.

    Returns:
        The audit; ``None`` if nobody can be guessed on.
    """
    return audit_by_samples(
        source.generator,
        Known(fitted=cohort.fitted, unfitted=cohort.unfitted, held_out=cohort.held_out),
        guarantee,
        run=source.result.run_key,
        seed=cohort.spec.seed,
        progress=progress,
    )


def audit_record(
    audits: Sequence[FitAudit], guarantee: Guarantee, *, disclose: bool
) -> AuditRecord:
    """Return what is said of the audits: the first one's numbers, and whether any refutes.

    Which patches make a pair depends on patients' vessels. So the number of pairs is rounded down
    to a power of two unless it may be said, and what can be proven is that of the rounded number.

    Args:
        audits: The audits, at least one.
        guarantee: The fit's guarantee.
        disclose: Whether what was measured on patients may be said. What was measured on canaries
            concerns nobody, and always may.
    """
    first = audits[0]
    own, *others = first.verdicts(guarantee)
    shown = disclose or first.method == "canaries"
    return AuditRecord(
        method=first.method,
        refuted=any(one.refutes(guarantee) for one in audits),
        samples=first.samples,
        **_said(own, shown=shown),
        further=tuple(AuditTest(**_said(one, shown=shown)) for one in others),
    )


def _said(verdict: FitVerdict, *, shown: bool) -> dict[str, Any]:
    many, provable = verdict.candidates, verdict.provable
    if not shown:
        many = 1 << (many.bit_length() - 1)
        provable = largest_by_pairs(many, verdict.claim, mistake=1 - verdict.confidence)
    return {
        "unit": verdict.claim.unit,
        "candidates": many,
        "claim": verdict.claim.epsilon,
        "provable": provable,
        "confidence": verdict.confidence,
        "proven": verdict.proven if shown else None,
    }


def nearest_record(
    cohort: Cohort, generator: Generator, synthetic: Patches, *, disclose: bool
) -> NearestRecord:
    """Search synthetic patches for copies of patients, and return what may be said of it.

    Args:
        cohort: The patients.
        generator: What drew the patches. Further draws are searched where few are released.
        synthetic: The patches to be released.
        disclose: Whether the figures may be said, which no ε covers.

    Raises:
        DataError: If there is no held-out patient.
    """
    seed = cohort.spec.seed
    searched = _with_more(synthetic, generator, seed)
    found = nearness(searched, cohort.fitted, cohort.held_out, seed=seed)
    figures = {name: round(value, DIGITS) for name, value in found.figures.items()}
    return NearestRecord(
        passed=found.passed,
        samples=found.samples,
        fitted=cohort.patients,
        held_out=len(cohort.strangers.patients),
        laws=LAWS,
        disclosed=figures if disclose else None,
    )


def _with_more(synthetic: Patches, generator: Generator, seed: int) -> Patches:
    """The patches, and so many others that a share of them means something."""
    missing = LEAST - len(synthetic)
    if missing <= 0:
        return synthetic
    more = drawn(generator, missing, seed=stream(seed, "searched"), size=synthetic.size)
    return Patches(
        images=np.concatenate([synthetic.images, more.images]),
        masks=np.concatenate([synthetic.masks, more.masks]),
    )


def replayed(source: Source) -> ReplayRecord:
    """Measure whether a generator lets out more than its mechanisms do, for the run's unit.

    Args:
        source: The run.
    """
    law = is_post_processing_but_for_its_mechanisms
    try:
        for subject in _subjects(source):
            law(subject)
    except LawBrokenError:
        return ReplayRecord(held=False, laws=(law.__name__,))
    return ReplayRecord(held=True, laws=(law.__name__,))


def _subjects(source: Source) -> Iterator[Subject]:
    unit = source.result.guarantee.unit
    return (one for one in subjects(type(source.generator)) if one.guarantee.unit == unit)


def ledger_record(source: Source, state: Path) -> LedgerRecord | None:
    """Return what the ledger says of a run on patients, after checking every entry.

    Args:
        source: The run.
        state: The state folder.

    Returns:
        The record; ``None`` for phantoms, where no patient was looked at, and for a deployment,
        whose sites have their own ledgers.

    Raises:
        LedgerError: If an entry was changed, or the ledger cannot be read.
        UsageError: If the run's fit is not in the ledger, or with a smaller ε.
    """
    if source.is_free or source.is_deployed or not source.result.private_data:
        return None
    ledger, result = ledger_in(state), source.result
    ledger.verify()
    name = result.spec.generator.name
    entries = [one for one in ledger.fits_of(result.fitted_as) if one.said["generator"] == name]
    paid = [Guarantee.from_dict(entry.said["guarantee"]) for entry in entries]
    due = max(1, len(result.sites))
    if len(entries) < due or max(one.epsilon for one in paid) < result.guarantee.epsilon:
        raise UsageError(
            f"{source.folder}: this machine's ledger does not have what the fit of run "
            f"{result.run_key} has spent; release it on the machine that fitted it, with its "
            "state folder (ANGIOBENCH_STATE)."
        )
    return record_of(ledger, entries)


def record_of(ledger: Ledger, entries: Sequence[Entry]) -> LedgerRecord:
    """Return what a release says of a ledger.

    Args:
        ledger: The ledger, whose chain holds.
        entries: Those of the fit; at least one.
    """
    return LedgerRecord(
        entries=tuple(LedgerEntry(number=one.number, hash=one.hash) for one in entries),
        before=ledger.in_every_fit(before=min(entry.number for entry in entries)),
        after=ledger.in_every_fit(),
        delta=DELTA,
    )
