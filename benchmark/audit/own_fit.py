"""The counts of an attack on the very fit that a run keeps, and what they prove.

``canaries.json`` is written by a run that planted canaries, and ``audit.json`` by membership
inference on what the run's generator draws. Both hold counts alone. Every verdict is computed from
them and from the run's own guarantee, whenever one is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from benchmark.audit.bound import chance, lower_bound
from benchmark.audit.judgement import Claim
from benchmark.audit.membership import MISTAKE, mistake_of
from benchmark.core.budget import Guarantee, Unit
from benchmark.core.errors import DataError
from benchmark.core.files import read_json
from benchmark.core.forms import Count, Key, Many, Name, Words, at_most, named
from benchmark.core.parsers import json_in
from benchmark.results.form import Form
from benchmark.results.spec import first_fault
from benchmark.results.store import AUDIT, CANARIES, RESULT, SEAL, check_files

FORMAT: Literal[1] = 1


class Attempted(Form):
    """One rule of guessing: how many guesses, fixed beforehand, and how many were right."""

    guesses: Count
    right: Count

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.right > self.guesses:
            raise ValueError("more guesses are right than were made")
        return self


class FitTest(Form):
    """The counts of a test of one claim: of the fit's own unit, or of a patch.

    Attributes:
        unit: What was guessed.
        candidates: The number of coins, m.
        attempts: The rules; for canaries, one.
    """

    unit: Unit
    candidates: Many
    attempts: Annotated[tuple[Attempted, ...], at_most(20, at_least=1)]

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if not self.attempts:
            raise ValueError("nothing was guessed")
        if any(one.guesses > self.candidates for one in self.attempts):
            raise ValueError("there are more guesses than candidates")
        return self

    def verdict(self, claim: Claim, mistake: float) -> FitVerdict:
        """Compute what the guesses prove against a claim.

        Args:
            claim: The claim.
            mistake: The largest probability that a true claim is refuted, over all attempts.
        """
        each, m, delta = mistake / len(self.attempts), self.candidates, claim.delta
        at_most = [
            chance(canaries=m, guesses=r, right=v, epsilon=claim.epsilon, delta=delta)
            for r, v in ((one.guesses, one.right) for one in self.attempts)
        ]

        def bound(guesses: int, right: int) -> float:
            return lower_bound(
                canaries=m, guesses=guesses, right=right, delta=delta, confidence=1 - each
            )

        return FitVerdict(
            claim=claim,
            candidates=self.candidates,
            proven=max(bound(one.guesses, one.right) for one in self.attempts),
            provable=max(bound(one.guesses, one.guesses) for one in self.attempts),
            confidence=1 - mistake,
            refuted=min(at_most) < each,
        )


class FitAudit(Form):
    """The counts of an attack on one fit.

    Attributes:
        format: The version of this form.
        run: The key of the run.
        method: ``canaries`` or ``membership``.
        samples: How many synthetic patches the attacker saw; 0 for canaries, whose auditor sees the
            private steps themselves.
        tests: That of the fit's own unit first.
        laws: The exact laws that were measured on the fit; none for membership inference.
        broken: Those that do not hold, with a sentence each.
        generator: SHA-256 over the files of the generator that drew the samples; ``None`` for
            canaries, whose file is sealed with the run.
    """

    format: Literal[1]
    run: Key
    method: Literal["canaries", "membership"]
    samples: Count = 0
    tests: Annotated[tuple[FitTest, ...], at_most(2, at_least=1)]
    laws: Annotated[tuple[Name, ...], at_most(20)] = ()
    broken: Annotated[Mapping[Name, Words], named(20)] = {}
    generator: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _attacks_something(self) -> Self:
        if not self.tests:
            raise ValueError("nothing was tested")
        return self

    def verdicts(self, guarantee: Guarantee) -> list[FitVerdict]:
        """Compute what each test proves against the fit's own guarantee.

        Args:
            guarantee: The guarantee of the fit.
        """
        return [
            test.verdict(self._claim(test, guarantee), self._mistake(test)) for test in self.tests
        ]

    def refutes(self, guarantee: Guarantee) -> bool:
        """Tell whether a claim of a fit's guarantee is refuted, or an exact law is broken."""
        return bool(self.broken) or any(one.refuted for one in self.verdicts(guarantee))

    def _claim(self, test: FitTest, guarantee: Guarantee) -> Claim:
        of_a_patch = test.unit == "patch"
        claim = Claim.of_a_patch(guarantee) if of_a_patch else Claim.of(guarantee)
        return claim if self.method == "canaries" else claim.exchanged

    def _mistake(self, test: FitTest) -> float:
        return MISTAKE if len(self.tests) == 1 else mistake_of(test.unit, self.tests[0].unit)


class FitVerdict(NamedTuple):
    """What the test of one claim proves.

    Attributes:
        claim: What was tested.
        candidates: The number of coins.
        proven: The largest ε that is refuted, at least 0.
        provable: The largest that could have been.
        confidence: Of the verdict.
        refuted: Whether the claim is refuted.
    """

    claim: Claim
    candidates: int
    proven: float
    provable: float
    confidence: float
    refuted: bool


def planted_audit(folder: Path, canaries: int) -> FitAudit | None:
    """Read the audit by canaries that a finished run wrote and sealed.

    Args:
        folder: The run's folder.
        canaries: How many the run's spec says were planted.

    Returns:
        The audit; ``None`` where none were planted, or a kill kept them from being seen.

    Raises:
        DataError: If the file is gone, was edited, or is not of this run.
    """
    seal = read_json(folder / RESULT).get(SEAL, {})
    if not canaries or CANARIES not in seal.get("files", {}):
        return None
    file = folder / CANARIES
    if not file.exists():
        raise DataError(f"{file} is gone, and the run wrote it; put it back from a copy.")
    check_files(folder)
    found = _read(file)
    if found.method != "canaries" or found.tests[0].candidates != canaries:
        raise DataError(
            f"{file}: this is no audit by {canaries} canaries; put it back from a copy."
        )
    return found


def sampled_audit(folder: Path, generator: str) -> FitAudit | None:
    """Read the audit by what a run's generator draws.

    Args:
        folder: The run's folder.
        generator: SHA-256 over the generator's files.

    Returns:
        The audit; ``None`` if there is none of this generator.

    Raises:
        DataError: If the file is damaged, or is not of this run.
    """
    file = folder / AUDIT
    found = _read(file) if file.exists() else None
    mine = found and (found.method, found.generator) == ("membership", generator)
    return found if mine else None


def _read(file: Path) -> FitAudit:
    try:
        found = FitAudit.model_validate(json_in(file))
        if found.run != file.parent.name:
            raise ValueError(f"it is of the run {found.run}")
    except (OSError, ValueError, RecursionError) as error:
        why = first_fault(error) if isinstance(error, ValidationError) else error
        raise DataError(
            f"{file}: this is no audit that the suite wrote ({why}); remove it, and audit the run "
            f"again (`bench audit --run {file.parent}`)."
        ) from error
    return found
