"""A site's consent to a release of what several sites trained together.

Each site writes one file: for which run, of which generator, at which ε, and who approved it. A
release needs the file of every site, and holds them all.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from benchmark.core.addresses import folder_name
from benchmark.core.budget import epsilon_text
from benchmark.core.errors import DataError, UsageError
from benchmark.core.files import write_json
from benchmark.core.forms import Key, Name
from benchmark.core.names import unknown
from benchmark.core.parsers import json_in
from benchmark.core.sums import sum_of
from benchmark.release.source import Source
from benchmark.release.statement import Day, SiteRecord, Sum
from benchmark.results.form import Form
from benchmark.results.result import Guaranteed
from benchmark.results.spec import first_fault

FORMAT: Literal[1] = 1
LARGEST = 20_000


class Consent(Form):
    """The consent of one site.

    Attributes:
        format: The version of this form.
        run: The key of the run.
        site: The site.
        guarantee: What the fit gives the site's patients.
        generator: SHA-256 over the generator's files, which decide all that can be drawn.
        approved_by: Who approved, in words of their own.
        created: The day, in UTC.
    """

    format: Literal[1]
    run: Key
    site: Name
    guarantee: Guaranteed
    generator: Sum
    approved_by: Annotated[str, Field(min_length=1, max_length=200)]
    created: Day


def write_consent(source: Source, site: str, approved_by: str, folder: Path) -> Path:
    """Write a site's consent to the release of a federated run.

    Args:
        source: The run.
        site: The site's name.
        approved_by: Who approves.
        folder: Where the file is put.

    Returns:
        The file, named after the site.

    Raises:
        UsageError: If the run has no such site, or nobody approves.
    """
    sites = source.result.guarantees
    if not sites:
        raise UsageError(
            f"{source.folder}: one place fitted this run, so there is no site to consent."
        )
    if site not in sites:
        raise UsageError(unknown("site of this run", site, list(sites)))
    if not approved_by.strip():
        raise UsageError("Expected --by to name who approves, got nothing.")
    consent = Consent(
        format=FORMAT,
        run=source.result.run_key,
        site=site,
        guarantee=sites[site],
        generator=source.generator_sum,
        approved_by=approved_by.strip()[:200],
        created=today(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{folder_name(site)}.json"
    write_json(file, consent.as_dict())
    return file


def consents_of(source: Source, files: Sequence[Path]) -> Mapping[str, Path]:
    """Check that every site of a federated run has consented to a release of it.

    Args:
        source: The run.
        files: The consents, in any order.

    Returns:
        The file of each site, in the order of the sites; none for a run at one place.

    Raises:
        UsageError: If a site's file is missing, or there is one too many.
        DataError: If a file is none of this run's.
    """
    sites = source.result.guarantees
    given = {_checked(file, source).site: file for file in files}
    missing = [site for site in sites if site not in given]
    if missing:
        raise UsageError(
            f"{source.folder}: {', '.join(missing)} did not consent to a release; ask for a file "
            "of `bench consent`, and name it with --consent."
        )
    if len(given) < len(files) or not given.keys() <= sites.keys():
        raise UsageError(
            f"{source.folder}: {len(files)} consents were given for {len(sites)} sites; give one "
            "file of each site."
        )
    return {site: given[site] for site in sites}


def site_records(source: Source, consents: Mapping[str, Path]) -> tuple[SiteRecord, ...]:
    """Return what a release says of each site.

    Args:
        source: The run.
        consents: The file of each site.
    """
    said = source.result.guarantees
    return tuple(
        SiteRecord(site=site, guarantee=said[site], consent=sum_of(file))
        for site, file in consents.items()
    )


def _checked(file: Path, source: Source) -> Consent:
    consent = read_consent(file)
    due = source.result.guarantees.get(consent.site)
    if consent.run != source.result.run_key or consent.generator != source.generator_sum:
        raise DataError(
            f"{file}: this is a consent to another fit (run {consent.run}); ask {consent.site} "
            f"for one to run {source.result.run_key} as it is now."
        )
    if due is not None and consent.guarantee.as_dict() != due.as_dict():
        raise DataError(
            f"{file}: {consent.site} consented to ε = {epsilon_text(consent.guarantee.epsilon)} "
            f"by other numbers than the run's, which spent {epsilon_text(due.epsilon)} there; ask "
            "for a consent to this run."
        )
    return consent


def read_consent(file: Path) -> Consent:
    """Read a consent.

    Raises:
        DataError: If the file is none.
    """
    try:
        return Consent.model_validate(json_in(file, most=LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        why = first_fault(error) if isinstance(error, ValidationError) else error
        raise DataError(
            f"{file}: this is no consent of a site ({why}); ask the site for a file of "
            "`bench consent`."
        ) from error


def today() -> str:
    """Return the day, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())
