"""Killed at random instants, a command ends as if it had never been killed.

``make endurance`` kills each fifty times; the gate three times.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from kills import KILLS, files_in, killed, leavings_in, results_in, run

from benchmark.core.editions import DEFAULT, EDITIONS
from benchmark.core.folders import machine_secret
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.tuning.study import PHANTOM_SEED

BENCH = [sys.executable, "-m", "benchmark"]
TINY = {
    "protocol.patches_per_patient": 20,
    "protocol.samples": 32,
    "protocol.fid_n": 16,
}
WGAN = {
    "dp-wgan.generator_steps": 24,
    "dp-wgan.generator_width": 4,
    "dp-wgan.critic_width": 4,
    "dp-wgan.batch": 16,
    "dp-wgan.patients_per_step": 2,
    "dp-wgan.critic_steps": 1,
}
RELEASES = {
    "dp-merf.steps": 200,
    "private-selection.candidates": 4,
    "private-selection.steps": 10,
}


def sets(*settings: dict[str, float]) -> list[str]:
    both = {name: value for some in settings for name, value in some.items()}
    return [word for name, value in both.items() for word in ("--set", f"{name}={value}")]


ASKED = ["--data", "cohort", "--segmenter", "threshold", "--tracking-uri", "none", "--jobs", "1"]
SWEEP = ["run", "--generator", "dp-wgan,simulator", "--epsilon", "5", *ASKED, *sets(TINY, WGAN)]
SWEEP += ["--noise", "seeded", "--no-bookends"]
SITES = ["run", "--generator", "dp-wgan", "--epsilon", "5", "--sites", "2", *ASKED]
SITES += ["--noise", "seeded", "--no-bookends", *sets(TINY, WGAN)]
ONE_SHOT = ["dp-simulator", "private-evolution", "dp-merf", "private-selection"]
RELEASING = ONE_SHOT if KILLS > 1 else ONE_SHOT[:2]
"""In the gate some, as `tests/unit/test_kept_releases.py` has them all."""

OF_RELEASING = {n: v for n, v in RELEASES.items() if n.split(".")[0] in RELEASING}
RELEASED = ["run", "--generator", ",".join(RELEASING)]
RELEASED += [
    "--segmenter",
    "threshold,frangi",
    "--epsilon",
    "1",
    "--unit",
    "patient",
    *(word for word in ASKED if word not in ("--segmenter", "threshold")),
    "--no-bookends",
    *sets(TINY, OF_RELEASING),
]
TUNED = ["tune", "--generator", "dp-simulator", "--epsilon", "2", "--trials", "5", "--seeds", "1"]
TUNED += ["--segmenter", "threshold", "--tracking-uri", "none", "--jobs", "1", *sets(TINY)]


class Rooms:
    """Two folders with the same cohort and states of their own: one is left alone."""

    def __init__(self, folder: Path, cohort: Path, cache: Path) -> None:
        self.cache = cache
        self.whole, self.hurt = folder / "whole", folder / "hurt"
        for room in (self.whole, self.hurt):
            (room / "state").mkdir(parents=True)
            (room / "cohort").symlink_to(cohort)
        machine_secret(self.whole / "state")  # one machine: the keys of private data hang on it
        shutil.copy(self.whole / "state" / "secret", self.hurt / "state")

    def env(self, room: Path) -> dict[str, str]:
        places = {"ANGIOBENCH_CACHE": self.cache, "ANGIOBENCH_STATE": room / "state"}
        return {**{name: str(path) for name, path in places.items()}, "OMP_NUM_THREADS": "1"}

    def endure(self, asked: list[str]) -> None:
        """The command, once alone, and once killed."""
        command = [*BENCH, *asked]
        whole_s = run(command, self.whole, self.env(self.whole))
        assert killed(command, self.hurt, self.env(self.hurt), whole_s=whole_s)
        assert leavings_in(self.hurt / "runs") == []


@pytest.fixture
def rooms(tmp_path: Path, module_cohort: Path, cache_with_plans: Callable[[Path], Path]) -> Rooms:
    return Rooms(tmp_path, module_cohort, cache_with_plans(tmp_path / "cache"))


@pytest.mark.parametrize(
    "asked",
    # The gate kills a sweep in `tests/integration/test_stopped.py`.
    [
        pytest.param(SWEEP, marks=[] if KILLS > 1 else pytest.mark.slow, id="sweep"),
        pytest.param(SITES, id="sites"),
    ],
)
def test_with_a_seed_results_curves_and_weights_are_the_same_bytes(
    asked: list[str], rooms: Rooms
) -> None:
    rooms.endure(asked)
    assert results_in(rooms.hurt) == results_in(rooms.whole)
    same = "weights.safetensors", "samples.png"
    assert files_in(rooms.hurt / "runs", *same) == files_in(rooms.whole / "runs", *same)
    assert curves_in(rooms.hurt) == curves_in(rooms.whole)


def test_releases_under_a_cap_are_charged_once(rooms: Rooms) -> None:
    for room in (rooms.whole, rooms.hurt):
        ledger = ledger_in(room / "state")
        ledger.set_cap(9.0)  # all fits together cost less
    rooms.endure(RELEASED)
    fits = [
        [entry.said["generator"] for entry in ledger_in(room / "state").entries()[1:]]
        for room in (rooms.whole, rooms.hurt)
    ]
    assert fits[0] == fits[1]
    assert len(fits[1]) == len(RELEASING), "two segmenters share each"
    guarantees = [
        {key: (one["guarantee"], one["spec"]) for key, one in results_in(room).items()}
        for room in (rooms.whole, rooms.hurt)
    ]
    assert guarantees[0] == guarantees[1]


def test_a_search_ends_with_the_same_trials(
    rooms: Rooms, write_tiny_phantoms: Callable[[Path], None]
) -> None:
    version = EDITIONS[DEFAULT].phantoms
    write_tiny_phantoms(rooms.cache / f"phantom-v{version}-seed{PHANTOM_SEED}")
    rooms.endure(TUNED)
    assert trials_in(rooms.hurt) == trials_in(rooms.whole)
    tuned = [
        [line for line in file.read_text().splitlines() if not line.startswith("suite")]
        for room in (rooms.hurt, rooms.whole)
        for file in room.rglob("tuned/*/*/*.toml")
    ]
    assert len(tuned) == 2
    assert tuned[0] == tuned[1]


def curves_in(room: Path) -> dict[str, list[list[object]]]:
    """Every cell's curves, without seconds."""
    return {
        str(file.relative_to(room)): [
            point for point in json.loads(file.read_text()) if "seconds" not in point[0]
        ]
        for file in sorted(room.rglob("curves.json"))
    }


def trials_in(room: Path) -> list[tuple[int, str, object, object]]:
    (database,) = room.rglob("optuna.db")
    storage = f"sqlite:///{database}"
    (name,) = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    return [(one.number, one.state.name, one.params, one.values) for one in study.trials]
