"""What every file of a release says of it, in the same words: stamp, promise and contents."""

from __future__ import annotations

from benchmark.core.budget import delta_text, epsilon_text
from benchmark.core.protocol import NATIVE
from benchmark.release.statement import Samples, Statement

TITLE = "Synthetic labelled brain angiography"
NOT_PRIVATE = "NOT PRIVATE"
INDEPENDENT = (
    "Each volume is a stack of independent patches. A slice is one axial patch with its vessel "
    "mask; it does not continue in the next slice."
)
UNDEFINED_MM = 1.0
"""A pixel's side in a file whose patches have no defined pixel size; a header needs one."""


def stamp(statement: Statement) -> str:
    """Write the few words that stand in every header and picture.

    Args:
        statement: The release's.

    Returns:
        ASCII of at most 79 characters, such as ``SYNTHETIC eps=2 delta=1e-05 unit=patient``. ε and
        δ are rounded up.
    """
    if not statement.is_private:
        return f"SYNTHETIC, {NOT_PRIVATE}"
    held = statement.guarantee
    epsilon, delta = epsilon_text(held.epsilon), delta_text(held.delta)
    return f"SYNTHETIC eps={epsilon} delta={delta} unit={held.unit}"


def title(statement: Statement) -> str:
    """Write the data set's name, which says so where nothing is promised."""
    return TITLE if statement.is_private else f"{TITLE} ({NOT_PRIVATE})"


def promise(statement: Statement) -> str:
    """Write what the release promises, in a few sentences.

    Args:
        statement: The release's.

    Returns:
        The guarantee, or that there is none and why; and whether the patients are phantoms.
    """
    said = _guarantee(statement) if statement.is_private else _none(statement)
    if statement.phantoms:
        said += " The patients of the fit are simulated, so no person's data were read."
    return " ".join([said, *([statement.cost_of_skipping] if statement.cost_of_skipping else [])])


def _guarantee(statement: Statement) -> str:
    held = statement.guarantee
    if held.epsilon == 0:
        return "The generator read no patient's data, so its patches tell nothing about anyone."
    said = (
        f"Whatever the data of one {held.unit} of the fit were, the probability of any released "
        "data set changes by a factor of at most e^ε, apart from a probability δ, with "
        f"ε = {epsilon_text(held.epsilon)} and δ = {delta_text(held.delta)}."
    )
    if held.unit == "patch":
        said += f" For all patches of one patient together, ε = {_of_patient(statement)}."
    return said


def _of_patient(statement: Statement) -> str:
    return epsilon_text(statement.guarantee.epsilon_patient)


def _none(statement: Statement) -> str:
    said = "Nothing limits what these patches tell about the patients of the fit."
    return " ".join([f"{NOT_PRIVATE}: {said}", *map(_sentence, statement.reasons)])


def _sentence(reason: str) -> str:
    return reason if reason.endswith(".") else f"{reason}."


def pixel_mm(samples: Samples) -> float:
    """Return a pixel's side as headers have it: ``UNDEFINED_MM`` where no size is defined."""
    return UNDEFINED_MM if samples.spacing_mm == NATIVE else samples.spacing_mm


def contents(samples: Samples) -> str:
    """Write what the volumes hold: how many patches, of which size, and how they lie."""
    shape = f"{samples.size}x{samples.size}"
    pixel = f"A pixel is {samples.spacing_mm:g} mm wide."
    if samples.spacing_mm == NATIVE:
        pixel = (
            "The pixel size is not defined, as each volume of the fit kept its own; the headers' "
            f"{UNDEFINED_MM:g} mm means nothing."
        )
    return (
        f"{samples.n} patches of {shape} pixels in {samples.volumes} volumes, up to "
        f"{samples.per_volume} in each. {INDEPENDENT} {pixel}"
    )
