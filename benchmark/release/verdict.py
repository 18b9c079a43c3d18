"""What the check of a received release found, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.core.budget import delta_text, epsilon_text
from benchmark.release.statement import Statement
from benchmark.release.wording import NOT_PRIVATE
from benchmark.results.observers import adversary

SHOWN = 50
"""Faults that are printed; a folder may have one for every file."""


@dataclass(frozen=True, kw_only=True)
class Signer:
    """The key that signed a release.

    Attributes:
        fingerprint: Of the public key.
        given: Whether the receiver named the key; else it came with the release.
    """

    fingerprint: str
    given: bool


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of checking a received release.

    Attributes:
        faults: What does not hold, a sentence each.
        unchecked: What nobody but the owner can check.
        unmade: What could not be compared, as another version made it.
        statement: What the release says of itself; ``None`` if that cannot be read.
        signer: Whose signature holds; ``None`` where none does.
        files: How many files it has.
    """

    faults: tuple[str, ...]
    unchecked: tuple[str, ...]
    unmade: tuple[str, ...] = ()
    statement: Statement | None
    signer: Signer | None
    files: int

    @property
    def holds(self) -> bool:
        """Whether there is no fault, and all that can be compared was."""
        return not self.faults and not self.unmade

    @property
    def holds_in_part(self) -> bool:
        """Whether there is no fault, and something of another version was not compared."""
        return not self.faults and bool(self.unmade)

    def lines(self) -> Iterator[str]:
        """Yield the summary, line by line."""
        if self.statement is not None:
            yield _contents(self.statement)
            yield f"It promises: {_promise(self.statement)}"
        yield _signature(self)
        yield from (f"Not checked: {what}." for what in (*self.unchecked, *self.unmade))
        yield from (f"Fault: {fault}." for fault in self.faults[:SHOWN])
        if len(self.faults) > SHOWN:
            yield f"And {len(self.faults) - SHOWN} faults more."
        yield _last(self)


def _last(verdict: Verdict) -> str:
    if verdict.holds:
        return f"The release holds: {verdict.files} files, and every law that could be checked."
    if verdict.holds_in_part:
        return (
            f"The release holds in part: {verdict.files} files, without {'; '.join(verdict.unmade)}"
            ". Check it with the version that made it, or accept that with --other-version."
        )
    return f"The release does not hold: {len(verdict.faults)} faults. Do not rely on it."


def _contents(said: Statement) -> str:
    samples, made = said.samples, said.spec.generator
    patients = "simulated patients" if said.phantoms else "patients"
    return (
        f"{samples.n} synthetic patches of {samples.size} x {samples.size} pixels, drawn by "
        f"{made.name} (version {made.version}), fitted on {patients}; licence {said.licence}; "
        f"made on {said.created}."
    )


def _promise(said: Statement) -> str:
    if not said.is_private:
        return f"nothing. It is {NOT_PRIVATE}."
    held = said.guarantee
    if held.epsilon == 0:
        return "its generator read no patient's data."
    told = f"ε = {epsilon_text(held.epsilon)} for one {held.unit}, at δ = {delta_text(held.delta)}"
    if held.unit == "patch":
        told += f"; for one patient, ε = {epsilon_text(held.epsilon_patient)}"
    return f"{told}{_against(said)}."


def _against(said: Statement) -> str:
    """Whose patients it is for, or against whom it holds, where there are sites."""
    curious = said.spec.curious
    if curious is not None:
        simulated = "" if said.is_deployed else ", were the simulated sites machines of their own"
        return f", also against {adversary(curious)}{simulated}"
    return f", at the worst of {len(said.sites)} sites" if said.sites else ""


def _signature(verdict: Verdict) -> str:
    if verdict.signer is None:
        return "Signature: none that holds. Nothing shows who made these files."
    key = "the key that you gave" if verdict.signer.given else "the key that came with it"
    told = f"Signature: by {key}, with the fingerprint {verdict.signer.fingerprint}."
    return (
        f"{told} It proves the origin only if you compared this fingerprint with one that the "
        "owner told you by another way."
    )
