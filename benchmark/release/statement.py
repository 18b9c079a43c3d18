"""The statement of a release, ``privacy.json``: all that is claimed of it, typed and bounded.

The dossier, the data sets' descriptions and the receiver's check are made from it alone. So what a
person reads and what a machine reads cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, WithJsonSchema, model_validator

from benchmark.core.budget import Guarantee, Unit
from benchmark.core.forms import (
    Count,
    Key,
    Many,
    Name,
    PlugInName,
    Positive,
    Probability,
    Share,
    Size,
    Words,
    at_most,
    named,
)
from benchmark.results.form import Form
from benchmark.results.result import Guaranteed, Spec, Suite
from benchmark.results.scored import ShareMean
from benchmark.results.spec import first_fault

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

Sum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hex."""

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
    """

    n: Many
    seed: Count
    size: Many
    spacing_mm: Size
    per_volume: Many
    volumes: Many
    generator: Sum


class LedgerEntry(Form):
    """An entry of a ledger: its number, and its keyed hash, which its owner can find again."""

    number: Many
    hash: Sum


class LedgerRecord(Form):
    """The ledger that was charged for the fit.

    Who was in which earlier fit is a patient's own affair. So both totals are those of a patient
    who was in every private fit of the ledger, which bound what any patient has spent.

    Attributes:
        entries: The entries of this fit.
        before: The total of all private fits before this one, as ε of a patient.
        after: The same with this fit and all others up to the release.
        delta: The δ of both.
    """

    entries: Annotated[tuple[LedgerEntry, ...], at_most(10_000)]
    before: Positive
    after: Positive
    delta: Probability


class AuditTest(Form):
    """A test of one claim.

    Attributes:
        unit: What was guessed: patches or patients.
        candidates: How many coins were guessed.
        claim: The ε that the attack tests: that of the unit, or twice it where one unit was
            exchanged for another.
        provable: The largest ε that so many candidates can refute.
        confidence: Of the verdict.
        proven: The ε that was refuted with that confidence; ``None`` where it was measured on
            patients and is not disclosed.
    """

    unit: Unit
    candidates: Count
    claim: Positive
    provable: Positive
    confidence: Share
    proven: Positive | None = None


class AuditRecord(AuditTest):
    """The attack on this very fit; its own fields are those of the test of the fit's unit.

    Attributes:
        method: ``canaries`` that were planted at fit time, or ``membership`` inference from
            synthetic patches of this generator.
        refuted: Whether any claim was refuted.
        samples: How many synthetic patches the attacker saw; 0 for canaries, whose auditor sees the
            private steps themselves.
        further: Tests of other units' claims that follow from the guarantee.
    """

    method: Literal["canaries", "membership"]
    refuted: bool
    samples: Count
    further: Annotated[tuple[AuditTest, ...], at_most(2)] = ()


class NearestRecord(Form):
    """The search for copies of patients among the synthetic patches.

    Attributes:
        passed: Whether none was found, by limits that were fixed beforehand.
        samples: How many synthetic patches were looked at.
        fitted: The number of fitted patients.
        held_out: The number of held-out patients whose patches say how near strangers come.
        laws: The limits in words.
        disclosed: Figures measured on patients, which no ε covers; ``None`` unless their owner
            chose to disclose them, or the patients are phantoms.
    """

    passed: bool
    samples: Count
    fitted: Count
    held_out: Count
    laws: Annotated[tuple[Words, ...], at_most(10, at_least=1)]
    disclosed: Annotated[Mapping[Name, Size], named(20)] | None = None


class ReplayRecord(Form):
    """Whether the generator keeps the laws of a private fit, measured before the release.

    Attributes:
        held: Whether all do.
        laws: Their names.
    """

    held: bool
    laws: Annotated[tuple[Name, ...], at_most(20)]


class SiteRecord(Form):
    """One site of a federated fit: what it spent, and its consent to this release."""

    site: SiteName
    guarantee: Guaranteed
    consent: Sum


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


class Statement(Form):
    """All that is claimed of a release.

    Attributes:
        format: The version of this form.
        claim: ``private``, or ``not private`` where the owner released it without a guarantee.
        reasons: Why it is not private, a sentence each; none where it is.
        phantoms: Whether the generator was fitted on simulated patients.
        run: The key of the run.
        spec: Everything that decided the run.
        guarantee: The guarantee of the fit; across sites, that of the site with the largest ε;
            with secure sums, that of the whole fit, which every site has.
        mechanism: The name of the mechanism.
        sites: Each site of a federated fit.
        ledger: What was charged; ``None`` where nobody was.
        audit: ``None`` where nothing is claimed that could be refuted.
        nearest_real: ``None`` where no patient was looked at.
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
    spec: Spec
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
    def private_data(self) -> bool:
        """Whether the generator was fitted on real patients."""
        return not self.phantoms

    @property
    def is_private(self) -> bool:
        """Whether a guarantee is claimed."""
        return self.claim == "private"
