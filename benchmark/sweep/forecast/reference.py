"""The shipped seconds of stages, from the board's published results, scaled to this machine.

``leaderboard.reference_seconds`` writes ``reference.toml`` from the board and describes how. A
stage of the same plug-in, settings and sizes takes those seconds times this machine's calibration
over that of the board's machine. With other sizes the seconds are scaled by how much more there is
to do, which is rough: by patches and pixels, by patients, and by the settings that count steps.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.sweep.forecast.work import DISTANCES, FIT, PATCHES, SAMPLE, SCORE, TRAIN, Work

FILE = Path(__file__).with_suffix(".toml")
COUNTS = ("generator_steps", "critic_steps", "steps", "iterations", "populations", "batch")
"""The settings to which the seconds of fitting are about proportional."""

FEWEST = 3
"""With fewer of the board's cells, other programs that ran beside them may have slowed them all."""

PER_SITE = 0.08
"""The share by which each site beyond the first lengthens a fit (tests/performance)."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage as the board has it.

    Attributes:
        stage: Its name.
        plug_in: The plug-in that decides it; empty where none does.
        private: Whether the fit had noise.
        settings: The plug-in's settings.
        patches: As in ``Work``.
        side: As in ``Work``.
        patients: As in ``Work``.
        seconds: The lower quartile over the board's cells, as others ran beside them.
        spread: The upper quartile over the lower one.
        cells: How many cells there were.
    """

    stage: str
    plug_in: str
    private: bool
    settings: Mapping[str, Any]
    patches: int
    side: int
    patients: int
    seconds: float
    spread: float
    cells: int


class Board(NamedTuple):
    """The reference.

    Attributes:
        calibration_s: The seconds of ``calibrate`` on the board's machine.
        peak_mib: The most memory of a cell, by generator.
        stages: The stages.
    """

    calibration_s: float
    peak_mib: Mapping[str, float]
    stages: list[Stage]


class Scaled(NamedTuple):
    """The seconds of a stage on the board's machine.

    Attributes:
        seconds: The seconds.
        is_rough: Whether sizes or settings differ from the board's, or it has too few cells.
    """

    seconds: float
    is_rough: bool


@cache
def shipped() -> Board:
    """Read the reference that is shipped with the package."""
    said = tomllib.loads(FILE.read_text(encoding="utf-8"))
    stages = [Stage(**one) for one in said["stages"]]
    return Board(said["calibration_s"], said["peak_mib"], stages)


def scaled(work: Work, board: Board) -> Scaled | None:
    """Look a stage up, and scale it to its sizes.

    Args:
        work: The stage.
        board: The reference.

    Returns:
        Its seconds on the board's machine; ``None`` if the board has no such plug-in.
    """
    name = work.plug_in.name if work.plug_in else ""
    alike = [one for one in board.stages if (one.stage, one.plug_in) == (work.stage, name)]
    if not alike:
        return None
    one = next((one for one in alike if one.private == work.private), alike[0])
    factor = _more_to_do(work, one)
    settings = work.plug_in.settings if work.plug_in else {}
    same = dict(settings) == dict(one.settings) and one.private == work.private
    return Scaled(one.seconds * factor, is_rough=not same or factor != 1.0 or one.cells < FEWEST)


def _more_to_do(work: Work, one: Stage) -> float:
    """How much more there is to do than on the board."""
    pixels = (work.side / one.side) ** 2 if one.side else 1.0
    patches = work.patches / one.patches if one.patches else 1.0
    patients = work.patients / one.patients if one.patients else 1.0
    by_stage = {
        PATCHES: patches,
        FIT: pixels * _counted(work, one) * (1 + PER_SITE * (work.sites - 1)),
        SAMPLE: patches * pixels,
        TRAIN: pixels * _counted(work, one),
        DISTANCES: patches * pixels,
        SCORE: patients,
    }
    return by_stage.get(work.stage, 1.0)


def _counted(work: Work, one: Stage) -> float:
    """The ratio of the counted steps of two fits."""
    made, ratio = dict(work.plug_in.settings) if work.plug_in else {}, 1.0
    for name in COUNTS:
        mine, theirs = made.get(name), one.settings.get(name)
        if isinstance(mine, int) and isinstance(theirs, int) and mine > 0 and theirs > 0:
            ratio *= mine / theirs
    return ratio
