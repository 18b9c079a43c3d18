"""The record of a cell in MLflow: its name, parameters and metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from benchmark.core.budget import epsilon_text
from benchmark.core.files import plain
from benchmark.core.registry import segmenters
from benchmark.metrics.scores import NAMES
from benchmark.results.observers import adversary
from benchmark.results.result import Result
from benchmark.results.settings import all_settings
from benchmark.results.spec import RunSpec
from benchmark.results.summary import SummaryRow, called


def run_name(spec: RunSpec) -> str:
    """Return a cell's name in MLflow's lists."""
    return f"{called(spec)} ε={epsilon_text(spec.epsilon)} {spec.unit} seed {spec.seed}"


def parameters(result: Result) -> dict[str, str]:
    """Return what decided the cell, as texts by flat names such as ``generator.version``."""
    spec: Mapping[str, Any] = plain(result.spec.as_dict())
    flat = {n: str(spec[n]) for n in ("epsilon", "delta", "unit", "seed", "noise", "sites", "data")}
    for kind, registry in (("generator", result.spec.registry), ("segmenter", segmenters)):
        flat[kind], flat[f"{kind}.version"] = spec[kind]["name"], str(spec[kind]["version"])
        settings = all_settings(registry, getattr(result.spec, kind))
        flat |= {f"{kind}.{n}": str(v) for n, v in plain(settings).items()}
    flat |= {f"federation.{n}": str(v) for n, v in (spec.get("federation") or {}).items()}
    flat |= {f"own.{n}": str(v) for n, v in (spec.get("own") or {}).items()}
    flat |= {f"guarantee.{n}": str(v) for n, v in result.guarantee.as_dict().items()}
    flat |= marks(result.spec)
    return flat | {f"protocol.{n}": str(v) for n, v in spec["protocol"].items()}


def metrics(result: Result) -> dict[str, float]:
    """Return the final scores and the privacy spent.

    Only finite numbers are included, as MLflow keeps no infinity.

    Args:
        result: A result without what may not leave; see ``without_patients``.
    """
    guarantee, fid = result.guarantee, result.fid
    # MLflow's comparison starts with the first metric: Dice.
    found: dict[str, float | None] = {f"dice_{t.name}": t.dice.mean for t in result.test_sets}
    found |= {"fid": fid.value, "kid": fid.kid} if fid else {}
    found |= {
        "offline_distance": result.offline_distance,
        "mask_distance": result.mask_distance,
    }
    for test in result.test_sets:
        found[f"fraction_of_real_{test.name}"] = (result.fraction_of_real or {}).get(test.name)
        means = {score: test.mean(score) for score in NAMES}
        found |= {f"{score}_{test.name}": mean.mean for score, mean in means.items() if mean}
    found |= {
        "epsilon_patch": guarantee.epsilon_patch,
        "epsilon_patient": guarantee.epsilon_patient,
        "noise_multiplier": guarantee.noise_multiplier,
    }
    found |= {f"site_epsilon.{site}": one.epsilon for site, one in result.guarantees.items()}
    found["seconds"] = result.seconds["total"]
    return {n: v for n, v in found.items() if v is not None and math.isfinite(v)}


AT_THE_END = (
    *("over_free", "gain", "dice_mean", "dice_mean_low", "dice_mean_high"),
    *("seed_sd", "patient_sd"),
)


def comparisons(row: SummaryRow) -> dict[str, float]:
    """Return the metrics of a cell on a test set that are known only at the end of a sweep.

    These are its difference to the best free row, and the mean over all seeds of its row.
    """
    found = {name: getattr(row, name) for name in AT_THE_END}
    return {f"{name}_{row.test_set}": v for name, v in found.items() if v is not None}


def marks(spec: RunSpec) -> dict[str, str]:
    """Return what tuned settings were chosen on, whether that is accounted, and secure sums.

    Returns:
        Tags by name; empty without tuned settings and secure sums.
    """
    how, curious = spec.tuned, spec.curious
    tags: dict[str, str] = {} if how is None else {"selection": how.selection, "tuned_on": how.on}
    if curious is not None:
        tags |= {"secure_sum": f"t={curious}", "epsilon_holds_against": adversary(curious)}
    return tags
