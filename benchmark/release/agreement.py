"""Whether all sites of a federated run agree to a release, and to this one.

The owner asks before a release is made, and whoever receives it asks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmark.core.budget import Guarantee, epsilon_text
from benchmark.core.errors import DataError, UsageError
from benchmark.core.files import plain
from benchmark.core.sums import sum_of
from benchmark.release.consent import Consent, Examined, read_consent
from benchmark.release.refusals import of_the_evidence
from benchmark.release.source import Source
from benchmark.release.statement import SiteRecord
from benchmark.sweep.site_plans import job_of

MOST_FILES = 10_000
SUITE = "angiobench"


class Given(NamedTuple):
    """A consent that was given, and its file."""

    file: Path
    consent: Consent


class Due(NamedTuple):
    """What a consent must be for.

    Attributes:
        run: The run's key.
        guarantee: What the fit gives the site's patients.
        generator: SHA-256 over the generator's files.
        patches: Number, seed and voxels of what is to leave; ``None`` unless of a deployment.
        job: SHA-256 of the job of a deployment.
        patients: The site's number of patients, where the guarantee counts those of all sites of a
            deployment; ``None`` elsewhere.
    """

    run: str
    guarantee: Guarantee
    generator: str
    patches: tuple[int, int, str] | None
    job: str
    patients: int | None


def consents_of(
    source: Source, folder: Path | None, patches: tuple[int, int, str] | None
) -> Mapping[str, Given]:
    """Check that every site of a federated run has consented to a release of it.

    Args:
        source: The run.
        folder: Where the sites' files lie, in JSON and without others; ``None`` for none.
        patches: Number, seed and voxels of what is to leave a deployment.

    Returns:
        What each site gave, in the order of the sites; nothing for a run at one place.

    Raises:
        UsageError: If a site's file is missing, there is one too many, or one speaks against it.
        DataError: If a file is none of this run's.
    """
    sites, given = source.result.guarantees, dict[str, Given]()
    for file in _files(folder):
        consent = read_consent(file)
        if consent.site in given or consent.site not in sites:
            raise UsageError(
                f"{file}: a second consent of {consent.site}, or one of no site of this run; leave "
                "one file of each site in the folder."
            )
        due = Due(
            source.result.run_key,
            sites[consent.site],
            source.generator_sum,
            patches,
            job_of(source.result.spec).digest if source.is_deployed else "",
            source.people_at(consent.site),
        )
        for fault in (*faults_of(consent, due), *_of_versions(consent)):
            raise DataError(f"{file}: {fault}; ask {consent.site} for a consent to this release.")
        given[consent.site] = Given(file, consent)
    missing = [site for site in sites if site not in given]
    if missing:
        raise UsageError(
            f"{source.folder}: {', '.join(missing)} did not consent to a release; ask for a file "
            "of `bench consent`, and name the folder with --consents."
        )
    if len({one.consent.examined and one.consent.examined.session for one in given.values()}) > 1:
        raise DataError(
            f"{folder}: these consents are of sites that took part in different fits of this job; "
            "ask each site for its consent to this one."
        )
    return {site: given[site] for site in sites}


def _files(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    try:
        found = sorted(file for file in folder.iterdir() if file.suffix == ".json")
    except OSError as error:
        raise UsageError(f"{folder}: its consents cannot be read ({error.strerror}).") from error
    if len(found) > MOST_FILES:
        raise UsageError(f"{folder}: it holds more than {MOST_FILES:,} files; give the consents.")
    return found


def faults_of(consent: Consent, due: Due) -> Iterator[str]:
    """Yield why a consent is not one to a release, without a full stop.

    Args:
        consent: The consent.
        due: What it must be for.
    """
    if consent.run != due.run or consent.generator != due.generator:
        yield f"this is a consent to another fit than run {due.run} as it is now"
    if plain(consent.guarantee.as_dict()) != plain(due.guarantee.as_dict()):
        yield (
            f"it consents to ε = {epsilon_text(consent.guarantee.epsilon)} by other numbers than "
            f"the run's, which spent {epsilon_text(due.guarantee.epsilon)} there"
        )
    found = consent.examined
    if (found is None) is not (due.patches is None):
        yield "each site of a deployment examines the patches (--data), and no other site does"
    elif found and due.patches:
        yield from _of_examined(found, due.patches)
        if found.job != due.job:
            yield f"the site answered another job than that of run {due.run}, under the same key"
        if found.patients != due.patients:
            yield f"it is of {found.patients} patients, and the run had {due.patients} there"
    try:
        _ = consent.signer
    except ValueError as error:
        yield str(error)


def _of_examined(found: Examined, patches: tuple[int, int, str]) -> Iterator[str]:
    n, seed, voxels = patches
    if (found.n, found.seed) != (n, seed):
        yield (
            f"it is to {found.n} patches of seed {found.seed}, and {n} patches of seed {seed} are "
            "to leave"
        )
    elif found.voxels != voxels:
        yield "it examined other patches than those that are to leave"
    said = found.evidence
    if not (said.ledger and said.audit and said.nearest_real):
        yield "it lacks the attack, the search for copies or the ledger"
    for reason in of_the_evidence(said.audit, said.nearest_real, None):
        yield reason.rstrip(".")


def _of_versions(consent: Consent) -> Iterator[str]:
    """A site of another version may have looked by other limits."""
    made = consent.examined and consent.examined.versions.get(SUITE)
    if made and made != version(SUITE):
        yield f"it was made by version {made}, and this is version {version(SUITE)}"


def site_records(source: Source, consents: Mapping[str, Given]) -> tuple[SiteRecord, ...]:
    """Return what a release says of each site.

    Args:
        source: The run.
        consents: What each site gave.
    """
    return tuple(
        record_of(one.consent, source.result.guarantees[site], sum_of(one.file))
        for site, one in consents.items()
    )


def record_of(consent: Consent, guarantee: Guarantee, digest: str) -> SiteRecord:
    """Return what a release says of a site that consented.

    Args:
        consent: Its consent, which has no fault.
        guarantee: What the fit gives its patients.
        digest: SHA-256 of the consent's file.
    """
    made = SiteRecord(site=consent.site, guarantee=guarantee, consent=digest)
    if consent.examined is not None:
        made = made.but(evidence=consent.examined.evidence)
        if (own := consent.examined.patients) is not None:
            made = made.but(patients=own, session=consent.examined.session)
    return made if (signer := consent.signer) is None else made.but(signer=signer)
