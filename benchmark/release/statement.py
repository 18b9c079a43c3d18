"""The statement of a release, ``privacy.json``: all that is claimed of it, typed and bounded.

The dossier, the data sets' descriptions and the receiver's check are made from it alone. So what a
person reads and what a machine reads cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from benchmark.core.budget import Guarantee
from benchmark.core.files import plain
from benchmark.core.forms import (
    Count,
    Key,
    Many,
    Name,
    PlugInName,
    Positive,
    Size,
    Words,
    at_most,
    named,
)
from benchmark.release.records import (
    AuditRecord,
    Evidence,
    Fingerprint,
    LedgerRecord,
    NearestRecord,
    ReplayRecord,
    Sum,
)
from benchmark.results.form import Form
from benchmark.results.result import Guaranteed, Suite
from benchmark.results.scored import ShareMean
from benchmark.results.spec import DeployedSpec, FitSpec, RunSpec, first_fault, fit_from, parts_of

FORMAT = 1

STATEMENT, DOSSIER, DOSSIER_PDF = "privacy.json", "dossier.html", "dossier.pdf"
CROISSANT, SHEET, README, LICENCE = (
    "croissant.json",
    "contact-sheet.png",
    "README.md",
    "LICENCE.txt",
)
CONSENTS, WEIGHTS = "consents", "generator"
"""The names of a release's files and folders, beside those of the data themselves."""

Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z.!+_-]{1,60}$")]
SiteName = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,100}$"})
]
"""A site as its owner calls it, in any script."""

Licence = Annotated[str, Field(pattern=r"^[A-Za-z0-9.+-]{1,60}$")]
"""An identifier of the SPDX list, such as ``CC-BY-4.0``."""


class Samples(Form):
    """The synthetic patches of a release, and how its volumes hold them.

    Attributes:
        n: The number of patches.
        seed: Seeds the latent draws; anybody with the weights can draw them again.
        size: A patch's side in pixels.
        spacing_mm: A pixel's side in mm; 0 where the protocol took each volume's own pixels.
        per_volume: The number of patches that are the slices of one volume.
        volumes: The number of volumes.
        generator: SHA-256 over the generator's files.
        voxels: SHA-256 over the patches as the volumes store them, by which each site of a
            deployment says which patches it examined.
    """

    n: Many
    seed: Count
    size: Many
    spacing_mm: Size
    per_volume: Many
    volumes: Many
    generator: Sum
    voxels: Sum | None = None


class SiteRecord(Form):
    """One site of a federated fit.

    Attributes:
        site: Its name.
        guarantee: What the fit gives its patients.
        consent: SHA-256 of its consent to this release.
        evidence: What it measured at its own place, where nobody else has its patients.
        signer: The fingerprint of the key that signed its consent.
        patients: Its number of patients, after a deployment with secure sums: the guarantee counts
            those of all sites.
        session: Then also the digest of what all sites told each other, the same for all.
    """

    site: SiteName
    guarantee: Guaranteed
    consent: Sum
    evidence: Evidence | None = None
    signer: Fingerprint | None = None
    patients: Many | None = None
    session: Sum | None = None


class UtilityRow(Form):
    """What a segmenter that learnt from a row's patches scored on held-out patients.

    Attributes:
        generator: The row: this release's generator, ``real``, or a free method.
        epsilon: Its ε; 0 for free methods.
        test_set: The name of the test set.
        patients: How many patients the mean is over; at least five where they are real.
        seeds: How many fits it is over.
        dice: The mean, with a 95 % interval over patients.
        is_released: Whether it is the released fit.
    """

    generator: PlugInName
    epsilon: Positive
    test_set: Name
    patients: Many
    seeds: Many
    dice: ShareMean
    is_released: bool = False


class Place(NamedTuple):
    """A place where patients were fitted on, and what was measured there.

    Attributes:
        site: Its name; empty for the one place of a run.
        guarantee: What the fit gives its patients.
        parts: The guarantees by which each of its patients is in one fit.
        evidence: What was measured.
        people: How many patients are there, where ``parts`` count others too; ``None`` elsewhere.
    """

    site: str
    guarantee: Guarantee
    parts: tuple[Guarantee, ...]
    evidence: Evidence
    people: int | None = None


def _written(spec: FitSpec) -> Any:
    return plain(spec.as_dict())


FittedSpec = Annotated[
    RunSpec | DeployedSpec,
    BeforeValidator(lambda said: said if isinstance(said, FitSpec) else fit_from(said)),
    PlainSerializer(_written),
]


