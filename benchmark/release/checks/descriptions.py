"""The descriptions of a received release: they say what its statement says, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.core.parsers import json_in
from benchmark.core.sums import sum_of_sums
from benchmark.release.agreement import Due, faults_of, record_of
from benchmark.release.checks.files import Received
from benchmark.release.checks.layout import (
    DESCRIPTIONS,
    NNUNET,
    consent_name,
    is_optional,
    largest,
)
from benchmark.release.consent import read_consent
from benchmark.release.naming import names_of
from benchmark.release.statement import (
    DOSSIER,
    LICENCE,
    README,
    SHEET,
    WEIGHTS,
    SiteRecord,
    Statement,
)
from benchmark.release.wording import NOT_PRIVATE, stamp
from benchmark.sweep.site_plans import job_of
from leaderboard.pictures import check_png

MARKED = (README, LICENCE, DOSSIER, *DESCRIPTIONS)
"""What must say that a release is not private, where it is not."""

SIDE_PIXELS = 20_000
PNG_KEY = b"Description"


def of_descriptions(files: Received, said: Statement) -> Iterator[str]:
    """Yield faults of the descriptions, the consents and the generator's weights.

    Args:
        files: What was received.
        said: Its statement.
    """
    yield from _of_json(files, said)
    yield from _of_marks(files, said)
    yield from _of_pictures(files, said)
    yield from _of_consents(files, said)
    weights = {
        name.removeprefix(f"{WEIGHTS}/"): digest
        for name, digest in files.digests.items()
        if is_optional(name)
    }
    if weights and sum_of_sums(weights) != said.samples.generator:
        yield "its generator is not the one that its statement names"


def _of_json(files: Received, said: Statement) -> Iterator[str]:
    consents = (consent_name(one.site) for one in said.sites)
    for name in (*DESCRIPTIONS, *consents):
        if not files.has(name):
            continue
        try:
            content = json_in(files.folder / name, most=largest(name) or 0)
        except ValueError as error:
            yield f"{name} cannot be read: {str(error)[:200]}"
            continue
        if not isinstance(content, dict):
            yield f"{name} is no JSON object"
        elif name == NNUNET and content.get("numTraining") != said.samples.volumes:
            yield f"{NNUNET} is of another number of volumes than the statement"


def _of_marks(files: Received, said: Statement) -> Iterator[str]:
    """Nobody can take one file and not know."""
    for name in MARKED if not said.is_private else ():
        if files.has(name) and NOT_PRIVATE.encode() not in files.content(name):
            yield f"{name} does not say that the release is {NOT_PRIVATE}"


def _of_pictures(files: Received, said: Statement) -> Iterator[str]:
    words = PNG_KEY + b"\0" + stamp(said).encode()
    volumes = range(1, min(said.samples.volumes, len(files.digests)) + 1)
    for name in (SHEET, *(names_of(said.samples, number).preview for number in volumes)):
        if not files.has(name):
            continue
        try:
            check_png(files.content(name), most=SIDE_PIXELS, text=words)
        except ValueError as error:
            yield f"{name} {error}"


def _of_consents(files: Received, said: Statement) -> Iterator[str]:
    """Every site agreed to this release."""
    for one in said.sites:
        name = consent_name(one.site)
        if files.has(name) and files.digests[name] != one.consent:
            yield f"{name} is not the consent that its statement names"
        elif files.has(name):
            yield from (f"{name}: {fault}" for fault in _of_consent(files.folder / name, one, said))


def _of_consent(file: Path, one: SiteRecord, said: Statement) -> Iterator[str]:
    """A site says in its consent what the statement says of it."""
    samples = said.samples
    patches = samples.voxels and (samples.n, samples.seed, samples.voxels)
    job = job_of(said.spec).digest if said.is_deployed else ""
    due = Due(said.run, one.guarantee, samples.generator, patches or None, job, one.patients)
    try:
        consent = read_consent(file)
    except DataError:
        yield "this is no consent of a site"
        return
    faults = [*faults_of(consent, due)]
    yield from faults
    if not faults and record_of(consent, one.guarantee, one.consent).as_dict() != one.as_dict():
        yield "it says something else than the statement says of its site"
