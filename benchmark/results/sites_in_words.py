"""A fit across sites in words: what holds at each site, and who could see what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmark.core.budget import Guarantee, delta_text, epsilon_text
from benchmark.results.observers import Fit, adversary, by_observer, observed_in
from benchmark.results.spec import DeployedSpec


def at_sites(fit: Fit) -> Iterator[str]:
    """Yield whose noise it was, and what holds for the patients of each site.

    Args:
        fit: A fit across sites.
    """
    curious = fit.spec.curious
    if curious is None:
        yield from _own_noise(fit.guarantees)
    else:
        yield from _shared_noise(fit, curious)
    yield "Whoever is a patient of two sites has paid at both."


def _shared_noise(fit: Fit, curious: int) -> Iterator[str]:
    sites, held = fit.guarantees, fit.guarantee
    yield (
        f"{len(sites)} sites trained the generator together ({', '.join(sites)}); each has "
        "patients of its own, and kept its own ledger. They shared the noise and masked what they "
        f"sent, so that the server saw their sum alone. The noise is sized for t = {curious} "
        f"curious sites. So ε = {epsilon_text(held.epsilon)} for a {held.unit} holds for the "
        f"patients of every site, against {adversary(curious)}. That is so where each site is a "
        "machine of its own, and people compared the sites' fingerprints."
    )
    if not isinstance(fit.spec, DeployedSpec):
        yield "This run simulated its sites on one machine, from which nothing was kept."


def _own_noise(sites: Mapping[str, Guarantee]) -> Iterator[str]:
    yield (
        f"{len(sites)} sites trained the generator together; each has patients of its own, itself "
        "noised what it sent, and kept its own ledger. What is said above holds for the patients "
        "of every site: its numbers are those of the site with the largest ε. Site by site:"
    )
    yield (
        "; ".join(
            f"{site}, {of.patients} patients, ε = {epsilon_text(of.epsilon)} for a {of.unit} and "
            f"{epsilon_text(of.epsilon_patient)} for a patient"
            for site, of in sites.items()
        )
        + ". It holds against the server and the other sites too, which see all that a site sends."
    )


def seen_by_whom(fit: Fit) -> Iterator[str]:
    """Yield the ε of each observer; nothing for a fit at one place, or without a finite ε.

    Args:
        fit: The fit.
    """
    found, curious = observed_in(fit), fit.spec.curious
    if found is None:
        return
    said = "; ".join(
        f"{who}: ε = {epsilon_text(epsilon)}" for who, epsilon in by_observer(found.seen).items()
    )
    did = f"Each site added {found.way}" if curious is None else f"The sites used {found.way}"
    yield (
        f"{did}. Upper bounds for a {found.unit} at δ = "
        f"{delta_text(found.delta)}, of the worst-off site, if all follow the protocol: {said}."
    )
    yield f"The result's own ε holds against {adversary(curious)}."
    if curious is None and found.seen.outsider < found.seen.server:
        yield (
            "The smaller bounds hold for replies that are added exactly. The fit added "
            "floating-point numbers, so claim no less than the server's ε."
        )
