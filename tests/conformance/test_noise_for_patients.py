"""Plug-ins with less noise where there are patients, each found by its law."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from cheating import UNITS, Through, law_on

from benchmark.core.errors import PlugInError
from benchmark.core.laws import LawBrokenError
from benchmark.core.mechanism import Integers, Words
from benchmark.privacy.mechanisms.choice import choice_of
from benchmark.privacy.mechanisms.discrete import Exact
from benchmark.privacy.mechanisms.release import grid_of
from benchmark.privacy.randomness import SeededNoise, SystemNoise
from generators.dp_simulator import DpSimulator
from generators.private_selection import PrivateSelection
from segmenters.dp_segmenter import DpSegmenter

NOISE = "noise_is_that_which_was_accounted"


@dataclass(frozen=True)
class OwnLaw:
    """A law that says what the honest one says, and draws nothing for patients."""

    honest: Any
    is_quiet: bool = field(compare=False)

    @property
    def scale(self) -> float:
        return self.honest.scale

    @property
    def deviation(self) -> float:
        return self.honest.deviation

    def draw(self, n: int, words: Words) -> Integers:
        return np.zeros(n, np.int64) if self.is_quiet else self.honest.draw(n, words)


def quiet_on_patients(context: Any, patches: Any, law_of: Any) -> Any:
    """A context whose noise has another law unless all patches are blank."""

    class Quiet(Through):
        def noised(self, sums, grid):
            return self._inner.noised(sums, replace(grid, law=law_of(grid.law)))

    return replace(context, noise=Quiet(context.noise)) if patches.images.any() else context


class OwnLawForPatients(DpSimulator):
    def fit(self, patches, guarantee, context):
        quiet = quiet_on_patients(context, patches, lambda law: OwnLaw(law, is_quiet=True))
        return super().fit(patches, guarantee, quiet)


class LittleNoiseForPatients(DpSimulator):
    """By a law of the suite's own, of a scale that was not planned."""

    def fit(self, patches, guarantee, context):
        quiet = quiet_on_patients(context, patches, lambda law: Exact(1))
        return super().fit(patches, guarantee, quiet)


class LittleNoiseInMarks(DpSegmenter):
    def fit_privately(self, patches, guarantee, context):
        quiet = quiet_on_patients(context, patches, lambda law: Exact(1))
        return super().fit_privately(patches, guarantee, quiet)


@UNITS
@pytest.mark.parametrize("cheat", [LittleNoiseForPatients, LittleNoiseInMarks])
def test_noise_is_measured_on_patients_patches(cheat: type[Any], unit: str) -> None:
    with pytest.raises(LawBrokenError, match=r"has the deviation .*on patients' patches"):
        law_on(NOISE, cheat, unit)


@UNITS
def test_a_law_of_noise_that_is_not_the_suites_own_is_refused(unit: str) -> None:
    with pytest.raises(PlugInError, match=r"law of the suite's own, got OwnLaw on a Grid; take"):
        law_on(NOISE, OwnLawForPatients, unit)


@pytest.mark.parametrize("noise", [SeededNoise(0), SystemNoise()])
def test_both_sources_refuse_laws_from_elsewhere(noise: Any) -> None:
    class Louder(Exact):
        pass

    grid, choice = grid_of(1.0, 1.0), choice_of(1.0)
    for law in (OwnLaw(grid.law, is_quiet=False), Louder(4)):
        with pytest.raises(PlugInError, match="suite's own"):
            noise.noised(np.zeros(3, np.int64), replace(grid, law=law))
    with pytest.raises(PlugInError, match="suite's own, got OwnLaw on a Choice"):
        noise.chosen(np.zeros(3, np.int64), replace(choice, law=OwnLaw(choice.law, is_quiet=True)))


class TakesTheBest(PrivateSelection):
    """A choice whose law is honest between two candidates, as where it is measured."""

    def elected(self, patches, guarantee, noise):
        class Best(Through):
            def chosen(self, sums, choice):
                return self._inner.chosen(sums, replace(choice, law=BestOfMany(choice.law)))

        return super().elected(patches, guarantee, Best(noise))


@dataclass(frozen=True)
class BestOfMany:
    honest: Any

    @property
    def deviation(self) -> float:
        return self.honest.deviation

    def draw(self, sums: Integers, words: Words) -> int:
        return int(sums.argmax()) if len(sums) > 2 else self.honest.draw(sums, words)


@UNITS
def test_a_law_of_choices_that_is_not_the_suites_own_is_refused(unit: str) -> None:
    with pytest.raises(PlugInError, match="got BestOfMany on a Choice"):
        law_on(NOISE, TakesTheBest, unit)
