"""A site's consent to a release of what several sites trained together.

Each site writes one file: for which run, of which generator, at which ε, and who approved it. A
site of a deployment also says which patches it examined at its own place, and that nothing speaks
against them. A release needs the file of every site, and holds them all.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from benchmark.core.addresses import folder_name
from benchmark.core.errors import DataError, UsageError
from benchmark.core.files import plain, write_json
from benchmark.core.forms import Count, Key, Many, Name, named
from benchmark.core.names import unknown
from benchmark.core.parsers import json_in
from benchmark.release.records import Evidence, Fingerprint, Sum
from benchmark.release.seals import fingerprint_of, is_signature, signature_of
from benchmark.release.source import Source
from benchmark.release.statement import Day, SiteName, Version
from benchmark.results.form import Form
from benchmark.results.result import Guaranteed
from benchmark.results.spec import canonical, first_fault
from leaderboard.schema import check

FORMAT: Literal[1] = 1
LARGEST = 100_000
LONGEST = 200
"""The most characters of whoever approves."""

LIBRARIES = ("angiobench", "numpy", "torch")
"""The libraries that decide what a site finds."""


class Examined(Form):
    """What a site of a deployment examined at its own place, and found nothing against.

    Attributes:
        n: The number of patches that may leave.
        seed: The seed that they were drawn with.
        voxels: SHA-256 over their voxels, as the release's volumes store them.
        job: SHA-256 of the job that the site answered, as the run's key is short.
        evidence: The attack, the search and the ledger, without a figure measured on patients.
        versions: Of the libraries that decided the findings.
        patients: The site's number of patients, after secure sums: its guarantee counts those of
            all sites.
        session: After secure sums, the digest of what all sites told each other, so of who took
            part.
    """

    n: Many
    seed: Count
    voxels: Sum
    job: Sum
    evidence: Evidence
    versions: Annotated[Mapping[Name, Version], named(20)]
    patients: Many | None = None
    session: Sum | None = None


class Signed(Form):
    """An Ed25519 signature of everything else in a consent, and the public key, in hex."""

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


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
        examined: What the site examined; ``None`` unless it is one of a deployment.
        signed: Its signature; ``None`` without one.
    """

    format: Literal[1]
    run: Key
    site: SiteName
    guarantee: Guaranteed
    generator: Sum
    approved_by: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    created: Day
    examined: Examined | None = None
    signed: Signed | None = None

    @property
    def text(self) -> bytes:
        """What a signature is of: all but itself, in one form."""
        return canonical(self.but("signed").as_dict()).encode()

    @property
    def signer(self) -> Fingerprint | None:
        """The fingerprint of the key whose signature holds; ``None`` without a signature.

        Raises:
            ValueError: If there is a signature that does not hold.
        """
        if self.signed is None:
            return None
        key = bytes.fromhex(self.signed.key)
        if not is_signature(bytes.fromhex(self.signed.signature), self.text, key):
            raise ValueError("its signature does not hold")
        return fingerprint_of(key)


def approver(text: str) -> str:
    """Return who approves, as a consent says it.

    Raises:
        UsageError: If nobody does.
    """
    if not text.strip():
        raise UsageError("Expected --by to name who approves, got nothing.")
    return text.strip()[:LONGEST]


def write_consent(
    source: Source,
    site: str,
    approved_by: str,
    folder: Path,
    *,
    examined: Examined | None = None,
    key: Path | None = None,
) -> Path:
    """Write a site's consent to the release of a federated run.

    Args:
        source: The run.
        site: The site's name.
        approved_by: Who approves.
        folder: Where the file is put.
        examined: What a site of a deployment examined.
        key: The site's private Ed25519 key in PEM; ``None`` for no signature.

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
    consent = Consent(
        format=FORMAT,
        run=source.result.run_key,
        site=site,
        guarantee=sites[site],
        generator=source.generator_sum,
        approved_by=approver(approved_by),
        created=today(),
    )
    if examined is not None:
        consent = consent.but(examined=examined)
    if key is not None:
        public, signature = signature_of(consent.text, key)
        consent = consent.but(signed=Signed(key=public.hex(), signature=signature.hex()))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{folder_name(site)}.json"
    write_json(file, consent.as_dict())
    return file


def read_consent(file: Path) -> Consent:
    """Read a consent. It may come from anybody.

    Raises:
        DataError: If the file is none.
    """
    try:
        said = json_in(file, most=LARGEST)
        check(said, _validator())
        consent = Consent.model_validate(said)
        if plain(consent.as_dict()) != said:
            raise ValueError("it is not written as the suite writes it")
    except (OSError, ValueError, RecursionError) as error:
        why = first_fault(error) if isinstance(error, ValidationError) else error
        raise DataError(
            f"{file}: this is no consent of a site ({str(why).rstrip('.')[:300]}); ask the site "
            "for a file of `bench consent`."
        ) from error
    return consent


@cache
def _validator() -> Any:
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator(Consent.model_json_schema())


def today() -> str:
    """Return the day, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())
