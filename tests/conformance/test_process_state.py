"""Plug-ins that keep what they learnt of patients in their process, each found by its law."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from cheating import UNITS, Through, law_on

import generators.checks
from benchmark.cli.check import check
from benchmark.core.laws import LawBrokenError
from benchmark.core.mechanism import Integers
from benchmark.release.findings import replayed
from benchmark.release.source import Source
from generators.dp_simulator import DpSimulator
from generators.dp_wgan import DpWgan
from segmenters.dp_segmenter import DpSegmenter

REPLAY = "is_post_processing_but_for_its_mechanisms"
MOVES = "one_unit_moves_its_sums_by_the_sensitivity_at_most"


FIRST: dict[str, float] = {}


class KeepsItsFirstBrightness(DpSimulator):
    """Draws patches as bright as those of the first patients whom this process saw."""

    def fit(self, patches, guarantee, context):
        spent = super().fit(patches, guarantee, context)
        here = float(patches.images.mean()) if len(patches) else 0.0
        self._brightness = FIRST.setdefault(self.name, here)
        return spent

    def sample(self, n, *, seed):
        drawn = super().sample(n, seed=seed)
        return replace(drawn, images=np.clip(drawn.images + self._brightness, -1, 1))


class CachesBySize(DpWgan):
    """Its generator starts at a vessel fraction, which it computes once for each side."""

    _masks: ClassVar[Any] = None

    @classmethod
    @lru_cache(maxsize=8)
    def _fraction(cls, size: int) -> float:
        return float(cls._masks.mean())

    def fit(self, patches, guarantee, context):
        spent = super().fit(patches, guarantee, context)
        type(self)._masks = patches.masks if len(patches) else np.zeros(1)
        with torch.no_grad():
            next(self._net.parameters()).add_(self._fraction(patches.size))
        return spent


class KeepsItsFirstInTheClass(DpSegmenter):
    """Its marks start at the vessel fraction of the first patients."""

    _first: ClassVar[list[float]] = []

    def fit_privately(self, patches, guarantee, context):
        spent = super().fit_privately(patches, guarantee, context)
        self._first.append(float(patches.masks.mean()) if len(patches) else 0.0)
        with torch.no_grad():
            for weights in self._net.parameters():
                weights.add_(self._first[0])
        return spent


@UNITS
@pytest.mark.parametrize("cheat", [KeepsItsFirstBrightness, CachesBySize, KeepsItsFirstInTheClass])
def test_what_a_process_keeps_is_not_there_in_a_replay(cheat: type[Any], unit: str) -> None:
    with pytest.raises(LawBrokenError, match=f"{cheat.name} .*unit {unit}.*fed their outputs"):
        law_on(REPLAY, cheat, unit)


LOUD = 40
SUMS: dict[str, Integers] = {}


class KeepsItsFirstSum(DpSimulator):
    """A sum that is not clipped, and stays whatever unit is gone."""

    def fit(self, patches, guarantee, context):
        class Kept(Through):
            def noised(self, sums, grid):
                loud = SUMS.setdefault(guarantee.unit, LOUD * sums)
                return self._inner.noised(loud, grid) // LOUD

        return super().fit(patches, guarantee, replace(context, noise=Kept(context.noise)))


@UNITS
def test_a_kept_sum_moves_in_a_fresh_process(unit: str) -> None:
    with pytest.raises(LawBrokenError, match=f"one {unit} moves a sum"):
        law_on(MOVES, KeepsItsFirstSum, unit)


@UNITS
def test_a_release_says_that_its_replay_failed(unit: str, tmp_path: Path) -> None:
    (subject, *_) = (
        one
        for one in generators.checks.subjects(KeepsItsFirstBrightness)
        if one.guarantee.unit == unit
    )
    for kind, held in ((KeepsItsFirstBrightness, False), (DpSimulator, True)):
        source = Source(folder=tmp_path, result=SimpleNamespace(guarantee=subject.guarantee))
        vars(source)["generator"] = kind(kind.smoke)
        assert replayed(source).held is held


def test_a_plug_in_that_cannot_be_made_anew_breaks_the_law_and_is_told_why() -> None:
    class Local(DpSimulator):
        pass

    with pytest.raises(LawBrokenError, match=r"a fresh process can make a plug-in anew.*Local"):
        law_on(REPLAY, Local, "patch")


class EndsItsProcess(DpSimulator):
    """Ends a process that has no patients, without a word."""

    def fit(self, patches, guarantee, context):
        if not len(patches):
            import os

            os._exit(3)
        return super().fit(patches, guarantee, context)


def test_a_replay_that_ends_its_process_breaks_the_law() -> None:
    with pytest.raises(LawBrokenError, match="exit code 3"):
        law_on(REPLAY, EndsItsProcess, "patch")


MODULE = """
from dataclasses import replace
import numpy as np
from generators.dp_simulator import DpSimulator

FIRST = []

class Remembering(DpSimulator):
    '''Remembers.'''
    name = "remembering"

    def fit(self, patches, guarantee, context):
        spent = super().fit(patches, guarantee, context)
        FIRST.append(float(patches.images.mean()) if len(patches) else 0.0)
        self._kept = FIRST[0]
        return spent

    def sample(self, n, *, seed):
        drawn = super().sample(n, seed=seed)
        return replace(drawn, images=np.clip(drawn.images + self._kept, -1, 1))
"""


def test_bench_check_names_the_law(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "remembering_plug_in.py").write_text(MODULE)
    told = tmp_path / "remembering-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: remembering\nVersion: 1\n")
    (told / "entry_points.txt").write_text(
        "[angiobench.generators]\nremembering = remembering_plug_in:Remembering\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert check.callback is not None
    assert check.callback("remembering") == 1
    told_of = capsys.readouterr().out
    assert "is post processing but for its mechanisms: BROKEN: The law is: all but" in told_of
    assert "learns of nobody but whom it drew: holds" in told_of
