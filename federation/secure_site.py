"""A site's part in secure sums: what its own configuration says, and the masks of one run.

How many sites may be curious, and whom to trust, is decided at the site. A server that asks for
another number is refused. So no server can make a site draw less noise than its people agreed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmark.core.addresses import folder_name
from benchmark.core.errors import UsageError
from benchmark.privacy.accounting.units import check_delta
from benchmark.privacy.mechanisms.shared_noise import SharedPlan
from federation.job import Job
from federation.mask_log import MaskLog
from federation.secure_identity import Identity, identity_in, read_fingerprint
from federation.secure_sides import terms_of
from federation.secure_sum import Introduction, Session, introduction

SIMULATED = "simulated-sites"


@dataclass(frozen=True, kw_only=True)
class Agreed:
    """What the people of a site have agreed on with those of all others.

    Attributes:
        curious: t, how many curious sites the noise is sized for.
        trusted: The fingerprints of all other sites.
        folder: The site's own state folder, with its identity and the log of its masks.
    """

    curious: int
    trusted: frozenset[str]
    folder: Path

    @property
    def sites(self) -> int:
        """n, how many sites there are."""
        return len(self.trusted) + 1


def fingerprints_of(text: str) -> frozenset[str]:
    """Read the fingerprints of a configuration, with commas between them.

    Raises:
        UsageError: If one cannot be read, or is there twice.
    """
    found = [read_fingerprint(one) for one in text.split(",") if one.strip()]
    if len({*found}) < len(found) or not found:
        raise UsageError(
            f"Expected trusted to name every other site's fingerprint once, got {len(found)}; "
            "`bench fingerprint` prints a site's own."
        )
    return frozenset(found)


def simulated_states(state: Path, run: str, sites: Sequence[str]) -> list[Path]:
    """Return the state folder of each site in a simulation: no two sites share an identity.

    Args:
        state: The state folder of the machine.
        run: The run's key.
        sites: The sites' names.
    """
    return [state / SIMULATED / folder_name(run) / folder_name(site) for site in sites]


def simulated(states: Sequence[Path], curious: int | None) -> list[Agreed | None]:
    """Exchange fingerprints among the sites of a simulation, in place of their people.

    Args:
        states: The state folder of each site, all different.
        curious: t; ``None`` for local noise.

    Returns:
        What each site agreed on; ``None`` for each without secure sums.
    """
    if curious is None:
        return [None] * len(states)
    known = [identity_in(state).fingerprint for state in states]
    return [
        Agreed(curious=curious, trusted=frozenset(known) - {own}, folder=state)
        for own, state in zip(known, states, strict=True)
    ]


def check_agreed(agreed: Agreed | None, job: Job) -> None:
    """Refuse a job whose noise is not what the site's own configuration says.

    Args:
        agreed: The site's configuration; ``None`` where it has no secure sums.
        job: The server's job.

    Raises:
        UsageError: If they differ.
    """
    own = None if agreed is None else agreed.curious
    if job.curious == own:
        return
    asks = "local noise" if job.curious is None else f"secure sums for t = {job.curious}"
    says = "has no secure-sum" if own is None else f"says secure-sum={own}"
    raise UsageError(
        f"The server asks for {asks}, and this site's configuration {says}; agree on one number "
        "with all sites, and start the SuperNode with it."
    )


def check_share(share: float, own: int, patients: int) -> None:
    """Refuse a share of all patients that the numbers of patients do not give.

    Sites agree on the number of patients, so the server cannot tell each another step to take.

    Args:
        share: The server's word.
        own: The site's number of patients.
        patients: The number of patients of all sites.

    Raises:
        UsageError: If they do not agree.
    """
    if share != own / patients:
        raise UsageError(
            f"Expected the server to say a share of {own} / {patients} patients, got {share!r}."
        )


def shared_plan(
    agreed: Agreed | None, job: Job, own: int, patients: int | None
) -> SharedPlan | None:
    """Plan a fit by secure sums, as every site and the server do.

    Args:
        agreed: The site's configuration; ``None`` where it has no secure sums.
        job: The server's job.
        own: The site's number of patients.
        patients: The number of patients of all sites, as the server says.

    Returns:
        The plan; ``None`` for local noise.

    Raises:
        UsageError: If the number cannot be, or the budget cannot be honoured.
    """
    if agreed is None:
        return None
    least = own + agreed.sites - 1
    if patients is None or patients < least:
        raise UsageError(
            f"Expected the server to say at least {least} patients at {agreed.sites} sites, as "
            f"this one has {own}; it says {patients}."
        )
    check_delta(job.delta, job.public(patients).units(job.unit))
    return _planned(job.text(), patients, agreed.sites)


@lru_cache(maxsize=8)
def _planned(job: str, patients: int, sites: int) -> SharedPlan:
    """The plan of a job, which the sites of a simulation share; no one else's is believed."""
    return Job.read(job).shared_plan(patients, sites)


class Masks:
    """The masks of a site in one run.

    Args:
        agreed: The site's configuration.
        job: What server and sites agree on.
        plan: The plan of the whole fit.
    """

    def __init__(self, agreed: Agreed, job: Job, plan: SharedPlan) -> None:
        self._agreed, self._job, self._plan = agreed, job, plan
        self._identity: Identity = identity_in(agreed.folder)
        self._log = MaskLog(agreed.folder)

    def introduction(self, claim: str) -> Introduction:
        """Return what this site tells the others.

        Args:
            claim: What tells the ledger's entry that pays from every other.
        """
        return introduction(self._identity, self._log, run=self._job.run, entry=claim)

    def session(self, claim: str, everybody: Sequence[Introduction]) -> Session:
        """Begin or go on with the masks under an entry.

        Args:
            claim: As in ``introduction``.
            everybody: The introductions of all sites, as the server relayed them.

        Raises:
            UsageError: If this site is not among them as it introduced itself, or the others are
                not those that it trusts.
        """
        mine = self.introduction(claim)
        if mine not in everybody:
            raise UsageError(
                "The server does not relay this site's own introduction as it was made; begin the "
                "run anew with the same command."
            )
        return Session(
            self._identity,
            self._log,
            run=self._job.run,
            entry=claim,
            terms=terms_of(self._plan, self._job.text()),
            others=[one for one in everybody if one != mine],
            trusted=self._agreed.trusted,
        )
