"""A site: its patients, its own plan, its own ledger, its own noise.

A site trusts nobody. It plans the guarantee from its own public numbers, charges it to its own
ledger before the first private batch, and counts the rounds. It never runs a round twice on other
weights. An entry pays for one guarantee, one job and its own patients. If any of them differs, or
the site's record of its answers is lost, the run is charged anew.

The content of a patient's files never decides whether a round is answered with local noise. A
patient without a usable patch stays in the public number of patients, contributes nothing, and is
noted for the site alone.

With secure sums a site keeps what it summed and noised, and sends it masked. The claim of the
ledger's entry is noted when the site joins, and its masks belong to that entry alone. So files that
change during such a run end it: the entry is of those patients, and the server hears that the site
failed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from benchmark.core.budget import Guarantee
from benchmark.core.errors import DataError, UsageError
from benchmark.core.federation import Arrays, SiteSide
from benchmark.core.files import held, write_text
from benchmark.core.generator import FitContext, Noise
from benchmark.core.patches import Patches
from benchmark.core.protocol import Recipe
from benchmark.core.seeds import stream
from benchmark.data.patching import cached
from benchmark.privacy.arithmetic import denormals_as_zero, exact_arithmetic
from benchmark.privacy.ledger.ledger import Ledger, Spending, ledger_in
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from federation.answered import ENTRY, ORDER, SESSION, SHARE, Answered
from federation.job import Job
from federation.payment import CLAIM, Payment
from federation.post import Post
from federation.secure_sides import SummingSite
from federation.secure_site import Masks, check_agreed, check_share, shared_plan
from federation.secure_sum import Introduction

LOG = logging.getLogger("federation")
WITHOUT, CHARGE = "without-patches.txt", "charge.json"


class BusyError(UsageError):
    """Another process of this site computes the run."""


class Site:
    """One site in one run.

    Args:
        post: The place of its work.
        job: What server and sites agree on.
        share: Its public share of all patients.
        patients: The number of patients of all sites, for secure sums; ``None`` for local noise.

    Raises:
        UsageError: If the job cannot be done, or is against this site's rules.
    """

    def __init__(self, post: Post, job: Job, share: float, patients: int | None = None) -> None:
        if job.noise != "system" and not post.seeded_allowed:
            raise UsageError(
                "This site draws its noise from its operating system only; the server asked for "
                "seeded noise, which its seed could undo."
            )
        if not 0 < share <= 1:
            raise UsageError(f"Expected a site's share of all patients in (0, 1], got {share}.")
        check_agreed(post.agreed, job)
        self.post, self.job = post, job
        self._generator = job.made().at_site(share)
        self._plan = shared_plan(post.agreed, job, len(post.patients), patients)
        if self._plan:
            check_share(share, len(post.patients), self._plan.guarantee.patients)
        if self._plan:
            planned = self._plan.guarantee
        else:
            planned = post.planned or job.plan_at_site(len(post.patients), share)
        self.guarantee = replace(planned, seeded=job.noise != "system")
        self.share = share
        self._entry: int | None = None

    @exact_arithmetic()
    def compute(
        self,
        number: int,
        state: Arrays,
        *,
        everybody: Sequence[Introduction] = (),
        before_release: Callable[[], None] = lambda: None,
    ) -> Arrays:
        """Compute the reply of a round.

        With the operating system's noise, the reply is kept before it is sent. If the site is asked
        again for the same round on the same weights, it sends it again. A round that has no answer
        is drawn anew. As its failure may tell of what was drawn, an entry pays for each round once,
        and another one for what is drawn again.

        Args:
            number: The round's number.
            state: What the server sent.
            everybody: The introductions of all sites, for secure sums.
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
                return self._computed(number, state, everybody)
            finally:
                before_release()

    def consent(self) -> Guarantee:
        """Return the guarantee, if the ledger has room for it or it is paid for. Nothing is spent.

        Raises:
            BusyError: If another process computes this run.
            OverCapError: If the ledger's cap does not allow the run.
        """
        with self._held():
            before = self._answered
            if before.is_used_up or self._has_another_share(before) or not self._is_paid(before):
                self._payment.check_cap()
        return self.guarantee

    def _has_another_share(self, before: Answered) -> bool:
        """Whether the last round was answered for another share, so that it is drawn anew."""
        return before.last == self.job.schedule.rounds and before.fact(SHARE) != self.share

    def introduce(self, begins: int) -> Introduction:
        """Return what the other sites must know of this one, under the entry that will pay.

        A site that has answered that round begins anew, as another one may have lost its record.
        What it sent before is never masked in another way.

        Args:
            begins: The round at which the server goes on.

        Raises:
            BusyError: If another process computes this run.
            UsageError: Without secure sums.
        """
        with self._held():
            if (before := self._answered).may_have_left(begins):
                before.drop()
            return self._masks.introduction(self._claim_of(self._answered, begins))

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

    def _computed(self, number: int, state: Arrays, everybody: Sequence[Introduction]) -> Arrays:
        """The reply of a round: with secure sums, what was summed is masked as it was kept."""
        if self._plan is None:
            return self._summed(number, state)
        claim = self._claim_of(self._answered, number)
        session = self._masks.session(claim, everybody)  # refuses before anything is paid
        self._refuse_other_session(number, session.id)
        return session.mask(number, digest(state), self._summed(number, state, session.id))

    def _refuse_other_session(self, number: int, session: str) -> None:
        """Never mask again what was summed for other sites' masks.

        Sites that begin anew draw new noise. With this site's old noise in both sums, a server
        could average the new away.
        """
        before = self._answered
        if before.may_have_left(number) and before.fact(SESSION) != session:
            raise UsageError(
                f"Round {number} was answered before, and another site has begun anew since; the "
                "same command goes on, under a new entry of this site's ledger."
            )

    def _summed(self, number: int, state: Arrays, session: str = "") -> Arrays:
        """What the site computes in a round; it is kept, and is the same if asked for again."""
        before, seeded = self._answered, self.job.noise != "system"
        order, last = "" if seeded else digest(state), before.last
        answered = (last, before.fact(ORDER), before.fact(SHARE))
        if before.kept and not seeded and answered == (number, order, self.share):
            return {name: tensor.numpy() for name, tensor in before.kept.tensors.items()}
        if self._plan and not seeded and 0 < number == last:
            raise UsageError(
                f"Round {number} was answered on other weights, and one mask never hides two "
                "vectors; begin another run, with another seed."
            )
        if not seeded and number not in (1, last + 1):
            raise UsageError(
                f"Round {number} does not follow round {last}, the last that this site knows to "
                "have answered; begin anew, without the checkpoint at the server."
            )
        goes_on = seeded or (number > last and not before.is_used_up)
        self._payment.settle(before.claim)
        if goes_on and self._is_paid(before):
            paid = {ENTRY: before.fact(ENTRY), CLAIM: before.claim}
        else:
            paid = self._payment.pay()
            if not seeded:
                before.count(paid[CLAIM], anew=True)
            before.keep(number - 1, {}, {**paid, ORDER: ""})
            self._payment.settle(paid[CLAIM])
        self._entry, side = paid[ENTRY], self._side
        if not seeded:
            before.count(paid[CLAIM])
        with nullcontext() if seeded else denormals_as_zero():
            reply = side.compute(number, state, self.context(number))
        if not seeded:
            before.keep(number, reply, {**paid, ORDER: order, SESSION: session})
        return reply

    def _claim_of(self, before: Answered, number: int) -> str:
        """The claim of the entry under which a round is answered; nothing is paid.

        A round before the last one that was answered begins anew, unless its noise is seeded, and
        so does one without an answer if the entry's draws are used up.
        """
        self._payment.settle(before.claim)
        seeded, last = self.job.noise != "system", before.last
        goes_on = seeded or number == last or (number > last and not before.is_used_up)
        return before.claim if goes_on and self._is_paid(before) else self._payment.claim()

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

    @property
    def _answered(self) -> Answered:
        return Answered(self.post.folder, self.guarantee, self.job, self.share)

    def _is_paid(self, before: Answered) -> bool:
        """Whether an entry of the ledger is for this run's guarantee and these patients."""
        entry = before.fact(ENTRY)
        if entry is None:
            return False
        return bool(entry == self._entry) or self._payment.pays(entry, before.claim)

    @property
    def _payment(self) -> Payment:
        file, remote = self.post.folder / CHARGE, self.post.remote
        return Payment(file, self._ledger, self._spending, in_all=remote)

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
        side = self._generator.site_side(self._patches, self.guarantee, self.job.schedule)
        return SummingSite(side, self._plan) if self._plan else side

    @cached_property
    def _masks(self) -> Masks:
        if self._plan is None or self.post.agreed is None:
            raise UsageError("This site has local noise, and so no masks.")
        return Masks(self.post.agreed, self.job, self._plan)

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
