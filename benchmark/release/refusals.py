"""What stops a release, a sentence each with its remedy.

Some reasons mean that no ε can be claimed. The owner of phantoms may release them all the same, and
then every file says that the release is not private. The others cannot be waived.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from benchmark.audit.slots import people_in
from benchmark.core.budget import Guarantee, epsilon_text
from benchmark.core.errors import UsageError
from benchmark.core.registry import class_of
from benchmark.release.records import AuditRecord, NearestRecord, ReplayRecord
from benchmark.release.source import Source
from benchmark.results.disclosure import FEWEST
from benchmark.results.tuned_settings import NOT_ACCOUNTED


def not_private(source: Source) -> Iterator[str]:
    """Yield why no ε can be claimed of a run, from its result alone.

    Args:
        source: The run.
    """
    spec, guarantee = source.result.spec, source.result.guarantee
    if math.isinf(guarantee.epsilon):
        yield (
            f"{spec.generator.name} was fitted without a finite ε, so nothing bounds what its "
            "patches betray; run a private generator with --epsilon."
        )
    elif any(one.seeded and one.epsilon for one in (guarantee, *source.result.guarantees.values())):
        yield (
            "The noise came from a seed, and whoever knows the seed can undo it; run it again with "
            "--noise system."
        )
    tuned = spec.chosen_by
    if tuned and tuned.selection == NOT_ACCOUNTED:
        yield (
            f"Its settings were chosen by looking at patients (study {tuned.study}), and that "
            "selection is not accounted for; run it with settings tuned on phantoms, or with the "
            "preset's own."
        )


def of_the_run(source: Source) -> Iterator[str]:
    """Yield what else stops a release, from the result alone.

    Args:
        source: The run.
    """
    spec, guarantee = source.result.spec, source.result.guarantee
    kind = class_of(spec.registry, spec.generator.name)
    if kind is None or kind.version != spec.generator.version:
        there = "cannot be imported" if kind is None else f"is of version {kind.version} here"
        yield (
            f"{spec.generator.name} was of version {spec.generator.version} in this run and "
            f"{there}; release it with the suite that made it, or run it again."
        )
    for place, said in {"": guarantee, **source.result.guarantees}.items():
        where = f" at {place}" if place else ""
        if _has_float_fault(said):
            yield (
                f"The noise{where} was drawn without a grid, and its low bits tell patients apart "
                "at any ε; run it again with this version."
            )
        many = source.people_at(place) or people_in(spec, said)
        if said.epsilon and source.result.private_data and many < FEWEST:
            yield (
                f"The generator was fitted on {many} patients{where}; at least {FEWEST} are "
                "needed, as what is said of fewer tells of single ones. Add patients."
            )


def of_the_evidence(
    audit: AuditRecord | None, nearest: NearestRecord | None, replay: ReplayRecord | None
) -> Iterator[str]:
    """Yield what stops a release among the things that were measured for it.

    Args:
        audit: The attack on this fit; ``None`` where nothing can be attacked.
        nearest: The search for copies; ``None`` where no patient was looked at.
        replay: The laws of private fits; ``None`` where nothing is private.
    """
    if audit and audit.refuted:
        yield (
            f"The audit refutes the claim of ε = {epsilon_text(audit.claim)} with "
            f"{audit.confidence:.0%} confidence, so the guarantee does not hold; nothing of this "
            "run may leave. `bench check` and `bench audit` of its generator say more."
        )
    if nearest and not nearest.passed:
        yield (
            "Some synthetic patches lie nearer to fitted patients than strangers do, so they may "
            "be copies; ask for a smaller ε, or for another generator."
        )
    if replay and not replay.held:
        yield (
            "Its generator breaks a law of private fits: more leaves than its mechanisms put out; "
            "`bench check` names the law, and its author must mend it."
        )


def refuse(reasons: Sequence[str]) -> None:
    """Refuse a release for some reasons, if there are any.

    Raises:
        UsageError: With all of them.
    """
    if reasons:
        raise UsageError("Nothing is released. " + " ".join(reasons))


def _has_float_fault(guarantee: Guarantee) -> bool:
    noised = 0 < guarantee.epsilon < math.inf and not guarantee.is_pure
    return noised and not guarantee.grid
