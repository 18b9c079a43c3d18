"""The standard deviations of Dice that the shipped board measured, for planning a sweep.

``leaderboard.variance_parts`` writes ``variance_parts.toml`` from the board's results, and
describes how. The values are for phantoms, under one edition of the protocol. For other data they
are a guide and no promise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmark.core.budget import UNITS, Unit
from benchmark.metrics.crossed import Parts

FILE = Path(__file__).with_suffix(".toml")
DIGITS = 4


class Known(NamedTuple):
    """The standard deviations of a paired difference in Dice between a generator and others.

    Attributes:
        parts: The standard deviations.
        is_measured: Whether they are this generator's own; otherwise they are the largest of all.
    """

    parts: Parts
    is_measured: bool


@dataclass(frozen=True, kw_only=True)
class VarianceParts:
    """The standard deviations of all measured generators.

    Attributes:
        edition: The protocol under which they were measured.
        seeds: The number of fits of each row, at least.
        patients: The number of test patients, at least.
        of: The parts by unit and generator.
        alone: By unit and generator, the standard deviation over seeds of its own rows' Dice.
    """

    edition: str
    seeds: int
    patients: int
    of: Mapping[Unit, Mapping[str, Parts]]
    alone: Mapping[Unit, Mapping[str, float]]

    def known(self, generator: str, unit: Unit) -> Known:
        """Return a generator's parts, or the largest of all generators if it is not measured."""
        measured = self.of[unit]
        if generator in measured:
            return Known(measured[generator], True)
        return Known(max(measured.values(), key=lambda parts: sum(sd**2 for sd in parts)), False)

    @property
    def text(self) -> str:
        """The content of the TOML file."""
        lines = [
            "# Standard deviations of paired differences of Dice, by `leaderboard.variance_parts`.",
            f'edition = "{self.edition}"\nseeds = {self.seeds}\npatients = {self.patients}',
        ]
        for unit, measured in self.of.items():
            for name, parts in measured.items():
                said = [f"{part} = {sd:.{DIGITS}f}" for part, sd in parts._asdict().items()]
                lines.append("\n".join([f"\n[{unit}.{name}]", *said]))
        lines.append("\n# Standard deviations over seeds of each generator's own Dice.")
        for unit, sds in self.alone.items():
            said = [f"{name} = {sd:.{DIGITS}f}" for name, sd in sds.items()]
            lines.append("\n".join([f"[alone.{unit}]", *said]))
        return "\n".join([*lines, ""])


@cache
def shipped() -> VarianceParts:
    """Read the parts that are shipped with the package."""
    said = tomllib.loads(FILE.read_text(encoding="utf-8"))
    of = {unit: {name: Parts(**sds) for name, sds in said[unit].items()} for unit in UNITS}
    return VarianceParts(
        edition=said["edition"],
        seeds=said["seeds"],
        patients=said["patients"],
        of=of,
        alone={unit: said["alone"][unit] for unit in UNITS},
    )
