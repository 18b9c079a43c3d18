"""Settings that a study found, and how: one TOML file for each generator, unit and ε."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, get_type_hints

from benchmark.core.addresses import folder_name
from benchmark.core.budget import UNITS, Unit
from benchmark.core.editions import FIRST, preset_in
from benchmark.core.errors import DataError, UsageError
from benchmark.core.files import write_text
from benchmark.core.parsers import toml_in
from benchmark.core.registry import generators

FOLDER = "tuned"
SHIPPED = Path(__file__).parents[1] / FOLDER
PHANTOM: Final = "phantom"
PRIVATE: Final = "private"
FREE: Final = "free of private data"
NOT_ACCOUNTED: Final = "not accounted"
BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How settings were found.

    Attributes:
        command: The command, without folders, servers and options that decide the speed alone.
        study: The study's name.
        preset: The preset that it started from.
        protocol: The edition of the protocol.
        segmenter: The segmenter whose Dice was maximised.
        sites: Across how many sites; 1 for all patients pooled.
        partition: How patients were assigned to sites; empty if all were pooled.
        held: Settings that the user fixed, as ``dp-wgan.batch=128``.
        objectives: What was optimised; the first decided.
        trials: The number of trials that finished or were stopped early.
        seeds: The number of seeds whose mean is a finished trial's score.
        data: Digest of the training patients.
        on: ``phantom`` or ``private``.
        selection: ``free of private data``, or ``not accounted``.
        delta: δ of each trial.
        epsilon_of_all_trials: The ε of all trials of the study, by all workers, composed at δ =
            1e-5, for the unit; 0 on phantoms.
        score: The best trial's mean of the first objective, on validation patients.
        default: That of the settings it started from; nan if that trial was not finished.
        suite_version: The version of the suite.
        suite_commit: Its commit.
    """

    command: str
    study: str
    preset: str
    segmenter: str
    sites: int
    partition: str
    held: tuple[str, ...]
    objectives: tuple[str, ...]
    trials: int
    seeds: int
    data: str
    on: Literal["phantom", "private"]
    selection: Literal["free of private data", "not accounted"]
    delta: float
    epsilon_of_all_trials: float
    score: float
    default: float
    suite_version: str
    suite_commit: str
    protocol: str = FIRST


@dataclass(frozen=True, kw_only=True)
class Found:
    """Tuned settings for one level.

    Attributes:
        generator: Its name.
        version: Its version. The settings mean something else for another version.
        unit: The protected unit.
        epsilon: The level.
        settings: Those of the winner but what the user had set, so that a preset may change.
            Earlier files have those that were searched alone.
        provenance: How they were found.
    """

    generator: str
    version: int
    unit: Unit
    epsilon: float
    settings: Mapping[str, Any]
    provenance: Provenance

    def write(self, root: Path) -> Path:
        """Write the file, whole or not at all.

        Args:
            root: The folder of tuned settings.

        Returns:
            The file.

        Raises:
            UsageError: If it would replace settings that are free of private data by others.
        """
        file = file_of(root, self.generator, self.unit, self.epsilon)
        if self.provenance.selection == NOT_ACCOUNTED:
            check_replaceable(file)
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
        """Read a file that ``write`` wrote.

        Raises:
            DataError: If the file is damaged.
        """
        try:
            said = toml_in(file)
            how = _typed(Provenance, said["provenance"])
            found = cls(**_typed(cls, {**said, "provenance": Provenance(**how)}))
            if not isinstance(found.settings, Mapping):
                raise ValueError(f"settings = {found.settings!r}")
            if found.unit not in UNITS or not found.epsilon > 0:
                raise ValueError(f"no level: ε = {found.epsilon:g} for a {found.unit}")
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(
                f"{file}: these tuned settings cannot be read ({error}); make them again with "
                "`bench tune`, or delete the file."
            ) from error
        return found

    def checked(self) -> Found:
        """Return these settings if the generator can use them.

        Raises:
            UsageError: If they are of another version, unknown or out of range.
        """
        kind, whose = generators.get(self.generator), f"The settings tuned for {self.generator}"
        if self.version != kind.version:
            raise UsageError(
                f"{whose} at ε = {self.epsilon:g} are of its version {self.version}, and this is "
                f"{kind.version}: what they mean has changed. Tune again (`bench tune`), or leave "
                "--tuned out."
            )
        try:
            how = self.provenance
            start = preset_in(how.protocol, kind.presets, self.generator, how.preset)
            replace(start, **self.settings)
        except (TypeError, KeyError, UsageError) as error:
            raise UsageError(
                f"{whose} at ε = {self.epsilon:g} are not ones that it has ({error}); tune again "
                "(`bench tune`), or leave --tuned out."
            ) from error
        return self


