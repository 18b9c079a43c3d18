"""Results and test sets, for whatever is asked of one: every score is the same."""

from typing import Any

from cells import SPEC

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.metrics.scores import NAMES
from benchmark.results.result import Result
from benchmark.results.scored import Fid, Mean, Packed, PatientScores, TestSet
from benchmark.results.spec import RunSpec

PUBLIC = PublicNumbers(patients=16, patches_per_patient=400, patch_size=32)
NO_FID = Fid(value=None)


def mean(value: float) -> Mean:
    return Mean(mean=value, low=max(0, value - 0.1), high=min(1, value + 0.1))


def scored_set(name: str = "test", dice: float = 0.8, *, rows: int = 0, **said: Any) -> TestSet:
    """A test set; of as many patients as there are ``rows``, each told of."""
    scores = dict.fromkeys(NAMES, dice)
    one = PatientScores(patient="sub-17", site="", empty=False, **scores)
    told = {"n": rows, "patients": Packed((one,) * rows)} if rows else {}
    means = {score: mean(value).as_dict() for score, value in scores.items()}
    return TestSet.model_validate({"name": name, **means}).but(**told, **said)


def result_of(spec: RunSpec = SPEC, *tests: TestSet, private: bool = False, **said: Any) -> Result:
    """A cell's result, with ``said`` in it; of one test set unless there are others."""
    none = Guarantee.of(PUBLIC, Budget(epsilon=0.0, delta=1e-5, unit="patch"), epsilon=0.0)
    usual = Result(
        run_key=spec.key,
        status="done",
        spec=spec,
        guarantee=none,
        test_sets=tests or (scored_set(offline_distance=1.5, fid=NO_FID),),
        private_data=private,
        seconds={"total": 3.0},
        fraction_of_real=None,
    )
    return usual.but(**said)
