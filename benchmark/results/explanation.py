"""The privacy of a result in words for a data-protection officer: the promises and their limits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from benchmark.core.budget import Guarantee
from benchmark.results.disclosure import SCORES_RULE
from benchmark.results.observers import observed_in
from benchmark.results.promises import mechanism, promise, promise_to_a_patient
from benchmark.results.result import Result
from benchmark.results.sites_in_words import at_sites, seen_by_whom
from benchmark.results.spec import parts_of
from benchmark.results.tuned_settings import NOT_ACCOUNTED

NOT_PRIVATE = (
    "No ε is claimed for the {} own patients, whom the generator never saw: a segmenter trained on "
    "own patients is not private with respect to them, and stays with their owner."
)


def explain(result: Result) -> str:
    """Explain a result's privacy, as paragraphs.

    Args:
        result: The result.
    """
    return in_paragraphs(explained(result))


def in_paragraphs(parts: Mapping[str, Sequence[str]]) -> str:
    """Return sentences by their question as paragraphs, each with its question as the first line.

    Args:
        parts: What ``explained`` returns.
    """
    return "\n\n".join(f"{question}\n{' '.join(said)}" for question, said in parts.items())


def explained(result: Result) -> dict[str, list[str]]:
    """Explain a result's privacy.

    Returns:
        The sentences that answer each question.
    """
    guarantee = result.guarantee
    parts = {
        "What was done?": _done(result, guarantee),
        "What is promised?": promise(guarantee, _seen(result)),
        "And for a whole patient?": promise_to_a_patient(guarantee),
        **({"And at each site?": at_sites(result)} if result.sites else {}),
        **({"Who could see what?": seen_by_whom(result)} if observed_in(result) else {}),
        "What does it rest on?": mechanism(guarantee),
        "Is it a release?": _release(guarantee, result),
        **({"And the own patients?": _own(result)} if result.spec.own else {}),
        "What is not covered?": _not_covered(result),
        **({"What was noted of the files?": result.notes} if result.notes else {}),
    }
    return {question: [*said] for question, said in parts.items()}


def _done(result: Result, guarantee: Guarantee) -> Iterator[str]:
    spec = result.spec
    whose = "patients" if result.private_data else "phantoms (simulated patients)"
    many = sum(one.patients for one in parts_of(spec, guarantee, result.guarantees))
    if result.spec.is_direct and guarantee.epsilon == 0:
        yield (
            f"The segmenter {spec.segmenter.name} rested on published constants alone. It "
            "was given no patient and no patch, and no generator was fitted."
        )
        return
    if result.spec.is_direct:
        yield (
            f"The segmenter {spec.segmenter.name} itself was fitted on {many} {whose}, up to "
            f"{guarantee.patches_per_patient} patches of each. No generator was fitted, and there "
            "are no synthetic patches."
        )
        return
    yield (
        f"The generator {spec.generator.name} was fitted on {many} {whose}, up "
        f"to {guarantee.patches_per_patient} patches of each. It then drew synthetic patches, and "
        f"the segmenter {spec.segmenter.title} learnt from those alone."
    )
    if result.fit_of:
        yield (
            f"The fit is that of the run {result.fit_of}, and was made once for both: patients pay "
            "for it once, under that run's key in the ledger."
        )


def _seen(result: Result) -> str:
    """What the promise is about."""
    return "the segmenter and what it marks" if result.spec.is_direct else "the synthetic patches"


def _leaves(result: Result) -> str:
    """What may leave under it."""
    return "the segmenter" if result.spec.is_direct else "the synthetic patches and the generator"


def _release(guarantee: Guarantee, result: Result) -> Iterator[str]:
    if guarantee.epsilon == 0:
        yield "Nothing of any patient is in it."
    elif math.isinf(guarantee.epsilon):
        yield "No: without a finite ε nothing may leave that was made from patients."
    elif guarantee.seeded:
        yield (
            "No: the noise and the draws came from a seed, so that the benchmark can be repeated, "
            "and whoever knows the seed can undo them. The ε holds for the same run with noise "
            "from the operating system (--noise system)."
        )
    else:
        yield (
            "It could be: noise and draws came from the operating system's cryptographic source. "
            f"What may leave is {_leaves(result)}. {SCORES_RULE}"
        )
        if not result.spec.is_direct:
            yield "`bench release` makes a data set that may leave, or says what speaks against it."
    if not result.private_data:
        yield "The data were phantoms, so nobody is concerned by it."


def _own(result: Result) -> Iterator[str]:
    counts = result.spec.own_counts
    yield f"{max(counts)} patients of the training split were withheld from the fit."
    if result.spec.is_direct:
        return
    yield (
        "Further segmenters learnt from the synthetic patches and from all patches of "
        f"{', '.join(map(str, counts))} of them, to find what own patients add."
    )
    yield NOT_PRIVATE.format(max(counts))


def _not_covered(result: Result) -> Iterator[str]:
    tuned = result.spec.tuned
    if result.cost_of_skipping:
        yield result.cost_of_skipping
    if tuned and tuned.selection == NOT_ACCOUNTED:
        yield (
            "The choice of the settings: they were tuned on patients, and the selection is "
            f"{NOT_ACCOUNTED}. Every trial of the study {tuned.study} has spent privacy too."
        )
    if result.validation:
        yield (
            "The choice of the best free row: it was made by scores on validation patients, who "
            "were never fitted on, and have no guarantee."
        )
    yield (
        "The scores: they were measured on held-out patients, outside of the promise, and those "
        "patients were never fitted on. Other fits on the same patients: each costs again "
        "(`bench ledger show` adds them up, by the accountant). Settings that somebody chose by "
        "looking at these patients. What can be said of people whether or not they took part."
    )