@dataclass(frozen=True)
class Wanted:
    """The purpose for which tuned settings are wanted.

    Attributes:
        generator: Its name.
        unit: The protected unit.
        preset: The preset; another one is another network.
        federated: Whether sites train it together.
        protocol: The edition; another one is another task.
    """

    generator: str
    unit: Unit
    preset: str
    federated: bool = False
    protocol: str = FIRST

    def fits(self, found: Found) -> bool:
        """Tell whether settings were found for this purpose."""
        how = found.provenance
        same = (how.preset, how.protocol) == (self.preset, self.protocol)
        return same and (how.sites > 1) == self.federated


def file_of(root: Path, generator: str, unit: Unit, epsilon: float) -> Path:
    """Where the settings of one level lie."""
    return root / folder_name(generator) / unit / f"{epsilon:g}.toml"


def check_replaceable(file: Path) -> None:
    """Refuse to replace settings that are free of private data by a choice made on patients.

    Args:
        file: The file that would be replaced.

    Raises:
        UsageError: If the file has settings that are free of private data.
    """
    if file.exists() and Found.read(file).provenance.selection == FREE:
        raise UsageError(
            f"{file}: these settings are free of private data, and a search on patients would "
            "replace them; choose another --out, or delete the file."
        )


def levels(roots: Sequence[Path], wanted: Wanted) -> list[Found]:
    """Return the tuned settings for a purpose, by rising ε.

    Args:
        roots: Folders of tuned settings. For each level, the first that has it counts.
        wanted: The purpose.

    Raises:
        DataError: If a file is damaged.
    """
    found: dict[float, Found] = {}
    for one in _read(roots, wanted):
        if wanted.fits(one):
            found.setdefault(one.epsilon, one)
    return [found[epsilon] for epsilon in sorted(found)]


def nearest(roots: Sequence[Path], wanted: Wanted, epsilon: float) -> Found | None:
    """Return the settings of the highest level at or below ``epsilon``.

    A level above would have been tuned for less noise than there is.

    Args:
        roots: Folders of tuned settings, the first before the others.
        wanted: The purpose.
        epsilon: The ε of the fit.

    Returns:
        The settings; ``None`` if there are none.
    """
    below = [one for one in levels(roots, wanted) if one.epsilon <= epsilon]
    return below[-1] if below else None


def why_none(roots: Sequence[Path], wanted: Wanted, epsilon: float) -> str:
    """Explain why ``nearest`` finds nothing.

    Args:
        roots: Folders of tuned settings.
        wanted: The purpose.
        epsilon: The ε of the fit.

    Returns:
        Words for a message: nothing was tuned, or it was tuned for another purpose.
    """
    others = [one for one in _read(roots, wanted) if one.epsilon <= epsilon]
    if not others:
        return "nothing was tuned at or below it"
    nearest_one = max(others, key=lambda one: one.epsilon)
    how = nearest_one.provenance
    where = f"{how.sites} sites" if how.sites > 1 else "all patients pooled"
    return (
        f"what was tuned at ε = {nearest_one.epsilon:g} is for the preset {how.preset} of protocol "
        f"{how.protocol} and {where}, and is left alone"
    )


def _read(roots: Sequence[Path], wanted: Wanted) -> list[Found]:
    folders = (root / folder_name(wanted.generator) / wanted.unit for root in roots)
    return [Found.read(file) for folder in folders for file in sorted(folder.glob("*.toml"))]


def _typed(kind: type[Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a dataclass as a file has them, if each is of its type.

    Raises:
        ValueError: If one is not, or is missing.
    """
    hints, made = get_type_hints(kind), {}
    for field in fields(kind):
        value = (
            said[field.name] if field.default is MISSING else said.get(field.name, field.default)
        )
        law = hints[field.name]
        made[field.name] = tuple(value) if isinstance(value, list) else value
        if law is float:
            made[field.name] = float(value) if type(value) in (int, float) else None
        right = {float: float, int: int, str: str, Provenance: Provenance}.get(law)
        if right is not None and type(made[field.name]) is not right:
            raise ValueError(f"{field.name} = {value!r}")
    return made


def _table(name: str, values: Mapping[str, Any]) -> str:
    lines = [f"[{name}]"] if name else []
    return "\n".join([*lines, *(f"{_key(key)} = {_value(v)}" for key, v in values.items()), ""])


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    """A value in TOML, whose texts, numbers and lists are JSON's but for these."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
