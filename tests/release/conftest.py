"""Small releases of patients, and plans of all files of tests in one place."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from releases import across_sites, made_by_stand_ins, released, write

from benchmark.release.statement import Statement


@pytest.fixture(scope="session")
def cache(shared_cache: Path) -> Path:
    return shared_cache


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    made_by_stand_ins(monkeypatch)


@pytest.fixture(scope="session")
def honest() -> Statement:
    return released()


@pytest.fixture(scope="session")
def federated(cache: Path) -> Statement:
    return across_sites(cache)


@pytest.fixture
def folder(honest: Statement, tmp_path: Path) -> Path:
    return write(tmp_path / "release", honest)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key.pem"
    pem = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    file.write_bytes(Ed25519PrivateKey.generate().private_bytes(*pem))
    return file
