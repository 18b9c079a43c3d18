"""The ledger: what every patient's data have spent so far, on this machine.

An entry is durable before the first private batch is read, and is never changed (``chain``). A
patient is known by two keyed digests: of the voxels, and of the participant id in the cohort.
Either is enough. So a file that is exported again or renamed is the same patient, and so are other
voxels under the same id. Identities that a chain of common digests connects are one patient.

Two limits: other voxels under another id count as a new patient. And an id counts as the same
patient in every cohort on this machine, because a cohort's name is changed as easily as a voxel.
Two people who share an id pay for each other. That may refuse a fit and never allows one.

A patient's total is composed by the accountant from the mechanisms' numbers, at patient level also
where patches were the unit. Caps hold for private data; phantoms are recorded and never capped. A
fit on private data with seeded noise counts as ε = ∞, because the seed undoes the noise.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmark.core.budget import Guarantee, Unit, epsilon_text
from benchmark.core.errors import UsageError
from benchmark.core.folders import LEDGER, machine_secret
from benchmark.core.identity import Identity
from benchmark.privacy.accounting.composition import total_epsilon
from benchmark.privacy.ledger.chain import Chain, Entry, Head, Pages
from benchmark.privacy.ledger.histories import History, alike, before_and_now, of_group, owed

Kind = Literal["fit", "statistics", "tuning", "selection"]
CAP, RELEASE = "cap", "release"
"""Entries that spend nothing: a new cap, and data that left."""

DELTA = 1e-5
"""The δ of every total."""


class OverCapError(UsageError):
    """A spending would take some patient over the cap."""


@dataclass(frozen=True, kw_only=True)
class Spending:
    """One use of patients' data.

    Attributes:
        kind: The purpose.
        run: The key of the run that spends.
        generator: The name of the plug-in that spends.
        guarantee: The mechanism's numbers.
        patients: The patients, each an ``Identity`` or its text.
        private: Whether they are anything but phantoms.
        claim: A name of this very use, by which its entry is found again after a kill; may be
            empty.
    """

    kind: Kind
    run: str
    generator: str
    guarantee: Guarantee
    patients: tuple[str, ...]
    private: bool
    claim: str = ""


class Total(NamedTuple):
    """The spending of all patients with the same entries.

    Attributes:
        patients: How many patients have these entries.
        entries: The entries' numbers.
        epsilon: The composed ε of one of these patients, at δ = ``DELTA``.
    """

    patients: int
    entries: tuple[int, ...]
    epsilon: float


class Ledger:
    """The record of what was spent, with the cap on what may be.

    Args:
        path: The file; made at the first entry.
        secret: The key of its chain.

    Raises:
        LedgerError: From every method, for a file that cannot be read, or is gone.
    """

    def __init__(self, path: Path, secret: bytes) -> None:
        self._chain = Chain(path, secret)

    def charge(self, spending: Spending, *, in_all: bool = False) -> int:
        """Write an entry durably.

        Args:
            spending: What is spent.
            in_all: Whether to check the cap as ``check_in_all`` does, so that the answer does not
                reveal who is in the spending. Two of its patients whom an earlier entry shows to be
                one pay together, and may go over the cap.

        Returns:
            The entry's number.

        Raises:
            OverCapError: If a cap is set, the data are private and some patient would go over it.
                Nothing is written then.
        """
        while True:
            checked = self.check_in_all(spending) if in_all else self.check([spending])
            with self._chain.writing() as pages:
                if pages.head() == checked:  # nobody has spent since
                    return pages.append(_said(spending))

    def pays_for(self, number: Any, spending: Spending) -> bool:
        """Tell whether an entry is exactly for this spending, with the same numbers and patients.

        Args:
            number: The entry's number.
            spending: The spending.
        """
        said = _said(spending)
        return any(entry.number == number and entry.said == said for entry in self.entries())

    def entry_for(self, spending: Spending) -> int | None:
        """The entry of a claim, for this spending to the last patient and number, if there is one.

        A kill may come after the entry is written and before its number is noted elsewhere.
        """
        said = _said(spending)
        mine = (entry.number for entry in self.entries() if entry.said == said)
        return next(mine, None) if spending.claim else None

    def check(self, spendings: Sequence[Spending]) -> Head:
        """Refuse spendings that would together go over the cap. Nothing is written.

        Returns:
            The head of the ledger. While it is unchanged, the spendings may be charged.

        Raises:
            OverCapError: Naming cap and total.
        """
        with self._chain.reading() as pages:
            head = pages.head()
            _check_cap(pages, spendings)
        return head

    def worst(self, spendings: Sequence[Spending], patients: Sequence[str]) -> tuple[float, float]:
        """Compose what the worst of some patients has paid, and would have; nothing is written.

        Args:
            spendings: Planned ones, which count as those of private data.
            patients: The patients, whether a spending names them or not.

        Returns:
            Both as ε at ``DELTA``: now, and with the spendings.
        """
        with self._chain.reading() as pages:
            fits = list(_fits_of_each(pages, spendings, among=patients))
        now = (_paid(paid) for paid, _ in fits if paid)
        then = (_paid([*paid, *news]) for paid, news in fits if paid or news)
        return max(now, default=0.0), max(then, default=0.0)

    def check_in_all(self, spending: Spending) -> Head:
        """Refuse a spending that would take a patient in every private fit over the cap.

        The spending's own patients do not matter, so the answer reveals nothing about anybody.

        Returns:
            The head of the ledger, as for ``check``.

        Raises:
            OverCapError: Naming cap and total.
        """
        with self._chain.reading() as pages:
            head, entries, cap = pages.head(), pages.entries(), _cap(pages)
        if math.isinf(cap) or not spending.private:
            return head
        fits = [
            Guarantee.from_dict(entry.said["guarantee"])
            for entry in entries
            if entry.said.get("private")
        ]
        total = _paid([*fits, spending.guarantee])
        if total > cap:
            raise OverCapError(
                f"All private fits of this ledger and {spending.generator} take a patient's total "
                f"to ε = {epsilon_text(total)} at δ = {DELTA:g}, above the cap of {cap:g}; raise "
                "it (`bench ledger cap`), or give other patients a state folder of their own."
            )
        return head

    def set_cap(self, epsilon: float) -> int:
        """Set the largest ε that any patient's total may reach from now on.

        Args:
            epsilon: Above 0; inf lifts the cap.

        Returns:
            The entry's number.

        Raises:
            UsageError: If it is not above 0.
        """
        if not epsilon > 0:
            raise UsageError(f"Expected a cap above 0, or inf for none, got {epsilon}.")
        with self._chain.writing() as pages:
            return pages.append({"kind": CAP, "epsilon": _plain(epsilon)})

    def cap(self) -> float:
        """Return the cap; inf if there is none."""
        with self._chain.reading() as pages:
            return _cap(pages)

    def entries(self) -> list[Entry]:
        """Return every entry, oldest first."""
        with self._chain.reading() as pages:
            return pages.entries()

    def known_by_id_alone(self, patients: Iterable[str]) -> int:
        """Count the patients whose participant id is in the ledger while their voxels are not."""
        with self._chain.reading() as pages:
            known = {digest for one in pages.patients() for digest in Identity(one).digests}
        return sum(
            one.participant in known and one.voxels not in known for one in map(Identity, patients)
        )

    def totals(self) -> list[Total]:
        """Return what private patients have spent, the largest ε first.

        Patients with the same entries share one total. A cohort's total is that of its worst
        patient.
        """
        said = {entry.number: entry.said for entry in self.entries()}
        private = [number for number, words in said.items() if words.get("private")]
        totals = [
            Total(count, tuple(number for number, _ in history), _paid(owed(history, said)))
            for history, count in alike(said, private).items()
        ]
        return sorted(totals, key=lambda total: -total.epsilon)

    def total_of(self, runs: Collection[str], *, unit: Unit) -> float:
        """Compose what some runs cost together: the ε of the unit that paid most, at δ = 1e-5.

        Args:
            runs: Their keys. All their entries count, also of fits that were never finished.
            unit: ``patient``; or ``patch``, if that is all the runs' unit.
        """
        said = {entry.number: entry.said for entry in self.entries()}
        theirs = [number for number, words in said.items() if _is_fit_of(words, runs)]
        histories: Iterable[History] = alike(said, theirs)
        if unit == "patch":  # a patch is one unit, under however many identities its patient is
            histories = {tuple((number, 1) for number, _ in history) for history in histories}
        paid = (owed(history, said) for history in histories)
        return max((total_epsilon(each, DELTA, unit=unit) for each in paid), default=0.0)

    def fits_of(self, run: str) -> list[Entry]:
        """Return the entries of a run's fits on patients, oldest first.

        Args:
            run: The run's key.
        """
        return [
            entry
            for entry in self.entries()
            if entry.said.get("private") and _is_fit_of(entry.said, {run})
        ]

    def in_every_fit(self, *, before: int | None = None) -> float:
        """Compose what a patient has paid who was in every private fit, as ε at ``DELTA``.

        No patient has paid more, and it does not depend on who was in which fit.

        Args:
            before: Only entries with smaller numbers count; ``None`` for all.
        """
        fits = [
            Guarantee.from_dict(entry.said["guarantee"])
            for entry in self.entries()
            if entry.said.get("private") and (before is None or entry.number < before)
        ]
        return _paid(fits) if fits else 0.0

    def enter_release(self, run: str, *, sums: str, patches: int, licence: str) -> int:
        """Note durably that data of a run leave. It costs nobody anything.

        Args:
            run: The run's key.
            sums: SHA-256 of the release's ``SHA256SUMS``, and so of every file in it.
            patches: How many synthetic patches leave.
            licence: Their licence.

        Returns:
            The entry's number; that of an earlier entry if the same files have left before.
        """
        said = {
            "kind": RELEASE,
            "run": run,
            "sums": sums,
            "patches": patches,
            "licence": licence,
        }
        known = next((entry.number for entry in self.entries() if entry.said == said), None)
        if known is not None:
            return known
        with self._chain.writing() as pages:
            return pages.append(said)

    def verify(self) -> int:
        """Check every entry, the chain and its end.

        Returns:
            The number of entries.

        Raises:
            LedgerError: Naming the first entry that was changed, removed or inserted.
        """
        with self._chain.reading() as pages:
            return pages.verify()


def _is_fit_of(words: Mapping[str, Any], runs: Collection[str]) -> bool:
    """Whether an entry's content is of a spending by one of these runs."""
    return words.get("run") in runs and "guarantee" in words


