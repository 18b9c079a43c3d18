"""Free rows: the best is chosen on validation patients alone, and the others are set against it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cells import SPEC
from scored import result_of, scored_set

from benchmark.core.editions import FIRST
from benchmark.core.errors import UsageError
from benchmark.core.identity import Identity
from benchmark.core.registry import segmenters
from benchmark.core.segmenter import FreeSegmenter
from benchmark.data.cohort import Patient
from benchmark.results.bookends import FREE, METHODS, UPPER, best_free, gain, reference_of
from benchmark.results.explanation import explain
from benchmark.results.outcome import Outcome
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec
from benchmark.results.store import Store
from benchmark.results.summary import choices, rows
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.plan_cells import cells, guarantee_of
from benchmark.sweep.request import Request, check
from benchmark.sweep.sites import Federation
from benchmark.sweep.tracking.logged import comparisons
from segmenters.frangi import Frangi, FrangiParams
from segmenters.nets.vesselness import tubes

NOBODY = Patient(id="sub-01", image=Path("nowhere"), vessels=Path("nowhere"), site="hill")
INPUTS = Inputs(
    train=tuple(
        replace(NOBODY, id=f"sub-{k:02d}", site=("harbour", "hill", "north")[k % 3])
        for k in range(16)
    ),
    patients=tuple(Identity(f"{k:016x}") for k in range(16)),
    tests={"test": (NOBODY,), "shifted": (NOBODY,)},
    data="0123456789abcdef",
    test_data={"test": "00000000000000aa", "shifted": "00000000000000bb"},
    private=False,
    validation=(NOBODY,) * 4,
    validation_data="00000000000000cc",
)
WITHOUT = replace(INPUTS, validation=(), validation_data="")
SPACING = (0.5, 0.5, 0.8)


def sweep(inputs: Inputs = INPUTS, **asked: object) -> list[RunSpec]:
    usual = {"generators": ("dp-wgan",), "epsilons": (2.0,)}
    return cells(Request(**{**usual, **asked}), inputs, "")


def said(dice: float | None, digest: str = "00000000000000cc") -> Result:
    """The result of a free row with that validation Dice."""
    if dice is None:
        return result_of()
    return result_of(replace(SPEC, validation=digest), validation=scored_set("val", dice, n=4))


# Which cells there are.


def test_the_free_rows_run_beside_every_sweep_and_no_bookends_switches_all_off() -> None:
    assert [spec.generator.name for spec in sweep()] == [UPPER, *FREE, "dp-wgan"]
    assert [spec.generator.name for spec in sweep(bookends=False)] == ["dp-wgan"]
    assert [s.generator.name for s in sweep(private=True)] == [*FREE, "dp-wgan"]


def test_a_method_is_one_cell_whatever_the_segmenters_levels_seeds_and_sites() -> None:
    many = sweep(segmenters=("unet", "frangi"), epsilons=(2.0, 5.0))
    seeds = sweep(seeds=3, first_seed=4)
    across = sweep(federation=Federation(sites=3))
    for made in (many, seeds, across):
        free = [spec for spec in made if spec.generator.name in METHODS]
        assert [(spec.generator.name, spec.epsilon) for spec in free] == [
            (name, 0.0) for name in METHODS
        ]
        assert all(spec.is_direct and spec.federation is None for spec in free)
        for spec in free:
            reference = reference_of(spec, made)
            assert reference is not None
            assert reference.generator.name == UPPER


def test_a_method_rests_on_its_constants_and_nothing_sets_them() -> None:
    for preset in ("quick", "paper"):
        for spec in (s for s in sweep(preset=preset) if s.generator.name in METHODS):
            kind = segmenters.get(spec.generator.name)
            assert issubclass(kind, FreeSegmenter)
            assert dict(spec.generator.settings) == kind.constants.as_dict()
    usual = {"generators": ("dp-wgan",), "epsilons": (2.0,)}
    with pytest.raises(UsageError, match="No plug-in of this sweep is called 'frangi'"):
        check(Request(**usual, settings={"frangi": {"share": "0.02"}}))
    check(Request(**usual, segmenters=("frangi",), settings={"frangi": {"smallest": "1"}}))


def test_only_free_rows_are_scored_on_validation_patients_and_their_keys_alone_say_so() -> None:
    with_them, without = sweep(), sweep(WITHOUT)
    for one, other in zip(with_them, without, strict=True):
        free = one.generator.name in FREE
        assert bool(one.validation) is free
        assert not other.validation
        assert (one.key == other.key) is not free
        assert ("validation" in one.as_dict()) is free


def test_keys_of_cells_that_were_there_before_are_unchanged() -> None:
    made = {
        spec.generator.name: spec.key
        for spec in sweep(WITHOUT, generators=("dp-segmenter",), protocol=FIRST)
    }
    assert made["real"] == "f95910f09564"
    assert made["dp-segmenter"] == "9f5df9728490"


def test_a_method_spends_nothing_and_its_result_says_so(tmp_path: Path) -> None:
    spec = next(spec for spec in sweep() if spec.generator.name == "frangi")
    guarantee = guarantee_of(spec, INPUTS, tmp_path)
    assert guarantee.epsilon == guarantee.epsilon_patient == 0
    words = explain(
        result_of(spec, private=True, guarantee=guarantee, validation=scored_set("val"))
    )
    assert "The segmenter frangi rested on published constants alone." in words
    assert "the segmenter looked at no patient" in words
    assert "validation patients, who were never fitted on, and have no guarantee" in words


# The choice.


def test_the_best_free_row_is_the_best_on_validation_patients() -> None:
    choice = best_free({"simulator": [said(0.5), said(0.7)], "frangi": [said(0.61)]})
    assert choice is not None
    assert choice.name == "frangi"
    assert (
        "frangi, the best by Dice on 4 validation patients (simulator 0.600, frangi 0.610)"
        in choice.words
    )


def test_without_a_validation_score_of_each_the_simulator_stands_for_them_unchosen() -> None:
    for rest in ({"frangi": [said(0.9)]}, {"frangi": [said(None)]}):
        choice = best_free({"simulator": [said(None)], **rest})
        assert choice is not None
        assert (choice.name, choice.patients) == ("simulator", None)
        assert "not chosen" in choice.words
    other = best_free({"simulator": [said(0.5)], "frangi": [said(0.9, "f" * 16)]})
    assert other is not None
    assert (other.name, other.patients) == ("simulator", None), "other validation patients"
    assert best_free({"threshold": [said(None)], "frangi": [said(0.9)]}) is None
    assert best_free({}) is None


@pytest.mark.parametrize(
    ("dice", "free", "real", "found"),
    [
        (0.75, 0.5, 1.0, 0.5),
        (0.5, 0.5, 1.0, 0.0),
        (0.25, 0.5, 1.0, -0.5),
        (1.0, 0.5, 1.0, 1.0),
        (0.75, 0.5, 0.5, None),
        (0.75, 0.5, 0.53, None),
        (0.75, 0.5, 0.4, None),
        (0.75, None, 1.0, None),
        (0.75, 0.5, None, None),
        (None, 0.5, 1.0, None),
    ],
)
def test_gain_is_the_share_of_what_real_has_above_free_and_else_empty(
    dice: float | None, free: float | None, real: float | None, found: float | None
) -> None:
    assert gain(dice, free, real) == found


class Kept(Store):
    """A store whose results are made up: Dice by generator and test set, and on validation."""

    def result(self, spec: RunSpec) -> Result:
        name = spec.generator.name
        dice = {UPPER: 0.9, "simulator": 0.6, "threshold": 0.8, "frangi": 0.7, "dp-wgan": 0.75}
        validation = {"simulator": 0.5, "threshold": 0.6, "frangi": 0.65}
        tests = scored_set("test", dice[name]), scored_set("shifted", dice[name] / 2)
        scored = {"validation": scored_set("val", validation.get(name, 0), n=4)}
        return result_of(spec, *tests, **(scored if spec.validation else {}))


def test_nothing_is_chosen_on_test_patients_and_one_choice_serves_every_test_set(
    tmp_path: Path,
) -> None:
    """On test patients `threshold` is the best free row, on validation patients `frangi` is."""
    specs = sweep()
    real = specs[0]
    outcomes = [Outcome(spec, "done") for spec in specs]
    references = {spec.key: None if spec is real else real for spec in specs}
    table = rows(outcomes, references, Kept(tmp_path))
    assert {row.free for row in table} == {"frangi"}
    assert [row.generator for row in table if row.is_best_free] == ["frangi", "frangi"]
    mine = {row.test_set: row for row in table if row.generator == "dp-wgan"}
    assert mine["test"].over_free == pytest.approx(0.75 - 0.7)
    assert mine["test"].gain == pytest.approx((0.75 - 0.7) / (0.9 - 0.7))
    assert mine["shifted"].over_free == pytest.approx((0.75 - 0.7) / 2)
    ends = {row.generator: row.gain for row in table if row.test_set == "test"}
    assert ends[UPPER] == pytest.approx(1)
    assert ends["frangi"] == 0
    (choice,) = choices(outcomes, Kept(tmp_path))
    assert choice.name == "frangi"


def test_the_seeds_of_a_row_have_a_mean_with_an_interval_and_its_parts(tmp_path: Path) -> None:
    outcomes = [Outcome(one, "done") for one in sweep(bookends=False, seeds=3)]
    made = [row for row in rows(outcomes, {}, Kept(tmp_path)) if row.test_set == "test"]
    assert {row.seeds for row in made} == {3}
    assert [row.dice_mean for row in made] == pytest.approx([0.75] * 3)
    one = made[0]
    assert one.dice_mean_low is not None
    assert one.dice_mean_high is not None
    assert one.dice_mean_low < 0.75 < one.dice_mean_high
    assert one.seed_sd == pytest.approx(0)
    told = comparisons(one)
    assert told["dice_mean_test"] == pytest.approx(0.75)
    assert {"dice_mean_low_test", "dice_mean_high_test", "seed_sd_test"} <= told.keys()
    (alone, _) = rows(outcomes[:1], {}, Kept(tmp_path))
    assert (alone.seeds, alone.dice_mean_low, alone.seed_sd) == (1, None, None)


def test_without_free_rows_there_is_nothing_above_them(tmp_path: Path) -> None:
    specs = sweep(bookends=False)
    (row, _) = rows([Outcome(specs[0], "done")], {}, Kept(tmp_path))
    assert (row.free, row.over_free, row.gain) == (None, None, None)


# Frangi's filter.


def test_a_bright_tube_answers_and_a_dark_one_a_plate_and_a_blob_less() -> None:
    sides = (np.arange(number) * side for number, side in zip((40, 40, 30), SPACING, strict=True))
    x, y, z = np.meshgrid(*sides, indexing="ij")
    from_axis = np.hypot(x - 10, y - 10)
    shapes = {
        "tube": np.exp(-(from_axis**2) / 2),
        "dark": -np.exp(-(from_axis**2) / 2),
        "plate": np.exp(-((x - 10) ** 2) / 2),
        "blob": np.exp(-(from_axis**2 + (z - 12) ** 2) / 2),
    }
    brain = np.ones(x.shape, np.bool_)
    found = {
        name: tubes(volume.astype(np.float32), brain, SPACING, [1.0])[20, 20, 15]
        for name, volume in shapes.items()
    }
    largest = (1 - np.exp(-1 / (2 * 0.5**2))) * (1 - np.exp(-1 / (2 * 0.5**2)))
    assert found["tube"] == pytest.approx(largest, rel=1e-3), "α = 0.5, and c is half of S"
    assert found["dark"] == 0
    assert max(found["plate"], found["blob"]) < found["tube"] / 2


def test_the_measure_is_scikit_images_where_voxels_are_cubes() -> None:
    from skimage.feature import hessian_matrix_eigvals

    from segmenters.nets.vesselness import _eigenvalues

    hessian = np.random.default_rng(0).normal(size=(6, 500)).astype(np.float32)
    theirs = hessian_matrix_eigvals(hessian.reshape(6, 5, 10, 10)).reshape(3, -1)
    theirs = np.take_along_axis(theirs, np.abs(theirs).argsort(axis=0), axis=0)
    assert np.allclose(np.stack(_eigenvalues(hessian)), theirs, atol=1e-4)


def test_scales_are_millimetres_whatever_the_voxels() -> None:
    """The same tube, sampled twice as finely along it, answers the same."""
    made = []
    for step in (0.8, 0.4):
        x, y, _ = np.meshgrid(
            np.arange(40) * 0.5, np.arange(40) * 0.5, np.arange(0, 16, step), indexing="ij"
        )
        volume = np.exp(-(np.hypot(x - 10, y - 10) ** 2) / 2).astype(np.float32)
        found = tubes(volume, np.ones(x.shape, np.bool_), (0.5, 0.5, step), [0.7, 1.0])
        made.append(found[:, :, found.shape[2] // 2])
    assert np.allclose(made[0], made[1], atol=0.02)


def test_the_bookend_marks_its_share_of_the_brain_without_a_patch_or_an_edge() -> None:
    rng = np.random.default_rng(0)
    volume = np.full((40, 40, 20), -1.0, np.float32)
    volume[6:34, 6:34, 3:17] = rng.uniform(-0.6, -0.4, (28, 28, 14))
    volume[20, 20, 3:17] = 0.5
    free = Frangi(Frangi.constants)
    free.rest_on_constants()
    found = free.predict(volume, SPACING)
    brain = volume > -1
    assert not (found & ~brain).any()
    assert found.sum() == pytest.approx(0.011 * brain.sum(), abs=2)
    assert found[20, 20, 5:15].all()


def test_what_frangi_meant_before_it_means_still() -> None:
    assert "share" not in FrangiParams().as_dict()
    assert Frangi.version == 1
