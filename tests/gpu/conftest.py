"""The device of these tests.

``ANGIOBENCH_TEST_DEVICE=cpu`` runs them on the CPU, which tells that the tests themselves run. What
they say of a card they say on a card alone.
"""

import os
from collections.abc import Iterator

import pytest
import torch

from benchmark.privacy.arithmetic import exact_arithmetic

DEVICE = os.environ.get("ANGIOBENCH_TEST_DEVICE", "cuda")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if "gpu" in item.path.parts]
    for item in here:
        item.add_marker(pytest.mark.gpu)
        if DEVICE == "cuda" and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def device() -> str:
    return DEVICE


@pytest.fixture(autouse=True)
def _as_in_a_cell() -> Iterator[None]:
    torch.set_num_threads(1)
    with exact_arithmetic():
        yield
