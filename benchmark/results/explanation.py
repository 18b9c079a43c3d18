"""The privacy of a result in words for a data-protection officer: the promises and their limits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from benchmark.core.budget import Guarantee, delta_text, epsilon_text, rounded_up
from benchmark.results.disclosure import SCORES_RULE
from benchmark.results.observers import adversary, by_observer, observed_in
from benchmark.results.result import Result
from benchmark.results.spec import parts_of
from benchmark.results.tuned_settings import NOT_ACCOUNTED

MEANINGFUL = 10.0
"""An ε above this is no meaningful guarantee."""

NOT_PRIVATE = (
    "No ε is claimed for the {} own patients, whom the generator never saw: a segmenter trained on "
    "own patients is not private with respect to them, and stays with their owner."
)

REPLACED = {"patch": "one image patch with its vessel mask", "patient": "one patient"}


def explain(result: Result) -> str:
    """Explain a result's privacy.

    Returns:
        Paragraphs, each with its question as the first line.
    """
    parts = explained(result).items()
    return "\n\n".join(f"{question}\n{' '.join(said)}" for question, said in parts)


def explained(result: Result) -> dict[str, list[str]]:
    """Explain a result's privacy.

    Returns:
        The sentences that answer each question.
    """
    guarantee = result.guarantee
    parts = {
        "What was done?": _done(result, guarantee),
        "What is promised?": _promise(guarantee, _seen(result)),
        "And for a whole patient?": _patient(guarantee),
        **({"And at each site?": _sites(result)} if result.sites else {}),
        **({"Who could see what?": [*_observers(result)]} if observed_in(result) else {}),
        "What does it rest on?": _mechanism(guarantee),
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


def _promise(guarantee: Guarantee, seen: str) -> Iterator[str]:
    epsilon, unit = guarantee.epsilon, guarantee.unit
    if epsilon == 0:
        who = "segmenter" if seen.startswith("the segmenter") else "generator"
        yield f"Everything: the {who} looked at no patient, so it can betray nobody (ε = 0)."
    elif math.isinf(epsilon):
        yield f"Nothing. There is no bound on what {seen} may betray (ε = ∞)."
    else:
        delta = "0" if guarantee.is_pure else delta_text(guarantee.delta)
        but = "" if guarantee.is_pure else ", but for a probability of δ"
        yield (
            f"ε = {epsilon_text(epsilon)} at δ = {delta} for "
            f"{REPLACED[unit]}: whoever sees {seen}, and whatever is made of them later, finds "
            f"no event more than e^ε = {factor_text(epsilon)} times as likely, or as unlikely, as "
            f"if the data of that {unit} had been blank{but}."
        )
        yield (
            f"An attacker who holds it for as likely as not that a certain {unit} was in will be "
            f"at most {rounded_up(1 / (1 + math.exp(-epsilon)), 3):.1%} sure of it afterwards."
        )
        if epsilon > MEANINGFUL:
            yield "That is no meaningful guarantee."


def factor_text(epsilon: float) -> str:
    """Write e^ε for people, rounded up, as a power of ten only where it is above a million.

    Args:
        epsilon: Above 0 and finite.

    Examples:
        >>> factor_text(2.0), factor_text(10.0), factor_text(201_014.0)
        ('7.39', '22,030', '10^87300')
    """
    if epsilon > math.log(1e6):
        return f"10^{math.ceil(epsilon / math.log(10))}"
    factor = rounded_up(math.exp(epsilon), 3 if epsilon < math.log(1000) else 4)
    return f"{factor:.3g}" if factor < 1000 else f"{factor:,.0f}"


def _patient(guarantee: Guarantee) -> Iterator[str]:
    epsilon = guarantee.epsilon_patient
    if epsilon is None:
        yield "No bound is known for a patient with all patches."
    elif guarantee.unit == "patient" or epsilon == 0:
        yield "The promise is for a patient as a whole, with all patches."
    elif math.isinf(epsilon):
        yield "Nothing is promised."
    else:
        yield (
            f"A patient has up to {guarantee.patches_per_patient} patches, and for all of them "
            f"together the bound is ε = {epsilon_text(epsilon)}."
        )
        if epsilon > MEANINGFUL:
            yield "That is no meaningful guarantee: the promise does not protect a patient."


def _sites(result: Result) -> Iterator[str]:
    curious = result.spec.curious
    if curious is None:
        yield from _own_noise(result.guarantees)
    else:
        yield from _shared_noise(result, curious)
    yield "Whoever is a patient of two sites has paid at both."


def _shared_noise(result: Result, curious: int) -> Iterator[str]:
    sites, held = result.guarantees, result.guarantee
    yield (
        f"{len(sites)} sites trained the generator together ({', '.join(sites)}); each has "
        "patients of its own, and kept its own ledger. They shared the noise and masked what they "
        f"sent, so that the server saw their sum alone. The noise is sized for t = {curious} "
        f"curious sites. So ε = {epsilon_text(held.epsilon)} for a {held.unit} holds for the "
        f"patients of every site, against {adversary(curious)}. That is so where each site is a "
        "machine of its own, and people compared the sites' fingerprints. This run simulated its "
        "sites on one machine, from which nothing was kept."
    )


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


def _observers(result: Result) -> Iterator[str]:
    found, curious = observed_in(result), result.spec.curious
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


def _mechanism(guarantee: Guarantee) -> Iterator[str]:
    if not 0 < guarantee.epsilon < math.inf:
        yield "No noise was needed, or none was added."
        return
    if guarantee.is_pure:
        yield _choices(guarantee)
        return
    yield (
        f"In each of {guarantee.steps} steps, every {guarantee.unit} entered with probability "
        f"{guarantee.sampling_rate:.4g}, moved the step by {guarantee.clip_norm:.4g} at most, and "
        f"Gaussian noise of {guarantee.noise_multiplier:.4g} times that was added. The "
        f"{guarantee.accountant} accountant gives ε as an upper bound; anybody can recompute it "
        f"from these numbers. Data sets are neighbours by {guarantee.relation}."
    )
    if guarantee.interruptions:
        yield (
            f"The fit was interrupted {guarantee.interruptions} times and went on as another draw; "
            f"up to {guarantee.lost_steps} of the steps were lost and are counted all the same."
        )


def _choices(guarantee: Guarantee) -> str:
    """Of a mechanism that noises nothing and chooses."""
    return (
        f"Every {guarantee.unit} scored each of some public candidates from 0 to 1, and one of "
        f"them was chosen by permute-and-flip, {guarantee.steps} time(s): as if exponential noise "
        f"of {guarantee.noise_multiplier:.4g} had been added to each sum of scores and the largest "
        "taken. ε is the number of choices over that noise, whatever δ is; anybody can recompute "
        f"it. Data sets are neighbours by {guarantee.relation}."
    )


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
