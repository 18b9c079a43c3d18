"""A statement of a release for tests, as `bench release` would make it."""

from __future__ import annotations

import platform
from typing import Any

from benchmark.core.budget import Guarantee
from benchmark.release.nearest_real import LAWS
from benchmark.release.statement import Statement
from benchmark.results.spec import RunSpec
from benchmark.results.spec_parts import PlugIn

SUM = "ab" * 32


def guarantee(**changes: Any) -> Guarantee:
    """Of one release of a mean, a patient protected at ε = 2."""
    said: dict[str, Any] = {
        "target_epsilon": 2.0,
        "epsilon": 1.9999,
        "epsilon_patch": 1.9999,
        "epsilon_patient": 1.9999,
        "delta": 1e-5,
        "unit": "patient",
        "noise_multiplier": 2.13,
        "sampling_rate": 1.0,
        "steps": 1,
        "clip_norm": 1.0,
        "accountant": "prv",
        "seeded": False,
        "patients": 17,
        "patches_per_patient": 1000,
        "sensitivity": 1.0001,
        "grid": 2.0**-20,
        "distance": 1e-12,
    }
    return Guarantee(**{**said, **changes})


def spec(**changes: Any) -> RunSpec:
    """Of a cell of dp-simulator on a hospital's own data."""
    rules = {
        "patch_size": 32,
        "patches_per_patient": 1000,
        "samples": 4096,
        "fid_n": 512,
        "fid_dims": 64,
        "spacing_mm": 0.8,
        "edition": "2026-2",
    }
    said: dict[str, Any] = {
        "generator": PlugIn(name="dp-simulator", version=9, settings={"patients": 1.0}),
        "segmenter": PlugIn(name="unet", version=1, settings={}),
        "protocol": rules,
        "epsilon": 2.0,
        "delta": 1e-5,
        "unit": "patient",
        "data": "0123456789abcdef",
        "test_data": {"test": "123456789abcdef0"},
        "fid_weights": "",
        "noise": "system",
        "seed": 0,
    }
    return RunSpec(**{**said, **changes})


def statement(**changes: Any) -> Statement:
    """Of 200 patches of that cell, which nothing speaks against."""
    cell = changes.pop("spec", spec())
    said: dict[str, Any] = {
        "format": 1,
        "claim": "private",
        "phantoms": False,
        "run": cell.key if isinstance(cell, RunSpec) else "",
        "spec": cell,
        "guarantee": guarantee(),
        "mechanism": "discrete Gaussian noise on sums over all units",
        "ledger": {
            "entries": [{"number": 3, "hash": SUM}],
            "before": 0.0,
            "after": 1.9999,
            "delta": 1e-5,
        },
        "audit": {
            "method": "membership",
            "unit": "patient",
            "refuted": False,
            "candidates": 8,
            "samples": 8192,
            "claim": 3.9998,
            "provable": 0.6,
            "confidence": 0.96,
            "further": [
                {
                    "unit": "patch",
                    "candidates": 1000,
                    "claim": 3.9998,
                    "provable": 1.8,
                    "confidence": 0.99,
                }
            ],
        },
        "nearest_real": {
            "passed": True,
            "samples": 200,
            "fitted": 17,
            "held_out": 8,
            "laws": LAWS,
        },
        "replay": {"held": True, "laws": ["is_post_processing_but_for_its_mechanisms"]},
        "samples": {
            "n": 200,
            "seed": 0,
            "size": 32,
            "spacing_mm": 0.8,
            "per_volume": 100,
            "volumes": 2,
            "generator": SUM,
        },
        "utility": [
            {
                "generator": name,
                "epsilon": epsilon,
                "test_set": "test",
                "patients": 8,
                "seeds": 1,
                "dice": {"mean": dice, "low": dice - 0.03, "high": dice + 0.03},
                "is_released": name == "dp-simulator",
            }
            for name, epsilon, dice in (
                ("dp-simulator", 1.9999, 0.783),
                ("real", float("inf"), 0.798),
                ("simulator", 0.0, 0.773),
                ("threshold", 0.0, 0.578),
            )
        ],
        "suite": {"version": "0.1.0", "commit": "unknown"},
        "versions": {"python": platform.python_version(), "torch": "2.13.0", "numpy": "2.3.5"},
        "licence": "CC-BY-4.0",
        "created": "2026-11-30",
    }
    return Statement.read({**said, **changes})
