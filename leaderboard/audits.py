"""Audits of a board's rows: which files count, and which rows they belong to.

A file of ``bench audit --out`` may come from a stranger. It holds no verdict: the claim is planned
again from the settings, and every bound is computed from the guesses. A file cannot show that the
guesses were really made. The command that the badge names makes them again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.audit import laws, release_laws
from benchmark.audit.bound import CONFIDENCE, chance, lower_bound
from benchmark.audit.judgement import Claim
from benchmark.audit.membership import mistake_of
from benchmark.audit.request import budget_for, rules_of
from benchmark.audit.slots import with_canaries
from benchmark.core.budget import Guarantee, PublicNumbers, epsilon_text, proven_text
from benchmark.core.editions import edition_of
from benchmark.core.editions import found as edition
from benchmark.core.errors import BenchError
from benchmark.core.parsers import json_in
from benchmark.core.protocol import protocol_recipe
from benchmark.core.registry import registry_of
from benchmark.data.patching import public_numbers
from benchmark.data.phantom import PhantomCohort
from benchmark.results.spec import RunSpec
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.plan_cache import same
from leaderboard.entries import Entry
from leaderboard.versions import class_of

SCHEMA = Path(__file__).with_name("audit.schema.json")
LARGEST = 100_000
"""The largest file in bytes that is read; the suite's own have about 2,000."""

Phantoms = Callable[[PhantomCohort], Inputs]
"""A function that returns an embedded cohort."""


@dataclass(frozen=True, kw_only=True)
class Audited:
    """An audit that counts.

    Attributes:
        said: The content of its file.
        bound: The largest ε that its guesses refute, with 95 % confidence.
    """

    said: Mapping[str, Any]
    bound: float

    def is_of(self, spec: RunSpec) -> bool:
        """Tell whether a cell has the same generator, version, settings, rules, unit and ε."""
        said, own = self.said["generator"], spec.generator
        if spec.federation is not None or edition_of(spec.protocol) != self.said["edition"]:
            return False
        rules = rules_of(self.said["edition"], self.said["preset"])
        patches = ("patch_size", "patches_per_patient", "spacing_mm")
        return (
            (said["name"], said["version"]) == (own.name, own.version)
            and said["settings"] == dict(own.settings)
            and (self.said["unit"], self.said["epsilon"]) == (spec.unit, spec.epsilon)
            and all(rules.get(name) == spec.protocol.get(name) for name in patches)
        )

    @property
    def words(self) -> str:
        """What the audit proves, and how to repeat it."""
        said = self.said
        by = ["membership inference"] if said["membership"] else []
        if said["canaries"]:
            by = [f"{said['canaries']['canaries']} canaries", *by]
        held = (
            f"All {len(said['laws'])} exact laws hold" if said["laws"] else "It has no exact laws"
        )
        return (
            f"Audited on the phantoms by {' and '.join(by)}: ε > {proven_text(self.bound)} with "
            f"95 % confidence, which does not refute the claim of {epsilon_text(said['epsilon'])}. "
            f"{held}. The numbers add up; `{self.command}` makes the guesses again."
        )

    @property
    def command(self) -> str:
        """The command that repeats it, without settings that were given one by one."""
        said = self.said
        seed = f" --seed {said['seed']}" if said["seed"] else ""
        canaries = f" --canaries {said['canaries']['canaries']}" if said["canaries"] else ""
        return (
            f"bench audit --generator {said['generator']['name']} --epsilon {said['epsilon']:g} "
            f"--unit {said['unit']} --preset {said['preset']} --protocol {said['edition']}"
            f"{canaries}{seed}"
        )


def read_audits(folder: Path, phantoms: Phantoms) -> tuple[list[Audited], dict[Path, str]]:
    """Read the audits in a folder.

    Args:
        folder: The folder; it may be missing.
        phantoms: Makes the embedded phantoms, once there is an audit.

    Returns:
        The audits that count, and for each other file why it does not.
    """
    found, wrong = [], {}
    for file in sorted(folder.glob("*.json")):
        try:
            found.append(_checked(_said_in(file), phantoms))
        except (OSError, ValueError, RecursionError, BenchError) as error:
            wrong[file] = str(error).rstrip(".")
    return found, wrong


def with_audits(entries: Iterable[Entry], audits: Sequence[Audited]) -> list[Entry]:
    """Return the cells, each with the words of the audit that belongs to it.

    Published cells that do not add up get none. Those that were audited themselves keep that.
    """
    return [replace(entry, audit=_words_of(entry, audits) or entry.audit) for entry in entries]


def _words_of(entry: Entry, audits: Sequence[Audited]) -> str:
    if entry.status != "done" or entry.faults or entry.told.private_data:
        return ""
    return next((audit.words for audit in audits if audit.is_of(entry.spec)), "")


