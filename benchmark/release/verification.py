"""The receiver's check of a release: nothing in the folder is trusted, and all is compared.

First come names, sizes and checksums, then the statement's form, then everything that follows from
it: volumes, descriptions, pictures, consents, and the guarantees. What is expensive comes last, and
only if nothing was found before. A folder from a stranger can cost time in proportion to its size,
and no more memory than a few of its files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.core.editions import edition_of
from benchmark.core.editions import found as edition
from benchmark.core.errors import UsageError
from benchmark.core.files import plain
from benchmark.core.folders import cache_folder, check_places, state_folder
from benchmark.core.parsers import json_in
from benchmark.core.sums import SUMS
from benchmark.data.phantom import PhantomCohort
from benchmark.data.phantom.cohorts import behind
from benchmark.release.checks.descriptions import of_descriptions
from benchmark.release.checks.examined import of_examined
from benchmark.release.checks.files import Received, of_names, of_sums, received
from benchmark.release.checks.layout import largest
from benchmark.release.checks.pictures import of_pictures
from benchmark.release.checks.promises import hearsay, of_claim, of_epsilons
from benchmark.release.checks.remaking import of_remade
from benchmark.release.checks.volumes import of_samples, of_volumes
from benchmark.release.schema import check_statement
from benchmark.release.seals import (
    PUBLIC_KEY,
    SIGNATURE,
    fingerprint,
    is_signed_by,
    pem_of,
    public_key_in,
)
from benchmark.release.statement import STATEMENT, Statement
from benchmark.release.stating import mechanism_of
from benchmark.release.verdict import Signer, Verdict
from benchmark.sweep.inputs import Inputs, Progress
from leaderboard.guarantees import is_within
from leaderboard.verification import phantoms_of

Phantoms = Callable[[PhantomCohort], Inputs]
"""A function that returns an embedded cohort."""


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody wants to hear."""


def verify_release(
    folder: Path,
    *,
    key: Path | None = None,
    progress: Progress = _silent,
    phantoms: Phantoms | None = None,
) -> Verdict:
    """Check a received release.

    Args:
        folder: The release.
        key: The owner's public Ed25519 key in PEM; ``None`` to take the one in the release, which
            shows an origin only to whoever compares its fingerprint.
        progress: Called for every stage.
        phantoms: Returns an embedded cohort; it is made if ``None``. It is
            called for a release of phantoms alone.

    Returns:
        What does not hold, what could not be checked or compared, and whose signature holds.

    Raises:
        UsageError: If there is no such folder, it is no release, the key is none, or this
            machine's own cache or state cannot be used.
        DataError: If it holds more files than a release can.
        OSError: If it cannot be read.
    """
    if not folder.is_dir() or not any((folder / name).is_file() for name in (STATEMENT, SUMS)):
        raise UsageError(f"{folder}: there is no release; expected a folder with {STATEMENT}.")
    expected = None if key is None else public_key_in(key)
    cache, state = cache_folder(), state_folder()
    made = phantoms or phantoms_of(cache=cache, state=state, progress=progress)
    files = received(folder, progress)
    faults = [*files.faults, *of_sums(files)]
    signer, wrong = _signature(files, expected)
    faults += wrong
    statement, fault = _statement(files)
    found = _Found(faults)
    if statement is None:
        found.faults.append(fault)
    else:
        if statement.phantoms and phantoms is None:
            check_places(cache, state)
        with _own_folders(cache, state):
            _of_statement(_Subject(files, statement, made, progress), found)
    return Verdict(
        faults=tuple(dict.fromkeys(found.faults)),
        unchecked=tuple(found.unchecked),
        unmade=tuple(found.unmade),
        statement=statement,
        signer=signer,
        files=len(files.digests),
    )


@dataclass(frozen=True)
class _Subject:
    """A release whose statement can be read."""

    files: Received
    statement: Statement
    made: Phantoms
    progress: Progress

    def phantoms(self) -> Inputs:
        """Those of the release's own edition."""
        said = self.statement
        data = said.run_spec.data if said.run_spec else ""  # a deployment has no phantoms
        return self.made(behind(data, edition(edition_of(said.spec.protocol)).phantoms))


