"""What server and sites agree on before the first round; every number in it is public."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from benchmark.core.budget import Budget, PublicNumbers, Unit
from benchmark.core.errors import UsageError
from benchmark.core.federation import FederatedGenerator, Schedule, federated
from benchmark.core.files import plain
from benchmark.core.registry import generators


@dataclass(frozen=True, kw_only=True)
class Job:
    """A federated fit.

    Attributes:
        run: The key of the run that it belongs to.
        generator: The generator's name.
        version: Its version, the same everywhere.
        settings: Its settings, as they are for all patients.
        patch_size: The side of a patch.
        patches_per_patient: The most patches of a patient.
        epsilon: The target of every site.
        delta: δ of every site.
        unit: The protected unit.
        seed: Seeds initial weights and latent draws, and a seeded noise.
        noise: ``seeded`` or ``system``; a site that is asked for the former may refuse.
        schedule: Design, rounds and local steps.
    """

    run: str
    generator: str
    version: int
    settings: Mapping[str, Any]
    patch_size: int
    patches_per_patient: int
    epsilon: float
    delta: float
    unit: Unit
    seed: int
    noise: str
    schedule: Schedule

    def made(self) -> FederatedGenerator:
        """The generator with its settings.

        Raises:
            UsageError: If it is not here, is another version, or cannot be federated.
        """
        kind = generators.get(self.generator)
        if kind.version != self.version:
            raise UsageError(
                f"{self.generator} is version {kind.version} here and {self.version} at the "
                "server; install the same everywhere."
            )
        return federated(kind(kind.Params(**self.settings)))

    def budget(self) -> Budget:
        """What the fit may cost each site's patients."""
        return Budget(epsilon=self.epsilon, delta=self.delta, unit=self.unit)

    def public(self, patients: int) -> PublicNumbers:
        """The public numbers of a site."""
        return PublicNumbers(
            patients=patients,
            patches_per_patient=self.patches_per_patient,
            patch_size=self.patch_size,
        )

    def text(self) -> str:
        """As JSON."""
        return json.dumps(plain(asdict(self)), sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Job:
        """What ``text`` gave.

        Raises:
            UsageError: For anything else.
        """
        try:
            said = json.loads(text)
            schedule = Schedule(**said.pop("schedule"))
            epsilon = float(said.pop("epsilon"))
            return cls(schedule=schedule, epsilon=epsilon, **said)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"The server's job cannot be read ({error}).") from error


def versions() -> dict[str, str]:
    """What must be the same at every site and at the server."""
    return {name: version(name) for name in ("angiobench", "flwr", "torch", "opacus")}
