"""Sites of a sweep: how they are asked for, and which patients each of them has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmark.core.bounds import shortened
from benchmark.core.designs import check_shares_noise, federated
from benchmark.core.errors import UsageError
from benchmark.core.generator import Generator
from benchmark.results.spec import MAIN_TEST, FitSpec, RunSpec, canonical
from benchmark.results.spec_parts import AcrossSites, OneSite
from benchmark.sweep.inputs import Inputs
from federation.partition import Partition, check_disjoint


@dataclass(frozen=True, kw_only=True)
class Federation:
    """How a sweep's federated cells are run.

    Attributes:
        sites: How many sites; 1 for no federation.
        partition: How patients are assigned to sites.
        design: A name among the generator's designs; each generator's first if empty.
        rounds: How many; by the settings if ``None``.
        local_steps: Private steps of a site in a round; by the settings if ``None``.
        baselines: Whether each site alone, and all patients pooled, are run too.
        curious: t, how many curious sites secure sums are sized for; ``None`` for local noise.
    """

    sites: int = 1
    partition: str = "site"
    design: str = ""
    rounds: int | None = None
    local_steps: int | None = None
    baselines: bool = False
    curious: int | None = None

    @property
    def said(self) -> list[str]:
        """What differs from the default, as it is typed, but for the number of sites."""
        given: dict[str, Any] = {
            "--partition": self.partition,
            "--rounds": self.rounds,
            "--local-steps": self.local_steps,
            "--design": self.design,
            "--secure-sum": None if self.curious is None else f"t={self.curious}",
        }
        usual = ("", None, Federation.partition)
        said = [f"{flag} {value}" for flag, value in given.items() if value not in usual]
        return [*said, *(["--baselines"] if self.baselines else [])]

    @property
    def asked(self) -> bool:
        """Whether there are several sites."""
        return self.sites > 1

    def of(self, kind: type[Generator], settings: Mapping[str, Any]) -> AcrossSites:
        """Return the part of a federated cell's spec for a generator.

        Args:
            kind: The generator's class.
            settings: Its settings.

        Raises:
            UsageError: If sites cannot train it, or for an unknown design, or steps that the
                design cannot take, or secure sums that it cannot have.
        """
        trained = federated(kind, self.design)
        generator = trained(kind.Params(**settings))
        design = self.design or next(iter(generator.designs))
        schedule = generator.schedule(
            design=design, rounds=self.rounds, local_steps=self.local_steps
        )
        if self.curious is not None:
            check_shares_noise(trained, design)
        return AcrossSites(partition=self.partition, **asdict(schedule), curious=self.curious)

    def alone(self, site: str) -> OneSite:
        """Return the part of a cell's spec for one site alone."""
        return OneSite(partition=self.partition, of=self.sites, alone=site)


def check_needs_sites(how: Federation, others: Sequence[str] = ()) -> None:
    """Refuse options of sites where there are none, as nothing would heed them.

    Args:
        how: What is asked of the sites.
        others: Further such options that differ from their defaults, as they are typed.

    Raises:
        UsageError: Naming the options.
    """
    said = [*how.said, *others]
    if said and not how.asked:
        needs, them = ("needs", "it") if len(said) == 1 else ("need", "them")
        listed = " and ".join([*filter(None, [", ".join(said[:-1])]), said[-1]])
        raise UsageError(
            f"{shortened(listed)} {needs} --sites of 2 or more, got {how.sites}; say how "
            f"many sites there are, or leave {them} out."
        )


def split(partition: Partition, inputs: Inputs) -> Mapping[str, Inputs]:
    """Split the training patients among the sites, once for all cells.

    Returns:
        By site, its own patients with digests of their own.

    Raises:
        UsageError: If the cohort cannot be split so, or a patient is at two sites.
    """
    asked = partition.text, partition.sites
    if asked not in inputs.splits:
        inputs.splits[asked] = _split(partition, inputs)
    return inputs.splits[asked]


def _split(partition: Partition, inputs: Inputs) -> Mapping[str, Inputs]:
    identities = dict(zip((p.id for p in inputs.train), inputs.patients, strict=True))
    made = {}
    for name, patients in partition.split(inputs.train).items():
        mine = tuple(identities[patient.id] for patient in patients)
        # The digest may be published. A real patient's id could be guessed, a keyed identity not.
        members = mine if inputs.private else tuple(patient.id for patient in patients)
        said = [inputs.data, partition.text, str(partition.sites), name, *sorted(members)]
        digest = hashlib.sha256(" ".join(said).encode()).hexdigest()[:16]
        made[name] = replace(inputs, train=patients, patients=mine, data=digest)
    check_disjoint({name: mine.patients for name, mine in made.items()})
    return made


def assignment_of(partition: Partition, inputs: Inputs) -> str:
    """Return a digest of which patients are at which site.

    The digest of a cohort is that of its volumes, and a table beside them may move patients.

    Args:
        partition: How patients are split among the sites.
        inputs: The sweep's data.

    Raises:
        UsageError: If the cohort cannot be split so.
    """
    said = {name: mine.data for name, mine in split(partition, inputs).items()}
    return hashlib.sha256(canonical(said).encode()).hexdigest()[:16]


def partition_of(spec: FitSpec) -> Partition:
    """Return the partition of a cell that has one.

    Raises:
        LookupError: If it has none.
    """
    if spec.federation is None:
        raise LookupError("This fit is of no federation.")
    sites = spec.federation.of if isinstance(spec.federation, OneSite) else spec.sites
    return Partition(text=spec.federation.partition, sites=sites)


def inputs_of(spec: FitSpec, inputs: Inputs) -> Inputs:
    """Return the data that a cell is fitted on: all, or those of one site alone."""
    site = spec.alone_at
    return inputs if site is None else split(partition_of(spec), inputs)[site]


def fitted_on(spec: RunSpec, inputs: Inputs) -> list[Inputs]:
    """Return the data whose patches a cell needs: those of each site, or of all together."""
    if spec.is_federated:
        return list(split(partition_of(spec), inputs).values())
    return [inputs_of(spec, inputs)]


def held_out_sites(specs: Sequence[RunSpec], inputs: Inputs) -> dict[str, tuple[str, ...]]:
    """Assign the held-out patients of the main test set to the sites, by the partition.

    Args:
        specs: The sweep's cells.
        inputs: Its data.

    Returns:
        The patients by site; empty if sites train no cell together.
    """
    across = next((spec for spec in specs if spec.is_federated), None)
    if across is None:
        return {}
    groups = partition_of(across).held_out(inputs.train, inputs.tests[MAIN_TEST])
    return {name: tuple(patient.id for patient in mine) for name, mine in groups.items()}
