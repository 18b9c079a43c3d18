"""Plug-ins whose sums depend on more than they say, each found by its law."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cheating import UNITS, Through, law_on

from benchmark.core.laws import LawBrokenError
from generators.dp_simulator import DpSimulator
from generators.dp_wgan import DpWgan
from segmenters.dp_segmenter import DpSegmenter

MOVES = "one_unit_moves_its_sums_by_the_sensitivity_at_most"
DRAWS = "learns_of_nobody_but_whom_it_drew"


class DrawsForShow(Through):
    """Draws as it should, and takes always the same units."""

    def __init__(self, inner: Any, taken: float) -> None:
        super().__init__(inner)
        self._taken = taken

    def poisson(self, n: int, rate: float) -> Any:
        self._inner.poisson(n, rate)
        return np.arange(int(self._taken * n), dtype=np.int64)


def copied(patches: Any) -> Any:
    """Arrays of its own: nobody sees which of their rows are read."""
    return replace(patches, images=np.array(patches.images), masks=np.array(patches.masks))


class TakesEverybody(DpWgan):
    def fit(self, patches, guarantee, context):
        shown = replace(context, noise=DrawsForShow(context.noise, taken=1))
        return super().fit(copied(patches), guarantee, shown)


class MarksAHalf(DpSegmenter):
    """Always the same half of all units."""

    def fit_privately(self, patches, guarantee, context):
        shown = replace(context, noise=DrawsForShow(context.noise, taken=1 / 2))
        return super().fit_privately(copied(patches), guarantee, shown)


class TakesNobody(DpWgan):
    def fit(self, patches, guarantee, context):
        shown = replace(context, noise=DrawsForShow(context.noise, taken=0))
        return super().fit(patches, guarantee, shown)


@UNITS
@pytest.mark.parametrize("cheat", [TakesEverybody, MarksAHalf])
def test_who_was_not_drawn_moves_no_sum_though_patches_are_copied(cheat: Any, unit: str) -> None:
    with pytest.raises(LawBrokenError, match="learns of nobody but whom it drew"):
        law_on(DRAWS, cheat, unit)


@UNITS
def test_draws_for_show_break_the_law(unit: str) -> None:
    with pytest.raises(LawBrokenError, match=f"whom dp-wgan .unit {unit}. draws, its sums depend"):
        law_on(DRAWS, TakesNobody, unit)


class TakesEverySecondPatch(DpSimulator):
    """If the first patch of a patient is gone, it takes all others of that patient."""

    def fit(self, patches, guarantee, context):
        kept = np.zeros(len(patches), bool)
        for patient in range(patches.patients):
            kept[np.flatnonzero(patches.patient == patient)[::2]] = True
        return super().fit(some(patches, kept), guarantee, context)


class LeavesOutWhoHasABlankPatch(DpSimulator):
    """One blank patch takes all others of its patient away."""

    def fit(self, patches, guarantee, context):
        blank = np.unique(patches.patient[~patches.images.any((1, 2, 3))])
        kept = ~np.isin(patches.patient, blank)
        return super().fit(some(patches, kept), guarantee, context)


def some(patches: Any, kept: Any) -> Any:
    return replace(
        patches,
        images=patches.images[kept],
        masks=patches.masks[kept],
        patient=patches.patient[kept],
    )


@pytest.mark.parametrize(
    ("cheat", "where"),
    [
        (TakesEverySecondPatch, "data without the first patch"),
        (LeavesOutWhoHasABlankPatch, "data with a patch blank in its place"),
    ],
)
def test_a_patch_that_moves_others_is_seen_wherever_it_lies(cheat: Any, where: str) -> None:
    with pytest.raises(LawBrokenError, match=f"one patch moves a sum .* on {where}"):
        law_on(MOVES, cheat, "patch")
