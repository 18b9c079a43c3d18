"""Plans of all files of tests in one place."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache(shared_cache: Path) -> Path:
    return shared_cache
