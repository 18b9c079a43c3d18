"""``bench release``: from a finished run to a folder that may leave, or to the reasons why not.

The folder is put in its place whole, after the receiver's own check of it has passed and the ledger
has its checksums. Until then it is a hidden neighbour, which a later release removes.
"""

from __future__ import annotations

import math
import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmark.core.budget import Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.files import write_json
from benchmark.core.generator import drawn
from benchmark.core.patches import Patches
from benchmark.core.protocol import spacing_of
from benchmark.core.sums import SUMS, sum_of
from benchmark.data.reading import AS_FOUND, Reading
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.release.checks.remaking import DRAWING
from benchmark.release.consent import consents_of, site_records, today
from benchmark.release.contents.croissant import croissant
from benchmark.release.contents.descriptions import write_descriptions
from benchmark.release.contents.licences import find_licence
from benchmark.release.contents.volumes import write_data
from benchmark.release.dossier.page import dossier_html
from benchmark.release.dossier.pdf import dossier_pdf
from benchmark.release.findings import (
    audit_record,
    audited,
    ledger_record,
    nearest_record,
    replayed,
)
from benchmark.release.refusals import not_private, of_the_evidence, of_the_run
from benchmark.release.seals import seal, sign
from benchmark.release.source import Cohort, Source, cohort_of, source_of
from benchmark.release.statement import (
    CONSENTS,
    CROISSANT,
    DOSSIER,
    DOSSIER_PDF,
    SHEET,
    STATEMENT,
    WEIGHTS,
    Samples,
    Statement,
)
from benchmark.release.utility import utility_of
from benchmark.release.verification import verify_release
from benchmark.release.without_canaries import without_canaries
from benchmark.results.provenance import suite
from benchmark.results.store import GENERATOR
from benchmark.sweep.inputs import Progress

FORMAT, PER_VOLUME, PATCHES = 1, 100, 2000
LIBRARIES = (
    *("angiobench", "numpy", "torch", "dp-accounting", "opacus"),
    *DRAWING,
)
PARTIAL = ".partial-release-"


@dataclass(frozen=True, kw_only=True)
class ReleaseRequest:
    """What an owner asks for.

    Attributes:
        run: The run's folder or key.
        out: Where the release is put; nothing may be there.
        store: The folder of results.
        patches: How many synthetic patches.
        seed: Seeds their latent draws.
        licence: An SPDX identifier.
        data: The cohort's folder; ``None`` for phantoms.
        reading: How it is read.
        consents: The consents of a federated run's sites.
        weights: Whether the generator's weights leave too.
        not_private: Whether it may leave without a guarantee, as phantoms may.
        disclose: Whether figures measured on patients are said, which no ε covers.
        sign: The owner's private Ed25519 key in PEM; ``None`` for no signature.
        per_volume: How many patches are the slices of one volume.
        jobs: How many phantoms are made at a time.
    """

    run: str
    out: Path
    store: Path
    licence: str
    patches: int = PATCHES
    seed: int = 0
    data: Path | None = None
    reading: Reading = AS_FOUND
    consents: Sequence[Path] = ()
    weights: bool = False
    not_private: bool = False
    disclose: bool = False
    sign: Path | None = None
    per_volume: int = PER_VOLUME
    jobs: int = 1


@dataclass(frozen=True, kw_only=True)
class Released:
    """A release that was made.

    Attributes:
        folder: Its folder.
        statement: All that is claimed of it.
        entry: Its number in the ledger.
        fingerprint: Of the key that signed it; empty without a signature.
    """

    folder: Path
    statement: Statement
    entry: int
    fingerprint: str = field(default="")


def release(asked: ReleaseRequest, *, cache: Path, state: Path, progress: Progress) -> Released:
    """Make a release, enter it into the ledger, and put it in its place.

    Args:
        asked: What the owner asks for.
        cache: The cache folder.
        state: The state folder, with the ledger.
        progress: Called for every stage.

    Raises:
        UsageError: With every reason why nothing of the run may leave, or for wrong usage.
        DataError: If the run, the cohort or a consent is damaged.
        LedgerError: If the ledger was changed, or cannot be read.
    """
    find_licence(asked.licence)
    if asked.out.exists():
        raise UsageError(f"{asked.out} is there already; name another folder with --out.")
    source = source_of(asked.run, asked.store)
    reasons = _check(source, asked)
    consents = consents_of(source, asked.consents)
    ledger = ledger_record(source, state)
    cohort = None
    if not source.is_free:
        cohort = cohort_of(
            source,
            asked.data,
            reading=asked.reading,
            cache=cache,
            state=state,
            jobs=asked.jobs,
            progress=progress,
        )
    progress("Drawing patches", 0, 1)
    patches = _drawn(source, asked)
    claims = {
        "reasons": tuple(reasons),
        "claim": "not private" if reasons else "private",
        "sites": site_records(source, consents),
        "ledger": ledger,
        **_measured(source, cohort, patches, asked, private=not reasons, progress=progress),
    }
    statement = _statement(source, patches, asked, claims)
    return _put(source, patches, statement, asked, list(consents.values()), state, progress)


def _check(source: Source, asked: ReleaseRequest) -> list[str]:
    """Refuses what the result alone refuses.

    Returns:
        Why no ε can be claimed, where the owner releases it all the same.
    """
    waived, fatal = [*not_private(source)], [*of_the_run(source)]
    if waived and not asked.not_private:
        fatal = [*waived, *fatal]
    if asked.not_private and not waived:
        raise UsageError(
            f"{source.folder}: an ε can be claimed of this run; leave --not-private out."
        )
    _refuse(fatal)
    return waived


