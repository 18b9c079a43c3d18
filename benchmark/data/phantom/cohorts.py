"""The embedded cohorts by name: other people, labelled by other annotators.

A claim that holds on one cohort may be chance, or may rest on how that cohort was labelled.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.core.errors import UsageError
from benchmark.core.names import unknown
from benchmark.data.phantom.annotators import USUAL
from benchmark.data.phantom.cohort import DEFAULT_SEED, PhantomCohort

FIRST = "first"
COHORTS: Mapping[str, tuple[int, str]] = {
    FIRST: (DEFAULT_SEED, USUAL),
    "broad": (2031, "broad"),
    "narrow": (2032, "narrow"),
}
"""The seed and the annotators of each."""

DIGESTS: Mapping[tuple[str, int], str] = {
    ("broad", 3): "63662a3ef8d4b88a",
    ("narrow", 3): "85176d6f7d27fdb4",
}
"""The digest of the patients to fit on, as results have it, by name and version."""


def named(name: str, version: int) -> PhantomCohort:
    """Return the embedded cohort with a name.

    Args:
        name: A key of ``COHORTS``.
        version: A key of ``cohort.DESIGNS``.

    Raises:
        UsageError: If there is none.
    """
    if name not in COHORTS:
        raise UsageError(unknown("cohort of phantoms", name, COHORTS))
    seed, annotators = COHORTS[name]
    return PhantomCohort(version=version, seed=seed, annotators=annotators)


def name_of(data: str, version: int) -> str:
    """Return the name of the cohort with a digest; ``first`` for a digest that is not known.

    Args:
        data: The digest of the patients to fit on.
        version: A key of ``cohort.DESIGNS``.
    """
    found = (name for (name, of), digest in DIGESTS.items() if (digest, of) == (data, version))
    return next(found, FIRST)


def behind(data: str, version: int) -> PhantomCohort:
    """Return the cohort that a result with this digest claims to be of: see ``name_of``."""
    return named(name_of(data, version), version)