@dataclass
class _Found:
    """What was found; see ``Verdict``."""

    faults: list[str]
    unchecked: list[str] = field(default_factory=list)
    unmade: list[str] = field(default_factory=list)


@contextmanager
def _own_folders(cache: Path, state: Path) -> Iterator[None]:
    """Tells the receiver's own folders from those of the release."""
    variables = {"ANGIOBENCH_CACHE": cache, "ANGIOBENCH_STATE": state}
    try:
        yield
    except OSError as error:
        for variable, folder in variables.items():
            if is_within(error, folder):
                raise UsageError(
                    f"{folder}: this machine's own folder cannot be used ({error.strerror}); name "
                    f"another by {variable}."
                ) from error
        raise


def _of_statement(one: _Subject, found: _Found) -> None:
    """Everything that follows from the statement; what takes long, only where nothing is wrong."""
    _of_parts(one, found)
    found.unchecked += hearsay(one.statement)
    if found.faults:
        found.unchecked.append(
            "the plan, the pictures, the dossier and the descriptions, as other faults come first"
        )
        return
    faults, unchecked = of_epsilons(one.statement, one.phantoms, cache_folder())
    found.faults += [*faults, *of_examined(one.files, one.statement)]
    found.unchecked += unchecked
    for faults, unmade in (
        of_pictures(one.files, one.statement, one.progress),
        of_remade(one.files, one.statement),
    ):
        found.faults += faults
        found.unmade += unmade


def _of_parts(one: _Subject, found: _Found) -> None:
    said = one.statement
    found.faults += of_names(one.files, said)
    try:
        sizes = [*of_samples(said)]
        found.faults += sizes
        if not sizes:
            faults, unmade = of_volumes(one.files, said, one.progress)
            found.faults += faults
            found.unmade += unmade
        found.faults += of_descriptions(one.files, said)
        found.faults += of_claim(said, one.phantoms)
        if said.mechanism != mechanism_of(said.guarantee):
            found.faults.append("its mechanism is not the one that its guarantee has")
    except UsageError as error:  # the run's rules are none that this suite knows
        found.faults.append(str(error).rstrip("."))


def _statement(files: Received) -> tuple[Statement | None, str]:
    """The statement, or why it is none."""
    if not files.has(STATEMENT):
        return None, f"it has no {STATEMENT} that can be read"
    try:
        said = json_in(files.folder / STATEMENT, most=largest(STATEMENT) or 0)
        check_statement(said)
        statement = Statement.read(said)
        _check_written(said, statement)
    except (ValueError, RecursionError) as error:
        return None, f"{STATEMENT} is no statement of a release: {str(error).rstrip('.')[:300]}"
    return statement, ""


def _check_written(said: Any, statement: Statement) -> None:
    """Refuses what the suite would write otherwise, so that no two readers read it differently."""
    if plain(statement.as_dict()) != said:
        raise ValueError("it is not written as the suite writes it")


def _signature(files: Received, expected: Any) -> tuple[Signer | None, list[str]]:
    """Whose signature holds, and what is wrong with it."""
    there = [name for name in (SIGNATURE, PUBLIC_KEY) if files.has(name)]
    if not there:
        return None, [] if expected is None else ["it is not signed, and you expect a signature"]
    if len(there) < 2 or not files.has(SUMS):
        return None, [f"it has {there[0]} without the rest of a signature"]
    try:
        own = public_key_in(files.folder / PUBLIC_KEY)
    except UsageError:
        return None, [f"{PUBLIC_KEY} is no public Ed25519 key"]
    if files.content(PUBLIC_KEY) != pem_of(own):
        return None, [f"{PUBLIC_KEY} is not written as the suite writes it"]
    if expected is not None and expected != own:
        return None, [f"it is signed by another key, {fingerprint(own)}"]
    if not is_signed_by(files.folder, own):
        return None, [f"its signature is not that of its {SUMS}"]
    return Signer(fingerprint=fingerprint(own), given=expected is not None), []