def _check_cap(pages: Pages, spendings: Sequence[Spending]) -> None:
    planned = [spending for spending in spendings if spending.private]
    if not planned or math.isinf(cap := _cap(pages)):
        return
    for paid, news in _fits_of_each(pages, planned):
        total = _paid([*paid, *news])
        if total > cap:
            names = ", ".join(dict.fromkeys(s.generator for s in planned))
            raise OverCapError(
                f"{names} would take a patient's total to ε = {epsilon_text(total)} at "
                f"δ = {DELTA:g}, above the cap of {cap:g}; ask for less (--epsilon; --noise "
                "system, and no `real`: it and seeded noise have no finite ε), or raise it "
                "(`bench ledger cap`)."
            )


def _fits_of_each(
    pages: Pages, planned: Sequence[Spending], among: Sequence[str] = ()
) -> Iterator[tuple[list[Guarantee], list[Guarantee]]]:
    """For each distinct patient of spendings, or among others, what was and would be paid for."""
    said = {entry.number: entry.said for entry in pages.entries()}
    named = [among, *(spending.patients for spending in planned)]
    for history, (_, *joins) in before_and_now(pages.patients(), pages.numbers_of, named):
        news = [
            of_group(spending.guarantee, count)
            for spending, count in zip(planned, joins, strict=True)
            if count
        ]
        yield owed(history, said), news


def _cap(pages: Pages) -> float:
    caps = [entry.said["epsilon"] for entry in pages.of_kind(CAP)]
    return float(caps[-1]) if caps else math.inf


def _said(spending: Spending) -> dict[str, Any]:
    """What an entry says of a spending."""
    return {
        **({"claim": spending.claim} if spending.claim else {}),
        "kind": spending.kind,
        "run": spending.run,
        "generator": spending.generator,
        "private": spending.private,
        "guarantee": _plain(spending.guarantee.as_dict()),
        "patients": sorted(set(spending.patients)),
    }


def _paid(fits: Sequence[Guarantee]) -> float:
    """What fits on private data cost a patient together, at ``DELTA``."""
    if any(fit.seeded and fit.epsilon > 0 for fit in fits):
        return math.inf
    return total_epsilon(fits, DELTA)


def _plain(value: Any) -> Any:
    """A copy that JSON can hold."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def ledger_in(state: Path) -> Ledger:
    """Return the ledger in a state folder, with this machine's secret.

    Raises:
        UsageError: If the secret is lost or damaged.
    """
    return Ledger(state / LEDGER, machine_secret(state))
