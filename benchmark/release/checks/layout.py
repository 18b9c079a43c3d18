"""The law on the names of a release's files, and how large each may be.

A received folder may hold anything. Only files of these names and sizes are ever opened, and none
by following a link.
"""

from __future__ import annotations

import math
import re

from benchmark.core.addresses import folder_name
from benchmark.core.sums import SUMS
from benchmark.release.naming import names_of
from benchmark.release.seals import LARGEST_KEY, PUBLIC_KEY, SIGNATURE, SIGNATURE_BYTES
from benchmark.release.statement import (
    CONSENTS,
    CROISSANT,
    DOSSIER,
    DOSSIER_PDF,
    LICENCE,
    README,
    SHEET,
    STATEMENT,
    WEIGHTS,
    Samples,
    Statement,
)

NNUNET, BIDS, IGNORED = "dataset.json", "dataset_description.json", ".bidsignore"
SIDECARS = ("desc-synthetic_angio.json", "desc-vessels_mask.json")
DESCRIPTIONS = (NNUNET, BIDS, *SIDECARS, CROISSANT)
"""The files in JSON that describe the data."""

TEXTS = (NNUNET, BIDS, *SIDECARS, IGNORED, README, LICENCE)
"""The files that are made of the statement alone."""

ALWAYS = (STATEMENT, *DESCRIPTIONS, IGNORED, README, LICENCE, SHEET, DOSSIER, DOSSIER_PDF)
"""The files that every release has, beside its volumes and its checksums."""

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_PART = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
_NUMBER = r"\d{4,7}"
LARGEST = {
    re.escape(SUMS): 64 * MIB,
    re.escape(SIGNATURE): SIGNATURE_BYTES,
    re.escape(PUBLIC_KEY): LARGEST_KEY,
    re.escape(STATEMENT): 16 * MIB,
    re.escape(CROISSANT): 64 * MIB,
    "|".join(map(re.escape, TEXTS)): 4 * MIB,
    "|".join(map(re.escape, (DOSSIER, DOSSIER_PDF))): 64 * MIB,
    re.escape(SHEET): 64 * MIB,
    rf"previews/synthetic-{_NUMBER}\.png": 64 * MIB,
    rf"(imagesTr/synthetic-{_NUMBER}_0000|labelsTr/synthetic-{_NUMBER})\.nii\.gz": GIB,
    rf"sub-({_NUMBER})/anat/sub-\1_desc-(synthetic_angio|vessels_mask)\.nii\.gz": GIB,
    rf"{CONSENTS}/{_PART}\.json": MIB,
    rf"{WEIGHTS}/{_PART}\.(json|safetensors)": 8 * GIB,
}
"""The most bytes of a file, by the form of its name."""

_FORMS = [(re.compile(form, re.ASCII), most) for form, most in LARGEST.items()]


def largest(name: str) -> int | None:
    """Return the most bytes of a release's file; ``None`` if no release has one of that name.

    Args:
        name: The path in the folder, with slashes.

    Examples:
        >>> largest("README.md"), largest("../README.md"), largest("run.exe")
        (4194304, None, None)
    """
    return next((most for form, most in _FORMS if form.fullmatch(name)), None)


def volumes_of(samples: Samples) -> int:
    """Return how many volumes hold so many patches."""
    return math.ceil(samples.n / samples.per_volume)


def consent_name(site: str) -> str:
    """Name the file of a site's consent.

    Args:
        site: The site's name; any text.
    """
    return f"{CONSENTS}/{folder_name(site)}.json"


def due_names(statement: Statement) -> set[str]:
    """Return the names of all files that a release must have, but for its checksums.

    Args:
        statement: The release's; so many volumes as it says are named.
    """
    samples = statement.samples
    volumes = (names_of(samples, number) for number in range(1, samples.volumes + 1))
    consents = {consent_name(one.site) for one in statement.sites}
    return {*ALWAYS, *consents, *(name for volume in volumes for name in volume)}


def is_optional(name: str) -> bool:
    """Tell whether a release may have a file or leave it out, as the generator's weights."""
    return name.startswith(f"{WEIGHTS}/")
