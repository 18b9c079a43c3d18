"""What is wrong with the receiver's own machine is not blamed on the release."""

from pathlib import Path

import pytest
from command import in_process
from made import spec as cell
from releases import plan_of, released, write

from benchmark.core.errors import UsageError
from benchmark.release.verification import verify_release

pytestmark = pytest.mark.usefixtures("stand_ins")


def unusable(tmp_path: Path) -> Path:
    """A folder below a file, which not even root can make."""
    (tmp_path / "file").write_bytes(b"")
    return tmp_path / "file" / "folder"


def test_a_cache_that_cannot_be_used_is_named_and_is_no_fault(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(unusable(tmp_path)))
    done = in_process("verify-release", str(folder), cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert "ANGIOBENCH_CACHE" in done.stderr
    assert "Do not rely on it" not in done.stdout


@pytest.mark.parametrize("variable", ["ANGIOBENCH_CACHE", "ANGIOBENCH_STATE"])
def test_a_folder_that_phantoms_need_is_named_and_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    spec = cell(generators=("dp-simulator",), epsilons=(2.0,), unit="patient", noise="system")
    said = released(spec=spec, guarantee=plan_of(spec, 16), phantoms=True)
    folder = write(tmp_path / "release", said)
    monkeypatch.setenv(variable, str(unusable(tmp_path)))
    with pytest.raises(UsageError, match=variable):
        verify_release(folder)


def test_a_state_that_nobody_needs_may_be_unusable(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(unusable(tmp_path)))
    assert verify_release(folder).holds


def test_settings_that_a_generator_cannot_open_are_still_the_releases_fault(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise FileNotFoundError(2, "No such file", "/nowhere/at/all")

    monkeypatch.setattr("leaderboard.guarantees._planned", fails)
    assert any("give no plan (No such file)" in fault for fault in verify_release(folder).faults)
