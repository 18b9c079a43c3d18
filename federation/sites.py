"""A site: its patients, its own plan, its own ledger, its own noise.

A site trusts nobody. It plans the guarantee from its own public numbers, charges it to its own
ledger before the first private batch, and counts the rounds. It never runs a round twice on other
weights. An entry pays for one guarantee, one job and its own patients. If any of them differs, or
the site's record of its answers is lost, the run is charged anew.

The content of a patient's files never decides whether a round is answered. A patient without a
usable patch stays in the public number of patients, contributes nothing, and is noted for the site
alone.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.core.budget import Guarantee
from benchmark.core.errors import DataError, UsageError
from benchmark.core.federation import Arrays, SiteSide
from benchmark.core.files import held, read_json, write_json, write_text
from benchmark.core.generator import FitContext, Noise
from benchmark.core.patches import Patches
from benchmark.core.protocol import Recipe
from benchmark.core.seeds import stream
from benchmark.data.cohort import Patient
from benchmark.data.patching import cached
from benchmark.privacy.accounting.units import check_delta
from benchmark.privacy.checkpoint import Checkpoint, State, Tally
from benchmark.privacy.ledger.chain import Entry
from benchmark.privacy.ledger.ledger import Ledger, Spending, ledger_in
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from federation.job import Job

LOG = logging.getLogger("federation")
REPLY, WITHOUT, CHARGE = "reply.safetensors", "without-patches.txt", "charge.json"
CLAIM = "claim"
"""A name of one payment, by which its entry is found after a kill."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """The place of a site's work. Only its patients affect a result.

    Attributes:
        index: The site's number, from 0.
        name: Its name.
        patients: Its training patients as its cohort lists them; their number is public. ``None``
            for one whose files cannot be used.
        voxels: The patients as the ledger knows them: each an ``Identity`` or its text.
        data: Digest of their files.
        private: Whether they are real; false for phantoms.
        folder: What the site keeps of this run.
        cache: The folder of what can be made again.
        state: The folder of its ledger.
        seeded_allowed: Whether noise may come from the server's seed, as in a benchmark.
        planned: The guarantee, if it was planned before.
        device: A torch device's name.
        faults: Why some patients' files cannot be used, for the site alone.
        remote: Whether another party runs the server, as in a deployment.
    """

    index: int
    name: str
    patients: tuple[Patient | None, ...]
    voxels: tuple[str, ...]
    data: str
    private: bool
    folder: Path
    cache: Path
    state: Path
    seeded_allowed: bool
    planned: Guarantee | None = None
    device: str = "cpu"
    faults: tuple[str, ...] = ()
    remote: bool = False


class BusyError(UsageError):
    """Another process of this site computes the run."""


class Site:
    """One site in one run.

    Args:
        post: The place of its work.
        job: What server and sites agree on.
        share: Its public share of all patients.

    Raises:
        UsageError: If the job cannot be done, or is against this site's rules.
    """

    def __init__(self, post: Post, job: Job, share: float) -> None:
        if job.noise != "system" and not post.seeded_allowed:
            raise UsageError(
                "This site draws its noise from its operating system only; the server asked for "
                "seeded noise, which its seed could undo."
            )
        if not 0 < share <= 1:
            raise UsageError(f"Expected a site's share of all patients in (0, 1], got {share}.")
        check_delta(job.delta, job.public(len(post.patients)).units(job.unit))
        self.post, self.job = post, job
        self._generator = job.made().at_site(share)
        planned = post.planned or self._generator.plan_at_site(
            job.public(len(post.patients)), job.budget(), job.schedule
        )
        self.guarantee = replace(planned, seeded=job.noise != "system")
        self._job_digest = hashlib.sha256(job.text().encode()).hexdigest()
        self._entry: int | None = None

    def compute(
        self, number: int, state: Arrays, *, before_release: Callable[[], None] = lambda: None
    ) -> Arrays:
        """Compute the reply of a round.

        With the operating system's noise, the reply is kept before it is sent. If the site is asked
        again for the same round on the same weights, it sends it again. A round that was not
        answered left nothing behind, and is drawn anew.

        Args:
            number: The round's number.
            state: What the server sent.
            before_release: Called when all is done, or has failed, while the run is still locked.
                So a second question that arrives meanwhile cannot find out how long that took.

        Raises:
            UsageError: For a round that is not the next one.
            BusyError: If another process computes this run.
            OverCapError: If the ledger's cap does not allow the run.
        """
        torch.set_num_threads(1)
        if not 1 <= number <= self.job.schedule.rounds:
            raise UsageError(f"Round {number} is not among {self.job.schedule.rounds}.")
        with self._held():
            try:
                return self._computed(number, state)
            finally:
                before_release()

    def consent(self) -> Guarantee:
        """Return the guarantee, if the ledger has room for it or it is paid for. Nothing is spent.

        Raises:
            BusyError: If another process computes this run.
            OverCapError: If the ledger's cap does not allow the run.
        """
        with self._held():
            if not self._is_paid(self._kept(self._record())):
                self._check_cap()
        return self.guarantee

    def paid_by(self) -> list[Entry]:
        """Return the ledger's entries for this run, with this guarantee and these patients.

        Returns:
            The entries, after all of the ledger was checked; none for phantoms.

        Raises:
            LedgerError: If an entry was changed, or the ledger cannot be read.
        """
        self._ledger.verify()
        return [
            entry
            for entry in self._ledger.fits_of(self.job.run)
            if self._ledger.pays_for(entry.number, self._under(entry.said.get(CLAIM, "")))
        ]

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keeps every other process out of this run."""
        self.post.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with held(self.post.folder) as mine:
            if not mine:
                raise BusyError(
                    f"{self.post.folder}: another process computes this run; wait until it ends."
                )
            yield

    def _check_cap(self) -> None:
        """Refuses what is over the cap; for a remote server, by a patient who was in every entry.

        That server chooses ε and may ask as often as it likes. If the patients who are here decided
        the answer, it would tell whether any of them was in which run before.
        """
        if self.post.remote:
            self._ledger.check_in_all(self._spending)
        else:
            self._ledger.check([self._spending])

    def _computed(self, number: int, state: Arrays) -> Arrays:
        record, seeded = self._record(), self.job.noise != "system"
        kept, order = self._kept(record), "" if seeded else digest(state)
        last = kept.tally.begun if kept else 0
        if kept and not seeded and (last, kept.facts["order"]) == (number, order):
            return {name: tensor.numpy() for name, tensor in kept.tensors.items()}
        if not seeded and number not in (1, last + 1):
            raise UsageError(
                f"Round {number} does not follow round {last}, the last that this site knows to "
                "have answered; begin anew, without the checkpoint at the server."
            )
        anew = not seeded and number <= last
        if kept:
            self._claim_file.unlink(missing_ok=True)
        if kept and self._is_paid(kept) and not anew:
            paid = {"entry": kept.facts["entry"], CLAIM: kept.facts.get(CLAIM, "")}
        else:
            paid = self._pay()
            self._keep(record, number - 1, {}, {**paid, "order": ""})
            self._claim_file.unlink()
        self._entry = paid["entry"]
        reply = self._side.compute(number, state, self.context(number))
        if not seeded:
            self._keep(record, number, reply, {**paid, "order": order})
        return reply

    def _pay(self) -> dict[str, Any]:
        """Enter the run into the ledger, under a claim that is noted first.

        A kill after the entry and before the record of it has let nothing leave. So the entry that
        the claim finds still pays. Once there is a record, the claim is removed.
        """
        claim = str(read_json(self._claim_file).get(CLAIM, ""))
        entry = self._ledger.entry_for(replace(self._spending, claim=claim))
        if entry is None:
            claim = secrets.token_hex(16)
            write_json(self._claim_file, {CLAIM: claim})
            self._check_cap()
            spending = replace(self._spending, claim=claim)
            entry = self._ledger.charge(spending, in_all=self.post.remote)
        return {"entry": entry, CLAIM: claim}

    def context(self, number: int) -> FitContext:
        """Return the seed and the noise of one round of this site; no other round has the same."""
        return FitContext(
            seed=stream(self.job.seed, f"site {self.post.index} round {number}"),
            noise=self._noise(number),
            charge=lambda charged: None,  # done by now
            device=self.post.device,
        )

    def _noise(self, number: int) -> Noise:
        if self.job.noise == "system":
            return SystemNoise()
        return SeededNoise(self.job.seed, self.job.run, "site", self.post.index, "round", number)

    def _record(self) -> Checkpoint:
        """What this site knows of the run: its entry, and the last reply that may have left."""
        return Checkpoint(self.post.folder / REPLY, self.guarantee)

    def _kept(self, record: Checkpoint) -> State | None:
        """The record's state, if it is of this very job."""
        kept = record.state
        return kept if kept and kept.facts.get("job") == self._job_digest else None

    def _keep(
        self, record: Checkpoint, number: int, reply: Arrays, facts: Mapping[str, Any]
    ) -> None:
        rounds = Tally(total=self.job.schedule.rounds, begun=number, useful=number)
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in reply.items()}
        record.save(State(rounds, tensors, {"job": self._job_digest, **facts}))

    def _is_paid(self, kept: State | None) -> bool:
        """Whether an entry of the ledger is for this run's guarantee and these patients."""
        entry = kept.facts["entry"] if kept else None
        if not kept or entry is None:
            return False
        spending = self._under(kept.facts.get(CLAIM, ""))
        return bool(entry == self._entry) or self._ledger.pays_for(entry, spending)

    def _under(self, claim: object) -> Spending:
        return replace(self._spending, claim=str(claim))

    @property
    def _claim_file(self) -> Path:
        return self.post.folder / CHARGE

    @property
    def _ledger(self) -> Ledger:
        return ledger_in(self.post.state)

    @property
    def _spending(self) -> Spending:
        """The whole run, as the ledger is asked for it."""
        return Spending(
            kind="fit",
            run=self.job.run,
            generator=self.job.generator,
            guarantee=self.guarantee,
            patients=self.post.voxels,
            private=self.post.private,
        )

    @cached_property
    def _side(self) -> SiteSide:
        return self._generator.site_side(self._patches, self.guarantee, self.job.schedule)

    @cached_property
    def _patches(self) -> Patches:
        return patches_of(self.post, self.job)


def patches_of(post: Post, job: Job) -> Patches:
    """Return a site's training patches, kept in its cache.

    Raises:
        DataError: For a phantom without a patch. Real patients without one are noted in the folder.
    """
    faults: list[DataError] | None = [] if post.private else None
    patches = cached(
        post.patients,
        Recipe(size=job.patch_size, per_patient=job.patches_per_patient, spacing_mm=job.spacing_mm),
        seed=stream(job.seed, "patches"),
        cache=post.cache,
        data=post.data,
        faults=faults,
    )
    said = [*post.faults, *map(str, faults or ())]
    if said:
        write_text(post.folder / WITHOUT, "\n".join(said) + "\n")
        LOG.warning("%d patients have no patch; %s says why.", len(said), post.folder / WITHOUT)
    return patches


def digest(state: Arrays) -> str:
    """Return the SHA-256 of a state's names, shapes, types and values."""
    whole = hashlib.sha256()
    for name, array in sorted(state.items()):
        whole.update(f"{name}{array.shape}{array.dtype}".encode())
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()
