"""Two tiny sites."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_sites import posts_in

from federation.post import Post


@pytest.fixture
def posts(module_cohort: Path, tmp_path: Path) -> list[Post]:
    return posts_in(module_cohort, tmp_path)


@pytest.fixture
def more_posts(module_cohort: Path, tmp_path: Path) -> Callable[[str], list[Post]]:
    return lambda name: posts_in(module_cohort, tmp_path / name)
