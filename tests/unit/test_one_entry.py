"""What a fit of releases pays, through the real ledger, checkpoint and record of a cell."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from cells import SPEC

from benchmark.core.budget import Budget
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.privacy.randomness import SystemNoise
from benchmark.results.store import CHARGE, CHECKPOINT
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.payment import begun, pay, places_of
from generators.checks import PUBLIC, patches
from generators.dp_simulator import DpSimulator

PATIENTS = Inputs(
    train=(), tests={}, data="d", test_data={"test": "t"}, private=True, patients=("p1", "p2")
)


class KilledError(BaseException):
    """As a kill: nobody catches it."""


class Cell:
    """A cell's folder on a machine, fitted as ``run_cell`` fits it."""

    def __init__(self, folder: Path, state: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.places = {"folder": folder, "state": state}
        self.made = DpSimulator(DpSimulator.smoke)
        self.planned = self.made.plan(PUBLIC, Budget(epsilon=2.0, delta=1e-5, unit="patient"))

    @property
    def folder(self) -> Path:
        return self.places["folder"]

    def fit(self, data: Patches, *, killed: str = "") -> Patches | None:
        """A fit; killed after its charge, or after its release and before its result."""

        def charge(spent: object) -> None:
            pay(SPEC, spent, PATIENTS, planned=self.planned, **self.places)
            if killed == "after charge":
                raise KilledError

        with begun(SPEC, self.planned, PATIENTS, **self.places):
            checkpoint = Checkpoint(*places_of(SPEC, self.planned, **self.places))
            noise = SystemNoise()
            context = FitContext(seed=0, noise=noise, charge=charge, checkpoint=checkpoint)
            try:
                self.made.fit(data, self.planned, context)
            except KilledError:
                return None
        if not killed:
            (self.folder / CHECKPOINT).unlink()  # a finished cell forgets it
        return self.made.sample(4, seed=0)

    def entries(self) -> int:
        return len(ledger_in(self.places["state"]).entries())


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    return Cell(tmp_path / "cell", tmp_path / "state")


@pytest.mark.parametrize("killed", ["after charge", "after release"])
def test_a_killed_fit_goes_on_under_its_entry(cell: Cell, killed: str) -> None:
    data = patches()
    first = cell.fit(data, killed=killed)
    again = cell.fit(data)
    assert cell.entries() == 1
    assert first is None or np.array_equal(first.images, again.images)


def test_a_finished_fit_whose_result_was_removed_is_charged_anew(cell: Cell) -> None:
    data = patches()
    cell.fit(data)
    assert cell.entries() == 1
    cell.fit(data)
    assert cell.entries() == 2, "patients are looked at again"


def test_a_fit_whose_checkpoint_was_damaged_is_charged_anew(cell: Cell) -> None:
    data = patches()
    cell.fit(data, killed="after release")
    (cell.folder / CHECKPOINT).write_bytes(b"damaged")
    cell.fit(data)
    assert cell.entries() == 2


def test_a_fit_that_lost_the_record_of_its_claim_is_charged_anew(cell: Cell) -> None:
    data = patches()
    cell.fit(data, killed="after release")
    (cell.folder / CHARGE).unlink()
    cell.fit(data)
    assert cell.entries() == 2


def test_a_backup_from_before_a_release_pays_again_whatever_other_folders_did(
    cell: Cell, tmp_path: Path
) -> None:
    data, state = patches(), cell.places["state"]
    cell.fit(data, killed="after charge")
    shutil.copytree(cell.folder, tmp_path / "backup")
    cell.fit(data)
    assert cell.entries() == 1
    Cell(tmp_path / "another", state).fit(data, killed="after charge")
    assert cell.entries() == 2
    Cell(tmp_path / "backup", state).fit(data)
    assert cell.entries() == 3, "the release of the first was seen, and this is a new one"


def test_two_copies_of_a_folder_do_not_fit_under_one_entry(cell: Cell, tmp_path: Path) -> None:
    data = patches()
    cell.fit(data, killed="after release")
    copied = Path(shutil.copytree(cell.folder, tmp_path / "copy"))
    copy = Cell(copied, cell.places["state"])
    with (
        begun(SPEC, cell.planned, PATIENTS, **cell.places),
        pytest.raises(UsageError, match="a copy of this folder is being fitted"),
    ):
        copy.fit(data)
    assert cell.entries() == 1
