"""Settings that a study found, and how: one TOML file for each generator, unit and ε."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.core.budget import Unit
from benchmark.core.errors import DataError
from benchmark.core.files import write_text

FOLDER = "tuned"
SHIPPED = Path(__file__).parents[1] / FOLDER
FREE, NOT_ACCOUNTED = "free of private data", "not accounted"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How settings were found.

    Attributes:
        study: The study's name.
        preset: The preset that it started from.
        segmenter: Whose Dice was maximised.
        trials: Trials that were finished, or given up for falling behind.
        seeds: Over how many seeds a finished trial's score is the mean.
        data: Digest of the training patients.
        on: ``phantom`` or ``private``.
        selection: ``free of private data``, or ``not accounted``.
        epsilon_of_all_trials: What all trials together cost, composed, for the unit; 0 on phantoms.
        score: The best trial's mean Dice on validation patients.
        default: That of the settings it started from.
    """

    study: str
    preset: str
    segmenter: str
    trials: int
    seeds: int
    data: str
    on: str
    selection: str
    epsilon_of_all_trials: float
    score: float
    default: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """Tuned settings for one level.

    Attributes:
        generator: Its name.
        version: Its version; of another one the settings mean something else.
        unit: The protected unit.
        epsilon: The level.
        settings: Those that were searched.
        provenance: How.
    """

    generator: str
    version: int
    unit: Unit
    epsilon: float
    settings: Mapping[str, Any]
    provenance: Provenance

    def write(self, root: Path) -> Path:
        """Writes the file, whole or not at all; returns it."""
        file = file_of(root, self.generator, self.unit, self.epsilon)
        file.parent.mkdir(parents=True, exist_ok=True)
        head = {"generator": self.generator, "version": self.version, "unit": self.unit}
        tables = {
            "": {**head, "epsilon": self.epsilon},
            "settings": self.settings,
            "provenance": asdict(self.provenance),
        }
        write_text(file, "\n".join(_table(name, values) for name, values in tables.items()))
        return file

    @classmethod
    def read(cls, file: Path) -> Found:
        """What ``write`` wrote.

        Raises:
            DataError: If the file is damaged.
        """
        try:
            said = tomllib.loads(file.read_text(encoding="utf-8"))
            return cls(**{**said, "provenance": Provenance(**said["provenance"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{file}: these tuned settings cannot be read ({error}); make them again with "
                "`bench tune`, or delete the file."
            ) from error


def file_of(root: Path, generator: str, unit: Unit, epsilon: float) -> Path:
    """Where the settings of one level lie."""
    return root / generator / unit / f"{epsilon:g}.toml"


def levels(roots: Sequence[Path], generator: str, unit: Unit, preset: str) -> list[Found]:
    """What was tuned, by rising ε; of one level, the first root's.

    Raises:
        DataError: If a file is damaged.
    """
    found: dict[float, Found] = {}
    for root in roots:
        for file in sorted((root / generator / unit).glob("*.toml")):
            one = Found.read(file)
            if one.provenance.preset == preset:
                found.setdefault(one.epsilon, one)
    return [found[epsilon] for epsilon in sorted(found)]


def nearest(
    roots: Sequence[Path], generator: str, unit: Unit, epsilon: float, preset: str
) -> Found | None:
    """The settings of the highest level at or below ``epsilon``.

    A level above would have been tuned for less noise than there is, and another preset is another
    network.
    """
    below = [one for one in levels(roots, generator, unit, preset) if one.epsilon <= epsilon]
    return below[-1] if below else None


def _table(name: str, values: Mapping[str, Any]) -> str:
    lines = [f"[{name}]"] if name else []
    return "\n".join([*lines, *(f"{key} = {_value(value)}" for key, value in values.items()), ""])


def _value(value: Any) -> str:
    if isinstance(value, float) and math.isinf(value):
        return "inf"
    return json.dumps(value, ensure_ascii=False)
