"""What a deployment leaves at its server when it has ended well: ``federation.json``.

All of it is public: the job, each site's number of patients, what the fit gives them, and coarse
seconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError

from benchmark.core.budget import Guarantee
from benchmark.core.errors import DataError, UsageError
from benchmark.core.federation import worst
from benchmark.core.files import read_json
from benchmark.core.forms import Key, Many, Name, Words
from benchmark.core.parsers import json_in
from benchmark.results.form import Form
from benchmark.results.observers import adversary
from benchmark.results.result import Guaranteed
from benchmark.results.spec import DeployedSpec, first_fault
from benchmark.results.spec_parts import AcrossSites, PlugIn
from federation.job import Job

RESULT = "federation.json"
OWN_SITES = "site"
"""The partition of a deployment: each site has its own patients."""

LARGEST = 256 << 20
OF_EARLIER = adversary(None)


def is_done(folder: Path) -> bool:
    """Tell whether a run's folder has its result, which is written last."""
    return read_json(folder / RESULT).get("run") == folder.name


class SiteFinished(Form):
    """A site of a finished fit: its number of patients, and what the fit gives them."""

    site: Name
    patients: Many
    guarantee: Guaranteed


class Finished(Form):
    """A finished fit of a deployment.

    Attributes:
        run: The run's key, a digest of the job.
        job: What server and sites agreed on, as ``Job.text`` writes it.
        epsilon: The largest ε of all sites.
        holds_against: Against whom it holds, in words.
        epsilon_patient: The same for a patient; infinite where a site knows no bound.
        sites: Each site, in the order of their numbers.
        rounds: Number, seconds and bytes of each round.
    """

    run: Key
    job: Mapping[str, Any]
    epsilon: float
    holds_against: Words = OF_EARLIER
    epsilon_patient: float
    sites: Annotated[tuple[SiteFinished, ...], Field(min_length=1, max_length=10_000)]
    rounds: tuple[Mapping[str, float], ...]

    @classmethod
    def of(
        cls, job: Job, sites: Sequence[SiteFinished], rounds: Sequence[Mapping[str, float]]
    ) -> Self:
        """State what was done, at what cost to whom.

        Args:
            job: What server and sites agreed on.
            sites: Each site.
            rounds: What is public of each round.
        """
        whole = worst([one.guarantee for one in sites])
        patient = whole.epsilon_patient
        return cls(
            run=job.run,
            job=json.loads(job.text()),
            epsilon=whole.epsilon,
            holds_against=adversary(job.curious),
            epsilon_patient=math.inf if patient is None else patient,
            sites=tuple(sites),
            rounds=tuple(rounds),
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what a deployment left. It may come from anybody.

        Args:
            folder: The folder of its run.

        Raises:
            DataError: If the file is none, or its parts contradict each other.
        """
        file = folder / RESULT
        try:
            found = cls.model_validate(json_in(file, most=LARGEST))
            found.check()
        except (OSError, ValueError, UsageError, RecursionError) as error:
            why = first_fault(error) if isinstance(error, ValidationError) else error
            raise DataError(
                f"{file}: this is not what a deployment leaves ({str(why).rstrip('.')}); put it "
                "back from a copy, or ask the server for it."
            ) from error
        return found

    def check(self) -> None:
        """Refuse parts that contradict each other.

        Raises:
            ValueError: With what is wrong.
            UsageError: If the job breaks a rule.
        """
        said = {name: value for name, value in vars(self._job).items() if name != "run"}
        if not Job.of(**said).run == self._job.run == self.run:
            raise ValueError("its run is no digest of its job")
        if self.holds_against != adversary(self._job.curious):
            raise ValueError("it names another adversary than its job")
        if len(self.guarantees) < len(self.sites):
            raise ValueError("it names a site twice")
        if any(one.guarantee.patients != self._counted(one) for one in self.sites):
            raise ValueError("a site's guarantee is for another number of patients")

    @property
    def run_key(self) -> str:
        """The run's key."""
        return self.run

    @cached_property
    def spec(self) -> DeployedSpec:
        """What decided the fit."""
        job = self._job
        return DeployedSpec(
            generator=PlugIn(name=job.generator, version=job.version, settings=job.settings),
            protocol={
                "patch_size": job.patch_size,
                "patches_per_patient": job.patches_per_patient,
                "spacing_mm": float(job.spacing_mm),
            },
            epsilon=job.epsilon,
            delta=job.delta,
            unit=job.unit,
            noise=job.noise,
            seed=job.seed,
            sites=len(self.sites),
            federation=AcrossSites(partition=OWN_SITES, **vars(job.schedule), curious=job.curious),
        )

    @property
    def fitted_as(self) -> str:
        """The key of the run whose fit it is: its own."""
        return self.run

    @property
    def guarantee(self) -> Guarantee:
        """What the fit gives the patients of every site."""
        return worst([one.guarantee for one in self.sites])

    @property
    def guarantees(self) -> dict[str, Guarantee]:
        """The guarantee of each site, by its name."""
        return {one.site: one.guarantee for one in self.sites}

    @property
    def patients(self) -> dict[str, int]:
        """The number of patients of each site, by its name."""
        return {one.site: one.patients for one in self.sites}

    @property
    def private_data(self) -> Literal[True]:
        """Always true: nobody but a site knows whether it has patients or phantoms."""
        return True

    @property
    def cost_of_skipping(self) -> None:
        """Nobody is left out: a patient without usable files stays in the public number."""
        return None

    def _counted(self, one: SiteFinished) -> int:
        """N of a site's guarantee: with secure sums, of the patients of all sites."""
        with_all = self._job.curious is not None
        return sum(site.patients for site in self.sites) if with_all else one.patients

    @cached_property
    def _job(self) -> Job:
        return Job.read(json.dumps(self.job))
