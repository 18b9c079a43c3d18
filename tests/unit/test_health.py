"""What `bench doctor` finds, and what it says to do."""

from pathlib import Path

import pytest

from benchmark.core.folders import machine_secret
from benchmark.terminal import health
from benchmark.terminal.health import Finding, examine


def found(out: Path, what: str) -> list[Finding]:
    return [finding for finding in examine(out) if finding.what == what]


def test_this_machine_can_run_a_sweep(tmp_path: Path) -> None:
    assert [f for f in examine(tmp_path) if f.healthy is False] == []
    assert {f.what for f in examine(tmp_path)} >= {"versions", "packages", "memory", "FID", "GPU"}


def test_an_unmet_requirement_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "requires", lambda _: ["numpy<2", "no-such-thing>=1", "click>=8"])
    unmet = found(tmp_path, "versions")
    assert [f.healthy for f in unmet] == [False, False]
    assert "numpy<2 is needed" in unmet[0].sentence
    assert "no-such-thing>=1 is needed, nothing is installed" in unmet[1].sentence


def test_a_package_of_our_name_from_elsewhere_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = {"generators": ["angiobench", "impostor"]}
    monkeypatch.setattr(health, "packages_distributions", lambda: owners)
    (owned,) = found(tmp_path, "packages")
    assert owned.healthy is False
    assert "generators is also impostor's" in owned.sentence


def test_a_damaged_store_and_a_file_in_the_way_are_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is no database, whatever it is called" * 100)
    (store,) = found(tmp_path, "MLflow")
    assert store.healthy is False
    assert "delete it" in store.sentence
    (results,) = found(tmp_path / "mlflow.db", "results")
    assert results.healthy is False


def test_little_memory_is_a_note_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SWEEP_GIB", 1e6)
    (memory,) = found(tmp_path, "memory")
    assert memory.healthy is None
    assert "--jobs 1" in memory.sentence


def test_a_ledger_that_is_damaged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path))
    (ledger,) = found(tmp_path, "ledger")
    assert ledger.healthy is None
    machine_secret(tmp_path)
    (tmp_path / "ledger.db").write_bytes(b"no ledger at all, only some text" * 200)
    (ledger,) = found(tmp_path, "ledger")
    assert ledger.healthy is False
    assert "Restore it from a copy" in ledger.sentence
    (tmp_path / "secret").unlink()
    (ledger,) = found(tmp_path, "ledger")
    assert ledger.healthy is False
    assert "secret is gone" in ledger.sentence