class Statement(Form):
    """All that is claimed of a release.

    Attributes:
        format: The version of this form.
        claim: ``private``, or ``not private`` where the owner released it without a guarantee.
        reasons: Why it is not private, a sentence each; none where it is.
        phantoms: Whether the generator was fitted on simulated patients.
        run: The key of the run.
        spec: Everything that decided the fit: of a cell, or of a deployment.
        guarantee: The guarantee of the fit; across sites, that of the site with the largest ε;
            with secure sums, that of the whole fit, which every site has.
        mechanism: The name of the mechanism.
        sites: Each site of a federated fit; of a deployment, with what it measured.
        ledger: What was charged; ``None`` where nobody was, or each site says so.
        audit: ``None`` where nothing is claimed that could be refuted, or each site made its own.
        nearest_real: ``None`` where no patient was looked at, or each site made its own search.
        replay: ``None`` where nothing is private.
        samples: What the volumes hold.
        utility: Dice beside real patches and free methods.
        cost_of_skipping: What leaving patients out for their files means; ``None`` if nobody was.
        suite: The suite that made the release.
        versions: Of the libraries that decide its bits.
        licence: The licence of the data.
        created: The day, in UTC.
    """

    format: Literal[1]
    claim: Literal["private", "not private"]
    reasons: Annotated[tuple[Words, ...], at_most(20)] = ()
    phantoms: bool
    run: Key
    spec: FittedSpec
    guarantee: Guaranteed
    mechanism: Annotated[str, WithJsonSchema({"type": "string", "maxLength": 100})]
    sites: Annotated[tuple[SiteRecord, ...], at_most(10_000)] = ()
    ledger: LedgerRecord | None = None
    audit: AuditRecord | None = None
    nearest_real: NearestRecord | None = None
    replay: ReplayRecord | None = None
    samples: Samples
    utility: Annotated[tuple[UtilityRow, ...], at_most(100)] = ()
    cost_of_skipping: Words | None = None
    suite: Suite
    versions: Annotated[Mapping[Name, Version], named(20)]
    licence: Licence
    created: Day

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if bool(self.reasons) is not (self.claim == "not private"):
            raise ValueError("reasons belong to a release that is not private, and to no other")
        own = (self.ledger, self.audit, self.nearest_real, self.cost_of_skipping)
        if self.is_deployed and (any(own) or self.utility or self.phantoms):
            raise ValueError("of a deployment's patients, its sites alone can say something")
        here = self.samples.voxels is not None
        examined = {here, *(one.evidence is not None for one in self.sites)}
        if examined != {self.is_deployed}:
            raise ValueError("each site of a deployment examines the patches, and no other does")
        summed = self.is_deployed and self.spec.curious is not None
        if {summed, *(one.patients is not None for one in self.sites)} != {summed}:
            raise ValueError("each site of a deployed secure sum names its patients, and no other")
        sessions = {one.session for one in self.sites}
        if sessions and ((None not in sessions) is not summed or len(sessions) > 1):
            raise ValueError("its sites did not take part in one secure sum together")
        return self

    @classmethod
    def read(cls, said: Any) -> Self:
        """Read a statement from the content of a JSON file.

        Args:
            said: The content.

        Raises:
            ValueError: If it is none; the message says what is wrong.
        """
        try:
            return cls.model_validate(said)
        except ValidationError as error:
            raise ValueError(first_fault(error)) from error

    @property
    def guarantees(self) -> dict[str, Guarantee]:
        """The guarantee of each site, by its name; empty for a fit at one place."""
        return {one.site: one.guarantee for one in self.sites}

    @property
    def is_deployed(self) -> bool:
        """Whether each site had its patients at its own place."""
        return isinstance(self.spec, DeployedSpec)

    @property
    def run_spec(self) -> RunSpec | None:
        """The spec of the cell; ``None`` for a deployment."""
        return None if isinstance(self.spec, DeployedSpec) else self.spec

    @property
    def places(self) -> tuple[Place, ...]:
        """Where patients were: each site of a deployment, or the one place of a run."""
        if self.is_deployed:
            return tuple(
                Place(
                    one.site,
                    one.guarantee,
                    (one.guarantee,),
                    one.evidence or Evidence(),
                    one.patients,
                )
                for one in self.sites
            )
        parts = tuple(parts_of(self.spec, self.guarantee, self.guarantees))
        found = Evidence(ledger=self.ledger, audit=self.audit, nearest_real=self.nearest_real)
        return (Place("", self.guarantee, parts, found),)

    @property
    def private_data(self) -> bool:
        """Whether the generator was fitted on real patients."""
        return not self.phantoms

    @property
    def is_private(self) -> bool:
        """Whether a guarantee is claimed."""
        return self.claim == "private"