def _refuse(reasons: Sequence[str]) -> None:
    if reasons:
        raise UsageError("Nothing is released. " + " ".join(reasons))


def _drawn(source: Source, asked: ReleaseRequest) -> Patches:
    """The patches to be released, none of which resembles a canary."""
    size = int(source.result.spec.protocol["patch_size"])
    found = drawn(source.generator, asked.patches, seed=asked.seed, size=size)
    return without_canaries(found, source, seed=asked.seed)


def _measured(
    source: Source,
    cohort: Cohort | None,
    patches: Patches,
    asked: ReleaseRequest,
    *,
    private: bool,
    progress: Progress,
) -> dict[str, Any]:
    """What is measured for the release, and stops it if it must."""
    if cohort is None:
        return {}
    shown = asked.disclose or not source.result.private_data
    progress("Searching for copies", 0, 1)
    nearest = nearest_record(cohort, patches, disclose=shown)
    if not private:
        _refuse([*of_the_evidence(None, nearest, None)])
        return {"nearest_real": nearest}
    progress("Replaying the fit", 0, 1)
    replay = replayed(source)
    progress("Attacking the fit", 0, 1)
    guarantee = source.result.guarantee
    audit = audit_record(audited(source, cohort), guarantee, disclose=shown)
    _refuse([*of_the_evidence(audit, nearest, replay)])
    return {"audit": audit, "nearest_real": nearest, "replay": replay}


def _statement(
    source: Source, patches: Patches, asked: ReleaseRequest, claims: dict[str, Any]
) -> Statement:
    result = source.result
    said = {
        "format": FORMAT,
        "phantoms": not result.private_data,
        "run": result.run_key,
        "spec": result.spec,
        "guarantee": result.guarantee,
        "mechanism": mechanism_of(result.guarantee),
        "samples": Samples(
            n=len(patches),
            seed=asked.seed,
            size=patches.size,
            spacing_mm=spacing_of(result.spec.protocol),
            per_volume=asked.per_volume,
            volumes=math.ceil(len(patches) / asked.per_volume),
            generator=source.generator_sum,
        ),
        "utility": utility_of(result, asked.store),
        "suite": suite(),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in LIBRARIES}},
        "licence": asked.licence,
        "created": today(),
        **claims,
    }
    given = {name: value for name, value in said.items() if value not in (None, ())}
    return Statement.read(given)


def mechanism_of(guarantee: Guarantee) -> str:
    """Name the mechanism of a guarantee.

    Args:
        guarantee: The guarantee.
    """
    if guarantee.epsilon == 0:
        return "none: no patient was looked at"
    if math.isinf(guarantee.epsilon):
        return "none: nothing is noised"
    if guarantee.is_pure:
        return "permute-and-flip choice among public candidates"
    if guarantee.sampling_rate == 1:
        return "discrete Gaussian noise on sums over all units"
    return "discrete Gaussian noise on sums of clipped gradients of Poisson-drawn units"


def _put(
    source: Source,
    patches: Patches,
    statement: Statement,
    asked: ReleaseRequest,
    consents: Sequence[Path],
    state: Path,
    progress: Progress,
) -> Released:
    """Writes the folder beside its place, checks it as a receiver would, and moves it there."""
    parent = asked.out.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    for rest in parent.glob(f"{PARTIAL}{asked.out.name}-*"):
        shutil.rmtree(rest, ignore_errors=True)  # of a release that was killed
    partial = Path(tempfile.mkdtemp(dir=parent, prefix=f"{PARTIAL}{asked.out.name}-"))
    try:
        progress("Writing files", 0, 1)
        _write(partial, source, patches, statement, consents, weights=asked.weights)
        seal(partial, private=statement.is_private)
        fingerprint = sign(partial, asked.sign) if asked.sign else ""
        faults = verify_release(partial, progress=progress).faults
        if faults:
            raise UsageError(f"Nothing is released: its own check fails. {' '.join(faults)}")
        entry = ledger_in(state).enter_release(
            statement.run,
            sums=sum_of(partial / SUMS),
            patches=statement.samples.n,
            licence=statement.licence,
        )
        partial.chmod(0o755)
        partial.rename(asked.out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Released(folder=asked.out, statement=statement, entry=entry, fingerprint=fingerprint)


def _write(
    folder: Path,
    source: Source,
    patches: Patches,
    statement: Statement,
    consents: Sequence[Path],
    *,
    weights: bool,
) -> None:
    write_json(folder / STATEMENT, statement.as_dict())
    write_data(folder, patches, statement)
    write_descriptions(folder, statement)
    for consent in consents:
        (folder / CONSENTS).mkdir(exist_ok=True)
        shutil.copyfile(consent, folder / CONSENTS / consent.name)
    if weights:
        shutil.copytree(source.folder / GENERATOR, folder / WEIGHTS)
    sheet = (folder / SHEET).read_bytes()
    (folder / DOSSIER).write_text(dossier_html(statement, sheet), encoding="utf-8")
    (folder / DOSSIER_PDF).write_bytes(dossier_pdf(statement, sheet))
    write_json(folder / CROISSANT, croissant(statement, folder))
