"""``dp-wgan`` as editions from 2026-2 have it keeps every law, with the pool that its fits have."""

from dataclasses import replace
from typing import ClassVar

import pytest

from benchmark.core.settings import Settings
from generators import checks
from generators.dp_wgan import DpWgan


class Refining(DpWgan):
    """``dp-wgan`` as edition 2026-2 has it, tiny."""

    smoke: ClassVar[Settings] = replace(DpWgan.smoke, begin="simulator", fakes=6, edges="moved")


class FixedEdges(DpWgan):
    """The same, with masks as the simulator draws them."""

    smoke: ClassVar[Settings] = replace(Refining.smoke, edges="fixed")


DRAWS = "draws_every_unit_at_the_accounted_rate"
"""The draws are those of ``dp-wgan``, whatever its fakes begin from."""


@pytest.mark.parametrize("kind", [Refining, pytest.param(FixedEdges, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "law", [pytest.param(n, marks=pytest.mark.slow) if n == DRAWS else n for n in checks.LAWS]
)
def test_it_keeps_every_law_of_a_generator(law: str, kind: type[DpWgan]) -> None:
    checks.LAWS[law](kind)
