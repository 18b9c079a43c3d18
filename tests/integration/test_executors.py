"""Cells in this process and in processes of their own: what they leave, and what stops them."""

from pathlib import Path

import pytest
import torch
from command import UNTRACKED, UNTRAINED, bench, plug_in, results, rows
from left_by_cells import FITS, MOODY, left

RUN = ["run", "--no-bookends", *UNTRAINED, *UNTRACKED]


@pytest.fixture
def moody(tmp_path: Path) -> Path:
    return plug_in(tmp_path, "generators", "moody", "Moody", MOODY)


def test_cells_leave_the_same_in_this_process_and_in_two_of_their_own(
    module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*FITS, "--data", str(module_cohort)]
    threads = torch.get_num_threads()
    for jobs in ("0", "2"):
        (tmp_path / jobs).mkdir()
        torch.set_num_threads(2)
        done = bench(*asked, "--jobs", jobs, cwd=tmp_path / jobs)
        assert torch.get_num_threads() == 2, "the caller's threads are as they were"
        torch.set_num_threads(threads)
        assert done.returncode == 0, done.stdout + done.stderr
    here, apart = left(tmp_path / "0"), left(tmp_path / "2")
    assert len(results(tmp_path / "0")) == 2
    assert here == apart
    again = bench(*asked, "--jobs", "0", cwd=tmp_path / "2")
    assert "2 cells, 2 of them done before" in again.stdout


@pytest.mark.parametrize("jobs", ["0", "1"])
def test_a_failed_cell_leaves_its_reason_and_the_others_go_on(
    jobs: str, moody: Path, module_cohort: Path, tmp_path: Path
) -> None:
    (moody / "mood").write_text("fails")
    asked = [*RUN, "--generator", "moody,simulator", "--data", str(module_cohort), "--jobs", jobs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(moody), prepend=":")  # for processes of their own
        done = bench("--debug", *asked, cwd=tmp_path, path=moody)
    assert done.returncode == 1, done.stdout + done.stderr
    (error,) = tmp_path.glob("runs/moody/*/error.txt")
    assert "RuntimeError: no luck today" in error.read_text()
    assert {row["generator"]: row["status"] for row in rows(tmp_path)} == {
        "moody": "failed",
        "simulator": "done",
    }
    assert ("Traceback" in done.stderr) == (jobs == "0"), "a debugger's friend shows where"


def test_an_interrupt_in_this_process_leaves_nothing_half_written_and_the_command_goes_on(
    moody: Path, module_cohort: Path, tmp_path: Path
) -> None:
    asked = [*RUN, "--generator", "simulator,moody", "--data", str(module_cohort), "--jobs", "0"]
    (moody / "mood").write_text("interrupts")
    stopped = bench(*asked, cwd=tmp_path, path=moody)
    assert stopped.returncode == 130
    assert "the same command goes on" in stopped.stderr
    before = {f: f.stat().st_mtime_ns for f in tmp_path.glob("runs/simulator/*/*")}
    assert any(file.name == "result.json" for file in before)
    (cell,) = tmp_path.glob("runs/moody/*")
    assert {file.name for file in cell.iterdir()} <= {".lock", "spec.json", "charge.json"}
    (moody / "mood").write_text("is fine")
    done = bench(*asked, cwd=tmp_path, path=moody)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 cells, 1 of them done before" in done.stdout
    assert {f: f.stat().st_mtime_ns for f in before} == before


def test_a_cell_that_takes_its_process_along_stops_no_other(
    moody: Path, module_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (moody / "mood").write_text("dies")
    asked = [*RUN, "--generator", "moody,simulator", "--data", str(module_cohort), "--jobs", "1"]
    monkeypatch.setenv("PYTHONPATH", str(moody), prepend=":")
    done = bench(*asked, cwd=tmp_path, path=moody)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "The cell's process ended before its cell was done (exit code 3)." in done.stdout
    assert [row["status"] for row in rows(tmp_path) if row["generator"] == "simulator"] == ["done"]
