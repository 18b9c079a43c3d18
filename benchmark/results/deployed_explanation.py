"""The privacy of a deployment's fit in words, as its server's folder tells of it."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.results.observers import Fit, observed_in
from benchmark.results.promises import mechanism, promise, promise_to_a_patient
from benchmark.results.sites_in_words import at_sites, seen_by_whom
from benchmark.results.spec import parts_of

SEEN = "the synthetic patches"


def explained_deployment(fit: Fit) -> dict[str, list[str]]:
    """Explain the privacy of a deployment's fit.

    Args:
        fit: What the deployment left at its server.

    Returns:
        The sentences that answer each question.
    """
    parts = {
        "What was done?": _done(fit),
        "What is promised?": promise(fit.guarantee, SEEN),
        "And for a whole patient?": promise_to_a_patient(fit.guarantee),
        "And at each site?": at_sites(fit),
        **({"Who could see what?": seen_by_whom(fit)} if observed_in(fit) else {}),
        "What does it rest on?": mechanism(fit.guarantee),
        "Is it a release?": _release(fit),
        "What is not covered?": _not_covered(),
    }
    return {question: [*said] for question, said in parts.items()}


def _done(fit: Fit) -> Iterator[str]:
    many = sum(one.patients for one in parts_of(fit.spec, fit.guarantee, fit.guarantees))
    yield (
        f"The generator {fit.spec.generator.name} was fitted on {many} patients of "
        f"{len(fit.guarantees)} sites, up to {fit.guarantee.patches_per_patient} patches of each. "
        "Each site kept its patients, and the server has none. Whether they were phantoms, only "
        "the sites know, so they count as patients."
    )


def _release(fit: Fit) -> Iterator[str]:
    if not 0 < fit.guarantee.epsilon < float("inf"):
        yield "No: without a finite ε nothing may leave that was made from patients."
    elif fit.guarantee.seeded:
        yield "No: the noise and the draws came from a seed, and whoever knows it can undo them."
    else:
        yield (
            "It could be: noise and draws came from the sites' operating systems. `bench "
            "candidate` draws what may leave, each site examines it and consents, and `bench "
            "release` makes the data set, or says what speaks against it."
        )


def _not_covered() -> Iterator[str]:
    yield (
        "What a site measures on its held-out patients (`bench score`), who were never fitted on. "
        "Other fits on the same patients: each costs again (`bench ledger show` at the site adds "
        "them up). What can be said of people whether or not they took part."
    )
