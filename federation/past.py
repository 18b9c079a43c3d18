"""What a site knows of a run after it has ended: its own plan, and what its ledger has of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from benchmark.core.budget import Guarantee
from benchmark.privacy.ledger.chain import Entry
from benchmark.privacy.ledger.ledger import Spending, ledger_in
from federation.answered import SESSION, SHARE, Answered
from federation.job import Job
from federation.payment import CLAIM
from federation.post import Post


class Past:
    """One site and a run in which it took part, as the server's folder tells of that run.

    The guarantee is planned anew from the job and the numbers of patients. With secure sums it also
    depends on the number of sites. So a server that changes any of these finds no entry. What the
    guarantee does not depend on, such as t, is in the job, whose digest the site has kept.

    Args:
        post: The place of the site's work. What its people agreed on is not needed any more: t is
            in the job, and the site answered that job under their own configuration.
        job: What server and sites agreed on.
        patients: The number of patients of every site, by its name, as the server says.
    """

    def __init__(self, post: Post, job: Job, patients: Mapping[str, int]) -> None:
        self._post, self._job = post, job
        self._share = len(post.patients) / sum(patients.values())
        self.guarantee = self._planned(patients)

    def _planned(self, patients: Mapping[str, int]) -> Guarantee:
        job = self._job
        if job.curious is None:
            planned = job.plan_at_site(len(self._post.patients), self._share)
        else:
            planned = job.shared_plan(sum(patients.values()), len(patients)).guarantee
        return replace(planned, seeded=job.noise != "system")

    @property
    def was_told_another_share(self) -> bool:
        """Whether the server said another share of all patients in the run."""
        return self._answered.fact(SHARE) not in (None, self._share)

    @property
    def has_answered(self) -> bool:
        """Whether the site keeps an answer to this very job, and not only to one with its key.

        A key has 48 bits, and the server chooses the job. In minutes it finds two jobs with one
        key, and with one guarantee, that differ in t.
        """
        return self._answered.kept is not None

    @property
    def session(self) -> str | None:
        """The digest of what all sites told each other for secure sums; ``None`` without them.

        Two fits of one job with other sites, or with a site that began anew, have two.
        """
        return self._answered.fact(SESSION) or None

    @property
    def _answered(self) -> Answered:
        return Answered(self._post.folder, self.guarantee, self._job, self._share)

    def paid_by(self) -> list[Entry]:
        """Return the ledger's entries for the run, with this guarantee and these patients.

        Returns:
            The entries, after all of the ledger was checked.

        Raises:
            LedgerError: If an entry was changed, or the ledger cannot be read.
        """
        ledger = ledger_in(self._post.state)
        ledger.verify()
        return [
            entry
            for entry in ledger.fits_of(self._job.run)
            if ledger.pays_for(entry.number, self._spending(str(entry.said.get(CLAIM, ""))))
        ]

    def _spending(self, claim: str) -> Spending:
        return Spending(
            kind="fit",
            run=self._job.run,
            generator=self._job.generator,
            guarantee=self.guarantee,
            patients=self._post.voxels,
            private=self._post.private,
            claim=claim,
        )
