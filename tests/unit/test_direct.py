"""A private segmenter in a sweep: a cell for every ε, compared with all, and called what it is."""

from dataclasses import replace
from pathlib import Path

import pytest
from scored import result_of, scored_set

from benchmark.core.errors import UsageError
from benchmark.core.files import plain
from benchmark.core.registry import generators, segmenters
from benchmark.data.cohort import Patient
from benchmark.results.bookends import reference_of
from benchmark.results.disclosure import SCORES_RULE
from benchmark.results.explanation import explain
from benchmark.results.result import Result
from benchmark.results.spec import spec_from
from benchmark.results.store import Store
from benchmark.results.summary import SummaryRow
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.judging.distances import no_distances
from benchmark.sweep.plan_cells import cells, guarantee_of
from benchmark.sweep.remarks import of_sites
from benchmark.sweep.request import Request, check, is_bookend
from benchmark.sweep.sites import Federation
from benchmark.sweep.tracking.logged import metrics, parameters, run_name

NAME, INF = "dp-segmenter", float("inf")
NOBODY = Patient(id="sub-01", image=Path("nowhere"), vessels=Path("nowhere"), site="hill")
INPUTS = Inputs(
    train=(NOBODY,) * 16,
    tests={"test": (NOBODY,)},
    data="0123456789abcdef",
    test_data={"test": "00000000000000aa"},
    private=False,
)


def request(**asked) -> Request:
    usual = {"generators": ("dp-wgan", NAME), "epsilons": (2.0, INF)}
    return Request(**{**usual, **asked})


def test_it_has_a_cell_for_every_epsilon_and_one_whatever_the_segmenters() -> None:
    made = cells(request(segmenters=("unet", "frangi")), INPUTS, "")
    mine = [spec for spec in made if spec.generator.name == NAME]
    assert [(spec.generator.name, spec.epsilon) for spec in mine] == [(NAME, 2.0), (NAME, INF)]
    assert all(spec.registry is segmenters for spec in mine)
    others = [spec for spec in made if not spec.is_direct]
    assert len(others) == 2 * 4
    assert all(spec.registry is generators for spec in others)
    assert len({spec.key for spec in made}) == len(made)


def test_no_sweep_has_it_unasked_and_no_other_cell_changes_by_it() -> None:
    without = cells(request(generators=("dp-wgan",)), INPUTS, "")
    with_it = cells(request(), INPUTS, "")
    assert NAME not in {spec.generator.name for spec in without}
    assert {spec.key for spec in without} < {spec.key for spec in with_it}


def test_its_fraction_is_of_the_real_patches_with_the_first_segmenter() -> None:
    made = cells(request(segmenters=("unet", "frangi")), INPUTS, "")
    mine = next(spec for spec in made if spec.generator.name == NAME)
    reference = reference_of(mine, made)
    assert reference is not None
    assert (reference.generator.name, reference.segmenter.name) == ("real", "unet")
    assert reference_of(reference, made) is None


def test_fids_weights_cost_no_second_fit() -> None:
    before, after = (
        {spec.key for spec in cells(request(), INPUTS, weights) if spec.generator.name == NAME}
        for weights in ("", "a" * 64)
    )
    assert before == after


def test_its_spec_survives_json_and_its_key_knows_its_settings() -> None:
    mine = next(spec for spec in cells(request(), INPUTS, "") if spec.generator.name == NAME)
    again = spec_from(plain(mine.as_dict()))
    assert again.is_direct
    assert again.key == mine.key
    other = request(settings={NAME: {"clip_norm": "0.5"}})
    changed = next(spec for spec in cells(other, INPUTS, "") if spec.generator.name == NAME)
    assert changed.key != mine.key


def test_a_segmenter_without_privacy_is_no_generator() -> None:
    with pytest.raises(UsageError, match="unet is a segmenter that learns from synthetic patches"):
        check(request(generators=("unet",)))
    with pytest.raises(UsageError, match="No generator is called 'dp-segmentor'"):
        check(request(generators=("dp-segmentor",)))
    check(request(generators=(NAME,), epsilons=(2.0,)))


def test_across_sites_it_is_left_out_and_that_is_said() -> None:
    asked = request(federation=Federation(sites=3))
    check(asked)
    assert is_bookend(NAME)
    (sentence,) = of_sites(asked)
    assert sentence.startswith("dp-segmenter is left out: no federation trains a segmenter")
    alone = request(generators=(NAME,), bookends=False, federation=Federation(sites=3))
    assert cells(alone, INPUTS, "") == []


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    spec = next(spec for spec in cells(request(), INPUTS, "") if spec.generator.name == NAME)
    guarantee = guarantee_of(spec, INPUTS, tmp_path_factory.mktemp("plans"))
    far = no_distances()
    test = scored_set(dice=0.7, offline_distance=far.offline, mask_distance=far.mask, fid=far.fid)
    return result_of(spec, test, private=True, guarantee=guarantee)


def test_its_guarantee_covers_the_segmenter_and_its_result_is_said_to(result: Result) -> None:
    assert result.guarantee.covers == "fit of the segmenter"
    said = explain(result)
    assert "The segmenter dp-segmenter itself was fitted on 16 patients" in said
    assert "there are no synthetic patches" in said
    assert "whoever sees the segmenter and what it marks, and whatever is made" in said
    assert "generator dp-segmenter" not in said
    system = result.but(guarantee=replace(result.guarantee, seeded=False))
    assert f"What may leave is the segmenter. {SCORES_RULE}" in explain(system)


def test_mlflow_names_it_and_has_no_distance_of_it(result: Result) -> None:
    assert run_name(result.spec) == "dp-segmenter ε=2 patch seed 0"
    assert parameters(result)["segmenter"] == NAME
    assert parameters(result)["guarantee.covers"] == "fit of the segmenter"
    found = metrics(result)
    assert found["epsilon_patch"] <= 2
    assert not [name for name in found if "fid" in name or "distance" in name]


def test_a_row_of_it_says_that_it_is() -> None:
    fields = dict.fromkeys(SummaryRow.__dataclass_fields__)
    row = SummaryRow(
        **{**fields, "generator": NAME, "segmenter": NAME, "sites": 1, "trained_at": "all"}
    )
    assert row.is_direct
    assert row.who == NAME
    assert not replace(row, generator="dp-wgan").is_direct


def test_everything_of_a_direct_cell_is_below_its_own_name(tmp_path: Path) -> None:
    mine = next(spec for spec in cells(request(), INPUTS, "") if spec.generator.name == NAME)
    assert Store(tmp_path).folder(mine) == tmp_path / NAME / mine.key
