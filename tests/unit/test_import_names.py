"""Names that plug-ins and others import stay where they were, though modules moved."""

from importlib import import_module

import pytest

NAMES = {
    "benchmark.privacy.accounting": ["account", "epsilon_spent"],
    "benchmark.privacy.choice": ["Election", "plan_choices"],
    "benchmark.privacy.dpsgd": ["Batch", "Step"],
    "benchmark.privacy.ledger": ["Ledger"],
    "benchmark.privacy.planning": ["plan_poisson_gaussian"],
    "benchmark.privacy.randomness": ["SeededNoise", "SystemNoise"],
    "benchmark.privacy.release": ["Release", "plan_releases"],
    "benchmark.privacy.sampling": ["PoissonSampler"],
    "benchmark.privacy.units": ["default_delta"],
}


@pytest.mark.parametrize("module", NAMES)
def test_a_plug_in_written_before_the_move_still_imports(module: str) -> None:
    found = import_module(module)
    assert all(hasattr(found, name) for name in NAMES[module])
