"""The seconds of each stage on the shipped board, for the forecasts of ``bench run --dry-run``.

    python -m leaderboard.reference_seconds CALIBRATION_S

writes ``reference.toml``. Each stage has the lower quartile over the board's cells of the newest
edition that has the plug-in, because the board's cells ran beside others. CALIBRATION_S is the
seconds of ``forecast.calibration`` on the board's machine. Where that is unknown, it is chosen so
that forecast and measured seconds of some cells agree on another machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import quantiles
from typing import Any

import tomli_w

from benchmark.core.editions import edition_of
from benchmark.core.files import write_text
from benchmark.results.result import Result, tests_in
from benchmark.sweep.forecast.reference import FILE
from benchmark.sweep.forecast.work import DISTANCES, FIT, PATCHES, SAMPLE, SCORE, TRAIN
from leaderboard.entries import entries_of
from leaderboard.page import RESULTS

HEAD = "# Seconds of stages on the shipped board, by `leaderboard.reference_seconds`.\n"


def measured(results: list[Result], calibration_s: float) -> dict[str, Any]:
    """Return the content of the TOML file.

    Args:
        results: The board's results, all of phantoms.
        calibration_s: The seconds of the calibration on the board's machine.
    """
    groups: dict[tuple[str, str, bool], dict[str, list[tuple[Result, float]]]] = {}
    for result in results:
        edition = edition_of(result.spec.protocol)
        for stage, plug_in, private in _stages(result):
            of = groups.setdefault((stage, plug_in, private), {})
            of.setdefault(edition, []).append((result, result.seconds[stage]))
    newest = {key: max(of.items())[1] for key, of in sorted(groups.items())}
    peaks: dict[str, float] = {}
    for result in results:
        name = result.spec.generator.name
        peaks[name] = max(peaks.get(name, 0.0), result.peak_mib or 0.0)
    return {
        "calibration_s": calibration_s,
        "peak_mib": dict(sorted(peaks.items())),
        "stages": [_stage(*key, found) for key, found in newest.items()],
    }


def _stages(result: Result) -> Iterator[tuple[str, str, bool]]:
    spec = result.spec
    decides = {PATCHES: "", DISTANCES: "", FIT: spec.generator.name, SAMPLE: spec.generator.name}
    for stage in (PATCHES, FIT, SAMPLE, TRAIN, DISTANCES, SCORE):
        if stage in result.seconds:
            noised = stage == FIT and 0 < result.guarantee.noise_multiplier < float("inf")
            yield stage, decides.get(stage, spec.segmenter.name), noised


def _stage(
    stage: str, plug_in: str, private: bool, found: list[tuple[Result, float]]
) -> dict[str, Any]:
    """One entry; sizes and settings are those of the last result."""
    result, seconds = found[-1][0], [s for _, s in found]
    spec, fitted = result.spec, result.guarantee.patients
    low, _, high = quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
    settings = spec.generator.settings if stage in (FIT, SAMPLE) else spec.segmenter.settings
    scored = sum(test.many or 0 for test in tests_in(result))
    samples, cut = int(spec.protocol["samples"]), int(spec.protocol["patches_per_patient"]) * fitted
    return {
        "stage": stage,
        "plug_in": plug_in,
        "private": private,
        "settings": dict(settings) if plug_in else {},
        "patches": cut if stage in (PATCHES, FIT) else 0 if stage == SCORE else samples,
        "side": int(spec.protocol["patch_size"]),
        "patients": {PATCHES: fitted, FIT: fitted, SCORE: scored}.get(stage, 0),
        "seconds": float(f"{low:.3g}"),
        "spread": float(f"{max(1.0, high / max(low, 1e-3)):.3g}"),
        "cells": len(seconds),
    }


if __name__ == "__main__":
    told = [entry.told for entry in entries_of([RESULTS]) if entry.result]
    write_text(FILE, HEAD + tomli_w.dumps(measured(told, float(sys.argv[1]))))