def _said_in(file: Path) -> dict[str, Any]:
    said: dict[str, Any] = json_in(file, most=LARGEST)
    error = next(iter(_validator().iter_errors(said)), None)
    if error is not None:
        where = "/".join(map(str, error.instance_path)) or "the file"
        raise ValueError(f"at {where[:80]!r} it breaks `{type(error.kind).__name__}`")
    return said


@cache
def _validator() -> Any:
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def _checked(said: dict[str, Any], phantoms: Phantoms) -> Audited:
    """The audit, if its numbers add up and refute nothing.

    Raises:
        ValueError: Otherwise, with the first reason.
        BenchError: If the plug-in or the edition is unknown.
    """
    fault = next(_faults(said, phantoms), None)
    if fault:
        raise ValueError(fault)
    return Audited(said=said, bound=max(_bounds(said), default=0.0))


def _faults(said: dict[str, Any], phantoms: Phantoms) -> Iterator[str]:
    own = said["generator"]
    kind = class_of(registry_of(own["name"]), own["name"])
    if kind.version != own["version"]:
        yield f"it is of {own['name']} version {own['version']}, and {kind.version} is installed"
    if said["broken"]:
        yield f"its laws are broken: {', '.join(said['broken']).replace('_', ' ')}"
    if said["laws"] and set(said["laws"]) not in ({*laws.LAWS}, {*release_laws.LAWS}):
        yield "its laws are not those that a fit is held to"
    if bool(said["laws"]) != bool(said["canaries"]):
        yield "canaries and exact laws come together, and it has one without the other"
    if not (said["canaries"] or said["membership"]):
        yield "it has neither canaries nor membership inference, so it attacked nothing"
    if not _is_planned(said, kind, phantoms):
        yield "its claim is not the one that these settings make on the phantoms"
    if any(_refuting(said)):
        measured = proven_text(max(_bounds(said), default=0.0))
        yield f"it refutes its claim: ε > {measured} was measured"


def _is_planned(said: dict[str, Any], kind: Any, phantoms: Phantoms) -> bool:
    """Whether the settings make the claim for the phantoms with canaries among them."""
    claim, public = Guarantee.from_dict(said["claim"]), _public(said, phantoms)
    budget = budget_for(said["epsilon"], said["unit"], public)
    try:
        planned = kind(kind.Params(**said["generator"]["settings"])).plan(public, budget)
    except Exception as error:  # settings are a stranger's, and a plug-in may raise anything
        raise ValueError(f"its settings give no plan ({type(error).__name__})") from error
    mine, theirs = planned.as_dict(), claim.as_dict()
    return mine.keys() == theirs.keys() and all(_close(mine[n], theirs[n]) for n in mine)


def _close(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return same(one, other) or math.isclose(one, other, rel_tol=1e-6)
    return one == other


def _public(said: dict[str, Any], phantoms: Phantoms) -> PublicNumbers:
    recipe = protocol_recipe(rules_of(said["edition"], said["preset"]))
    known = phantoms(PhantomCohort(edition(said["edition"]).phantoms))
    canaries = said["canaries"]["canaries"] if said["canaries"] else 0
    return with_canaries(public_numbers(known.train, recipe), said["unit"], canaries)


def _tests(said: dict[str, Any]) -> Iterator[tuple[Claim, int, int, int, float]]:
    """Each test of a claim: it, candidates, guesses, right ones, and the chance of a mistake."""
    claim = Guarantee.from_dict(said["claim"])
    if one := said["canaries"]:
        yield Claim.of(claim), one["canaries"], one["guesses"], one["right"], 1 - CONFIDENCE
    for judged in said["membership"]:
        of = Claim.of_a_patch(claim) if judged["unit"] == "patch" else Claim.of(claim)
        mistake = mistake_of(judged["unit"], claim.unit) / len(judged["attempts"])
        for tried in judged["attempts"]:
            yield of, judged["candidates"], tried["guesses"], tried["right"], mistake


def _refuting(said: dict[str, Any]) -> Iterator[bool]:
    for claim, candidates, guesses, right, mistake in _tests(said):
        numbers = {"canaries": candidates, "guesses": guesses, "right": right}
        yield chance(**numbers, epsilon=claim.epsilon, delta=claim.delta) < mistake


def _bounds(said: dict[str, Any]) -> Iterator[float]:
    """What each test of the audited unit's claim refutes."""
    for claim, candidates, guesses, right, mistake in _tests(said):
        if claim.unit == said["unit"]:
            yield lower_bound(
                canaries=candidates,
                guesses=guesses,
                right=right,
                delta=claim.delta,
                confidence=1 - mistake,
            )
