"""``bench release``: from a finished run to a folder that may leave, or to the reasons why not.

The folder is put in its place whole, after the receiver's own check of it has passed and the ledger
has its checksums. Until then it is a hidden neighbour, which a later release removes.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.core.directory import kept_directory
from benchmark.core.errors import UsageError
from benchmark.core.files import write_json
from benchmark.core.folders import check_writable
from benchmark.core.generator import drawn
from benchmark.core.patches import Patches
from benchmark.core.sums import SUMS, sum_of
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.release.agreement import Given, consents_of
from benchmark.release.candidate import Candidate, candidate_of
from benchmark.release.checks.layout import consent_name
from benchmark.release.cohort import cohort_of
from benchmark.release.contents.croissant import croissant
from benchmark.release.contents.descriptions import write_descriptions
from benchmark.release.contents.licences import find_licence
from benchmark.release.contents.volumes import write_data
from benchmark.release.dossier.page import dossier_html
from benchmark.release.dossier.pdf import dossier_pdf
from benchmark.release.findings import ledger_record
from benchmark.release.refusals import not_private, of_the_run, refuse
from benchmark.release.request import ReleaseRequest
from benchmark.release.seals import private_key_in, seal, sign
from benchmark.release.source import Source, source_of
from benchmark.release.statement import (
    CONSENTS,
    CROISSANT,
    DOSSIER,
    DOSSIER_PDF,
    SHEET,
    STATEMENT,
    WEIGHTS,
    Statement,
)
from benchmark.release.stating import statement_of
from benchmark.release.verification import verify_release
from benchmark.release.without_canaries import without_canaries
from benchmark.results.store import GENERATOR
from benchmark.sweep.inputs import Progress

PARTIAL = ".partial-release-"
LEFT = re.compile(rf"{re.escape(PARTIAL)}(?P<host>[0-9a-f]+)-(?P<maker>\d+)-[a-z0-9_]{{8}}")
"""The name of a release that is being written: where, by which process, and mkdtemp's own part."""


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
    if asked.sign:
        private_key_in(asked.sign)
    if os.path.lexists(asked.out):
        raise UsageError(f"{asked.out} is there already; name another folder with --out.")
    asked.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    check_writable(asked.out)
    source = source_of(asked.run, asked.store)
    reasons = _check(source, asked)
    candidate = _candidate(source, asked) if source.is_deployed else None
    consents = consents_of(source, asked.consents, None if candidate is None else candidate.said)
    ledger = ledger_record(source, state)
    cohort = None
    if not (source.is_free or source.is_deployed):
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
    patches = _drawn(source, asked) if candidate is None else candidate.patches
    statement = statement_of(
        source,
        cohort,
        patches,
        asked,
        voxels=None if candidate is None else candidate.voxels,
        reasons=reasons,
        consents=consents,
        ledger=ledger,
        progress=progress,
    )
    return _put(source, patches, statement, asked, consents, state, progress)


def _check(source: Source, asked: ReleaseRequest) -> list[str]:
    """Refuses what the result alone refuses.

    Returns:
        Why no ε can be claimed, where the owner releases it all the same.
    """
    waived, fatal = [*not_private(source)], [*of_the_run(source)]
    if waived and (source.result.private_data or not asked.not_private):
        fatal = [*waived, *fatal]
    if asked.not_private and not waived:
        raise UsageError(
            f"{source.folder}: an ε can be claimed of this run; leave --not-private out."
        )
    refuse(fatal)
    return waived


def _candidate(source: Source, asked: ReleaseRequest) -> Candidate:
    """The patches that the sites of a deployment have examined.

    Raises:
        UsageError: If others are asked for, or what only the sites can do.
    """
    for given, name in ((asked.data, "--data"), (asked.disclose, "--disclose")):
        if given:
            raise UsageError(
                f"{source.folder}: only the sites of this deployment have its patients, and what "
                f"they say of them is pass or fail; leave {name} out."
            )
    found = candidate_of(source)
    n, seed = len(found.patches), found.seed
    if (n, seed) != (asked.patches, asked.seed):
        raise UsageError(
            f"{source.folder}: {asked.patches} patches of seed {asked.seed} are asked for, and "
            f"{n} of seed {seed} were drawn for the sites; ask for those, or draw others by "
            "`bench candidate` and ask every site again."
        )
    return found


def _drawn(source: Source, asked: ReleaseRequest) -> Patches:
    """The patches to be released, none of which resembles a canary."""
    size = int(source.result.spec.protocol["patch_size"])
    with kept_directory():
        found = drawn(source.generator, asked.patches, seed=asked.seed, size=size)
        return without_canaries(found, source, seed=asked.seed)


def _put(
    source: Source,
    patches: Patches,
    statement: Statement,
    asked: ReleaseRequest,
    consents: Mapping[str, Given],
    state: Path,
    progress: Progress,
) -> Released:
    """Writes the folder beside its place, checks it as a receiver would, and moves it there."""
    parent = asked.out.absolute().parent
    _sweep(parent)
    partial = Path(tempfile.mkdtemp(dir=parent, prefix=f"{PARTIAL}{_host()}-{os.getpid()}-"))
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


def _sweep(parent: Path) -> None:
    """Removes what releases of this machine left that were killed."""
    for rest in parent.iterdir():
        made = LEFT.fullmatch(rest.name)
        if made and made["host"] == _host() and not Path("/proc", made["maker"]).exists():
            shutil.rmtree(rest, ignore_errors=True)


def _host() -> str:
    """This machine and this container: a process's number means something in them alone."""
    return f"{Path('/proc/self/ns/pid').stat().st_ino:x}{uuid.getnode():x}"


def _write(
    folder: Path,
    source: Source,
    patches: Patches,
    statement: Statement,
    consents: Mapping[str, Given],
    *,
    weights: bool,
) -> None:
    write_json(folder / STATEMENT, statement.as_dict())
    write_data(folder, patches, statement)
    write_descriptions(folder, statement)
    for site, consent in consents.items():
        (folder / CONSENTS).mkdir(exist_ok=True)
        shutil.copyfile(consent.file, folder / consent_name(site))
    if weights:
        shutil.copytree(source.folder / GENERATOR, folder / WEIGHTS)
    sheet = (folder / SHEET).read_bytes()
    (folder / DOSSIER).write_text(dossier_html(statement, sheet), encoding="utf-8")
    (folder / DOSSIER_PDF).write_bytes(dossier_pdf(statement, sheet))
    write_json(folder / CROISSANT, croissant(statement, folder))
