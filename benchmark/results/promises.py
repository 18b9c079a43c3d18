"""What a guarantee promises, and what it rests on, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmark.core.budget import Guarantee, delta_text, epsilon_text, rounded_up

MEANINGFUL = 10.0
"""An ε above this is no meaningful guarantee."""

REPLACED = {"patch": "one image patch with its vessel mask", "patient": "one patient"}


def promise(guarantee: Guarantee, seen: str) -> Iterator[str]:
    """Yield what is promised of a unit.

    Args:
        guarantee: The guarantee.
        seen: What the promise is about, as "the synthetic patches".
    """
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


def promise_to_a_patient(guarantee: Guarantee) -> Iterator[str]:
    """Yield what follows for a patient with all patches.

    Args:
        guarantee: The guarantee.
    """
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


def mechanism(guarantee: Guarantee) -> Iterator[str]:
    """Yield the numbers that ε follows from.

    Args:
        guarantee: The guarantee.
    """
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
