"""What MLflow is told of a cell: its name, what decided it, and its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from benchmark.metrics.scores import Scores
from benchmark.sweep.result_form import fid_in, mask_distance_in, offline_distance_in
from benchmark.sweep.spec import spec_from
from benchmark.sweep.summary import Row, called

FID = {"fid": "value", "kid": "kid"}


def run_name(result: Mapping[str, Any]) -> str:
    """A cell's name in MLflow's lists."""
    spec = result["spec"]
    epsilon = "∞" if spec["epsilon"] == "inf" else f"{spec['epsilon']:g}"
    name = called(spec_from(spec))
    return f"{name} ε={epsilon} {spec['unit']} seed {spec['seed']}"


def parameters(result: Mapping[str, Any]) -> dict[str, str]:
    """What decided the cell, flat."""
    spec = result["spec"]
    flat = {n: str(spec[n]) for n in ("epsilon", "delta", "unit", "seed", "noise", "sites", "data")}
    for kind in ("generator", "segmenter"):
        flat[kind], flat[f"{kind}.version"] = spec[kind]["name"], str(spec[kind]["version"])
        flat |= {f"{kind}.{n}": str(v) for n, v in spec[kind]["settings"].items()}
    flat |= {f"federation.{n}": str(v) for n, v in (spec.get("federation") or {}).items()}
    flat |= {f"own.{n}": str(v) for n, v in (spec.get("own") or {}).items()}
    flat |= {f"guarantee.{n}": str(v) for n, v in result["guarantee"].items()}
    flat |= marks(spec)
    return flat | {f"protocol.{n}": str(v) for n, v in spec["protocol"].items()}


def metrics(result: Mapping[str, Any]) -> dict[str, float]:
    """The final scores and the privacy spent; finite numbers only, as MLflow keeps no infinity.

    Of what may leave alone: a result comes from ``without_patients``.
    """
    guarantee, tests = result["guarantee"], result["test_sets"]
    # MLflow's comparison starts with the first metric: Dice.
    found: dict[str, Any] = {f"dice_{t['name']}": t["dice"]["mean"] for t in tests}
    found |= {name: fid_in(result).get(said) for name, said in FID.items()}
    found |= {
        "offline_distance": offline_distance_in(result),
        "mask_distance": mask_distance_in(result),
    }
    for test in tests:
        name = test["name"]
        found[f"fraction_of_real_{name}"] = (result["fraction_of_real"] or {}).get(name)
        found |= {f"{s}_{name}": (test.get(s) or {}).get("mean") for s in Scores._fields}
    found |= {n: guarantee[n] for n in ("epsilon_patch", "epsilon_patient", "noise_multiplier")}
    found |= {
        f"site_epsilon.{s['site']}": s["guarantee"]["epsilon"] for s in result.get("sites", ())
    }
    found["seconds"] = result["seconds"]["total"]
    return {n: float(v) for n, v in found.items() if v is not None and math.isfinite(float(v))}


AT_THE_END = (
    *("over_free", "gain", "dice_mean", "dice_mean_low", "dice_mean_high"),
    *("seed_sd", "patient_sd"),
)


def comparisons(row: Row) -> dict[str, float]:
    """What a sweep's end tells of a cell on a test set, as MLflow's metrics.

    What it has above the best free row, and what the seeds of its row say together.
    """
    found = {name: getattr(row, name) for name in AT_THE_END}
    return {f"{name}_{row.test_set}": v for name, v in found.items() if v is not None}


def marks(spec: Mapping[str, Any]) -> dict[str, str]:
    """On what tuned settings were chosen, and whether that is accounted."""
    how = spec.get("tuned")
    return {} if how is None else {"selection": how["selection"], "tuned_on": how["on"]}
