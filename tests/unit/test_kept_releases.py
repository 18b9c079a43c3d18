"""A fit of releases, killed at any instant: charged once, and the same in the end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.core.budget import Budget, Guarantee
from benchmark.core.generator import FitContext, Generator
from benchmark.core.mechanism import Noise
from benchmark.core.patches import Patches
from benchmark.core.workings import State
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from generators.checks import PUBLIC, patches
from generators.dp_merf import DpMerf
from generators.dp_simulator import DpSimulator
from generators.private_evolution import PrivateEvolution
from generators.private_selection import PrivateSelection

KINDS = [DpMerf, DpSimulator, PrivateEvolution, PrivateSelection]
EACH = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
NOISES = pytest.mark.parametrize("noise", [SystemNoise, lambda: SeededNoise("kept")])


class KilledError(BaseException):
    """As a kill: nobody catches it."""


class Desk:
    """A folder with a checkpoint, and a ledger that charges as a cell's does."""

    def __init__(self, folder: Path, kind: type[Generator], noise: Callable[[], Noise]) -> None:
        self.folder, self.noise = folder, noise
        self.made = kind(kind.smoke)
        self.planned = self.made.plan(PUBLIC, Budget(epsilon=2.0, delta=1e-5, unit="patient"))
        self.entries, self.drawn = 0, 0

    def checkpoint(self) -> Checkpoint:
        path, counted = self.folder / "checkpoint.safetensors", self.folder / "counted.json"
        return Checkpoint(path, self.planned, counted)

    def fit(self, data: Patches, *, dies: str = "", at: int = 1) -> Patches | None:
        """Fits; dies before or after the save or the charge of that number."""
        checkpoint, saves = self.checkpoint(), 0
        save = checkpoint.save

        def saved(state: State) -> None:
            nonlocal saves
            saves += 1
            if (dies, at) == ("before save", saves):
                raise KilledError
            save(state)
            if (dies, at) == ("after save", saves):
                raise KilledError

        def charge(spent: Guarantee) -> None:
            if dies == "before charge":
                raise KilledError
            if not (self.entries and self.checkpoint().pays):
                self.entries += 1
            if dies == "after charge":
                raise KilledError

        def progress(step: int, total: int, curves: Any) -> None:
            if dies == "in the end" and step == total:
                raise KilledError

        checkpoint.save = saved  # type: ignore[method-assign]
        context = FitContext(
            seed=0, noise=self.noise(), charge=charge, progress=progress, checkpoint=checkpoint
        )
        try:
            self.made.fit(data, self.planned, context)
        except KilledError:
            return None
        return self.made.sample(4, seed=0)


KILLS = [
    *(("before save", n) for n in range(1, 6)),
    *(("after save", n) for n in range(1, 6)),
    ("before charge", 1),
    ("after charge", 1),
    ("in the end", 1),
]


@EACH
@NOISES
def test_killed_at_every_instant_it_is_charged_once(kind, noise, tmp_path: Path) -> None:
    desk, data = Desk(tmp_path, kind, noise), patches()
    for dies, at in KILLS:
        desk.fit(data, dies=dies, at=at)
    assert desk.fit(data) is not None
    assert desk.entries == 1


@EACH
def test_what_was_released_stays_released(kind, tmp_path: Path) -> None:
    desk, data = Desk(tmp_path, kind, SystemNoise), patches()
    first = desk.fit(data)
    desk.noise = _refusing  # whoever draws again would release again
    again = desk.fit(data)
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.masks, again.masks)


@EACH
def test_with_a_seed_it_ends_as_if_it_had_never_been_killed(kind, tmp_path: Path) -> None:
    data, seeded = patches(), lambda: SeededNoise("kept")
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = Desk(tmp_path / "whole", kind, seeded).fit(data)
    desk = Desk(tmp_path / "killed", kind, seeded)
    for dies, at in KILLS:
        desk.fit(data, dies=dies, at=at)
    assert np.array_equal(whole.images, desk.fit(data).images)


@EACH
def test_an_older_copy_of_the_checkpoint_is_charged_anew(kind, tmp_path: Path) -> None:
    desk, data = Desk(tmp_path, kind, SystemNoise), patches()
    assert desk.fit(data, dies="after save", at=1) is None
    old = (tmp_path / "checkpoint.safetensors").read_bytes()
    assert desk.fit(data) is not None
    assert desk.entries == 1
    (tmp_path / "checkpoint.safetensors").write_bytes(old)
    assert desk.fit(data) is not None
    assert desk.entries == 2, "the release that was seen is paid, and so is the new one"


def _refusing() -> Noise:
    class Refusing:
        seeded = False

        def state(self) -> None:
            return None

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was drawn again")

    return Refusing()  # type: ignore[return-value]
