"""Results as the suite writes them, without computing any: plans are real, scores are made up."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core.federation import worst
from benchmark.core.files import plain
from benchmark.data.cohort import Patient
from benchmark.metrics.bootstrap import interval
from benchmark.metrics.scores import NAMES
from benchmark.metrics.weights import missing_reason
from benchmark.results.result import Result
from benchmark.results.scored import NOTHING_SYNTHETIC, TestSet
from benchmark.results.spec import RunSpec
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.plan_cells import cells, guarantee_of
from benchmark.sweep.request import Request
from benchmark.sweep.site_plans import site_plans
from leaderboard.entries import Entry, Status

NOWHERE = Path("nowhere")
FAR = {"offline_distance": 0.05, "fid": {"value": None, "reason": missing_reason()}}
NOT_FAR = {
    "offline_distance": None,
    "mask_distance": None,
    "fid": {"value": None, "reason": NOTHING_SYNTHETIC},
}
SITES = ("harbour", "hill", "north")


def patients(number: int, first: int = 1) -> tuple[Patient, ...]:
    return tuple(
        Patient(
            id=f"sub-{first + k:02d}", image=NOWHERE, vessels=NOWHERE, site=SITES[k % len(SITES)]
        )
        for k in range(number)
    )


PRIVATE = "f" * 16
"""The digest of a hospital's cohort."""

INPUTS = Inputs(
    train=patients(16),
    tests={"test": patients(6, 17), "shifted": patients(6, 23)},
    data="0123456789abcdef",
    test_data={"test": "00000000000000aa", "shifted": "00000000000000bb"},
    private=False,
    patients=tuple(f"{k:016x}" for k in range(16)),
)

VALIDATED = replace(INPUTS, validation=INPUTS.tests["test"], validation_data="00000000000000cc")
"""The same with validation patients."""


def specs(**asked: Any) -> list[RunSpec]:
    """The cells of a sweep of ``dp-wgan`` at ε = 5, or of what is asked."""
    request = {"generators": ("dp-wgan",), "epsilons": (5.0,), "bookends": False, **asked}
    return cells(Request(**request), INPUTS, "")


def spec(**asked: Any) -> RunSpec:
    (only,) = specs(**asked)
    return only


def entry(
    made: RunSpec,
    cache: Path,
    *,
    dice: float = 0.8,
    pictures: Mapping[str, bytes] = {},
) -> Entry:
    """A finished cell, whose patients' Dice lie around ``dice``."""
    guarantee, across = guarantee_of(made, INPUTS, cache), {}
    if made.is_federated:
        plans = site_plans(made, INPUTS, cache)
        guarantee = worst(list(plans.values()))
        across = {"sites": [{"site": n, "guarantee": plain(g.as_dict())} for n, g in plans.items()]}
    main, *others = (tested(name, dice, made.seed) for name in made.test_data)
    said = plain(guarantee.as_dict())
    said["seeded"] = made.noise == "seeded" and 0 < guarantee.epsilon < math.inf
    for site in across.get("sites", ()):
        site["guarantee"]["seeded"] = said["seeded"]
    result = {
        "run_key": made.key,
        "status": "done",
        "spec": plain(made.as_dict()),
        "guarantee": said,
        "test_sets": [{**main, **(FAR if not made.is_direct else NOT_FAR)}, *others],
        **across,
        "private_data": False,
        "skipped": [],
        "suite": {"version": "0.1.0", "commit": "unknown"},
        "peak_mib": 900.0,
        "seconds": {"fit": 30.0, "total": 50.0},
        "fraction_of_real": None,
    }
    curves = {"critic": [(step, step / 7) for step in range(20)]}
    return Entry(
        spec=made, status="done", result=Result.read(result), curves=curves, pictures=pictures
    )


def of(made: RunSpec, one: Entry, **said: Any) -> Entry:
    """The cell with another spec, and other things in its result."""
    return replace(one, spec=made, result=one.told.but(spec=made, run_key=made.key, **said))


def saying(one: Entry, **said: Any) -> Entry:
    """The cell with other things in its result, as they stand in its file."""
    return replace(one, result=Result.read({**one.told.as_dict(), **said}))


def of_patients(one: Entry) -> Entry:
    """The same cell on a hospital's data, as the suite would have left it."""
    digests = {name: f"{number:016x}" for number, name in enumerate(one.spec.test_data, 900)}
    made = replace(one.spec, data=PRIVATE, test_data=digests)
    if one.status != "done":
        return replace(one, spec=made)
    return of(made, one, private_data=True, skipped=("sub-99: /secret/place has no vessels",))


def unfinished(made: RunSpec, status: Status, reason: str = "") -> Entry:
    return Entry(spec=made, status=status, reason=reason)


def tested(name: str, dice: float, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "patient": patient.id,
            "site": patient.site,
            "dice": min(1.0, dice + 0.02 * k + 0.01 * float(rng.uniform())),
            "hd95_mm": 4.0 + k,
            "bavd_mm": 0.5,
            "cldice": 0.7,
            "precision": 0.8,
            "recall": 0.8,
            "dice_thin": 0.6,
            "dice_medium": 0.9,
            "dice_thick": None,
            "empty": False,
        }
        for k, patient in enumerate(INPUTS.tests[name], -3)
    ]
    means = {
        score: interval([row[score] for row in rows])._asdict()
        if rows[0][score] is not None
        else None
        for score in NAMES
        if score in rows[0]
    }
    return {"name": name, "n": len(rows), **means, "patients": rows}


def scored_on_validation(one: Entry, dice: float) -> Entry:
    """The same cell of a free row with a score on validation patients."""
    made = replace(one.spec, validation=VALIDATED.validation_data)
    validation = TestSet.model_validate({**tested("test", dice, 0), "name": "val"})
    return of(made, one, validation=validation)
