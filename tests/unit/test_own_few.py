"""Synthetic patches and a hospital's own few: who is withheld, and what is told of them."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cells import SPEC
from click import Context
from scored import result_of, scored_set

from benchmark.cli.run import run, sweep_of
from benchmark.core.errors import NotLearntError, UsageError
from benchmark.core.patches import Patches
from benchmark.data.cohort import Patient
from benchmark.results.disclosure import without_few, without_patients
from benchmark.results.explanation import NOT_PRIVATE
from benchmark.results.own_curve import ALONE, OwnPoint, judgements
from benchmark.results.result import OwnResult, Result
from benchmark.results.spec import spec_from
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.judging import own_patients
from benchmark.sweep.judging.own_patients import Judge, mixed, of_first, ordered, said_of, withheld
from benchmark.sweep.plan_cells import cells
from benchmark.sweep.remarks import of_the_table
from benchmark.sweep.request import Request
from benchmark.terminal.own_patients import draw_own, own_table

MANY = 16
NOWHERE = Path("nowhere")


def patients(first: int, number: int) -> tuple[Patient, ...]:
    return tuple(
        Patient(id=f"sub-{first + k:02d}", image=NOWHERE, vessels=NOWHERE) for k in range(number)
    )


INPUTS = Inputs(
    train=patients(1, MANY),
    tests={"test": patients(17, 6)},
    data="0123456789abcdef",
    test_data={"test": "t"},
    private=False,
    patients=tuple(f"voxels of sub-{k:02d}" for k in range(1, MANY + 1)),
)


def ids(found: tuple[Patient, ...] | list[Patient]) -> list[str]:
    return [patient.id for patient in found]


def request(own: tuple[int, ...] = (), **more) -> Request:
    return Request(generators=("dp-wgan",), epsilons=(5.0,), own_patients=own, **more)


def asked(text: str) -> tuple[int, ...]:
    parsed: Context = run.make_context("run", ["--generator", "wgan", "--own-patients", text])
    return tuple(sweep_of(parsed.params).request().own_patients)


def test_no_key_changes_where_no_own_patients_are_asked_for() -> None:
    assert SPEC.key == "51591bdd3a3d", "what it was before there was the option"
    assert "own" not in SPEC.as_dict()
    assert withheld(INPUTS, ()) is INPUTS
    assert {spec.own for spec in cells(request(), INPUTS, "")} == {None}


def test_own_patients_are_part_of_the_key_and_come_back_from_a_file() -> None:
    one, other = replace(SPEC, own=said_of([1, 2])), replace(SPEC, own=said_of([1, 3]))
    assert len({SPEC.key, one.key, other.key}) == 3
    assert spec_from(one.as_dict()) == one


@pytest.mark.parametrize("most", [1, 5, 15])
def test_own_patients_are_never_among_the_fitted_or_tested(most: int) -> None:
    found = withheld(INPUTS, (1, most))
    own, fitted = {*ids(found.own)}, {*ids(found.train)}
    assert (len(own), len(fitted)) == (most, MANY - most)
    assert own | fitted == {*ids(INPUTS.train)}
    assert not own & {patient.id for group in found.tests.values() for patient in group}


def test_the_ledger_and_the_plan_know_the_remaining_patients_alone() -> None:
    found = withheld(INPUTS, (1, 5))
    assert list(found.patients) == [f"voxels of {patient.id}" for patient in found.train]
    assert len({INPUTS.data, found.data, found.own_data, withheld(INPUTS, (4,)).data}) == 4
    fits = cells(request((1, 5), unit="patient"), found, "")
    assert {spec.data for spec in fits} == {found.data}
    assert {spec.own.patients[-1] for spec in fits if spec.own} == {5}


def test_fewer_own_patients_are_always_among_more() -> None:
    few, more = withheld(INPUTS, (2,)), withheld(INPUTS, (7,))
    assert {*ids(few.own)} < {*ids(more.own)}
    orders = {tuple(ids(ordered(more, seed))) for seed in range(5)}
    assert len(orders) > 1, "another seed begins with another of them"
    assert {frozenset(order) for order in orders} == {frozenset(ids(more.own))}


def test_the_first_m_bring_all_their_patches_and_no_others() -> None:
    owner = np.array([0, 0, 1, 2, 2, 2])
    images = np.linspace(-1, 1, 6, dtype=np.float32).reshape(6, 1, 1, 1) * np.ones(
        (1, 1, 4, 4), np.float32
    )
    own = Patches(
        images=images,
        masks=np.zeros_like(images, np.uint8),
        patient=owner,
        patients=3,
        patches_per_patient=3,
    )
    two = of_first(own, 2)
    assert np.array_equal(two.images, images[:3])
    with pytest.raises(ValueError, match="got synthetic ones"):
        of_first(two, 1)


def flat(*values: float) -> Patches:
    images = np.ones((len(values), 1, 4, 4), np.float32)
    images *= np.array(values, np.float32).reshape(-1, 1, 1, 1)
    return Patches(images=images, masks=(images > 0).astype(np.uint8))


@pytest.mark.parametrize(
    ("own", "seen"), [((0.5, -0.5), (0.5, -0.5, 0.5)), ((0.5,) * 4, (0.5,) * 4)]
)
def test_own_patches_are_at_least_half_of_what_a_segmenter_sees(
    own: tuple[float, ...], seen: tuple[float, ...]
) -> None:
    synthetic = (-0.1, -0.2, -0.3)
    both = mixed(flat(*synthetic), flat(*own))
    due = flat(*synthetic, *seen)
    assert np.array_equal(both.images, due.images), "and every synthetic patch is there once"
    assert np.array_equal(both.masks, due.masks)


def test_every_cell_says_who_was_withheld_a_private_segmenters_too() -> None:
    asked = Request(generators=("dp-segmenter",), epsilons=(5.0,), own_patients=(2,))
    found = cells(asked, withheld(INPUTS, (2,)), "")
    assert "dp-segmenter" in {spec.generator.name for spec in found}
    assert all(spec.own == said_of((2,)) for spec in found)


@pytest.mark.parametrize(("text", "counts"), [("0,1,2,5", (1, 2, 5)), ("5, 2", (2, 5))])
def test_numbers_are_read_in_any_order_and_0_is_what_every_cell_has(
    text: str, counts: tuple[int, ...]
) -> None:
    assert asked(text) == counts


@pytest.mark.parametrize("text", ["-1,2", "1,1", "1.5", "", "one", "1,,2", "²"])
def test_numbers_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="to be whole numbers from 0 up, each once"):
        asked(text)


def test_0_alone_is_refused_as_it_asks_for_nothing() -> None:
    with pytest.raises(UsageError, match="above 0, got '0'; without own patients, leave"):
        asked("0")


@pytest.mark.parametrize("most", [16, 40])
def test_somebody_must_remain_to_be_fitted_on(most: int) -> None:
    law = f"at least one of the 16 training patients to fit generators on, got {most}; ask for at"
    with pytest.raises(UsageError, match=law):
        withheld(INPUTS, (1, most))


def test_own_patients_alone_are_computed_once_for_all_the_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings: list[int] = []

    def counted(*_: object) -> object:
        trainings.append(1)
        raise NotLearntError("nothing")

    monkeypatch.setattr(own_patients, "train_segmenter", counted)
    protocol = {"patch_size": 32, "patches_per_patient": 2}
    spec = replace(SPEC, own=said_of([1]), protocol=protocol)
    one = Patches(images=np.zeros((1, 1, 32, 32), np.float32), masks=np.zeros((1, 1, 32, 32), "u1"))

    def alone(epsilon: float, seed: int, many: int) -> list:
        cell = replace(spec, epsilon=epsilon, seed=seed)
        judge = Judge(cell, withheld(INPUTS, (2,)), tmp_path, "cpu", lambda *_: None)
        return judge._alone(one, many)

    assert alone(2.0, 0, 1) == alone(5.0, 0, 1) == (), "a segmenter that learnt nothing has none"
    assert len(trainings) == 1
    alone(2.0, 1, 1), alone(2.0, 0, 2)
    assert len(trainings) == 3


def result(*, private: bool, rows: int = 6) -> Result:
    with_one, alone = scored_set(dice=0.7, rows=rows), scored_set(dice=0.6, rows=rows)
    one = OwnResult(patients=1, test_sets=(with_one,), alone=(alone,))
    return result_of(SPEC, scored_set(dice=0.5, rows=rows), private=private, own=(one,))


def test_of_patients_no_scores_leave_beside_own_ones_either() -> None:
    assert "sub-17" in str(without_patients(result(private=False)))
    told = without_patients(result(private=True))
    assert "sub-17" not in str(told)
    assert told.own[0].alone[0].dice.mean == 0.6
    few = without_few(result(private=True, rows=4))
    assert few.own == (OwnResult(patients=1, test_sets=(), alone=()),)


def test_the_curve_begins_without_own_patients_and_has_a_line_without_synthetic_ones() -> None:
    said = [(many, alone, tests[0].dice.mean) for many, alone, tests in _judged()]
    assert said == [(0, False, 0.5), (1, False, 0.7), (1, True, 0.6)]
    assert not [*judgements(result_of())]


def _judged() -> list:
    return [*judgements(result(private=False))]


def point(generator: str, own: int, dice: float, seed: int = 0) -> OwnPoint:
    return OwnPoint(
        generator=generator,
        segmenter="unet",
        epsilon=None if generator == ALONE else 5.0,
        seed=seed,
        own_patients=own,
        test_set="test",
        dice=dice,
        dice_low=dice - 0.1,
        dice_high=dice + 0.1,
        patients=6,
    )


POINTS = [point("dp-wgan", 0, 0.5), point("dp-wgan", 2, 0.7), point(ALONE, 2, 0.6)]


def test_the_table_shows_the_curve_beside_training_on_own_patients_alone() -> None:
    table = own_table(POINTS)
    columns = {str(column.header): [*column.cells] for column in table.columns}
    assert columns["learnt from"] == ["dp-wgan", ALONE]
    assert columns["ε asked"] == ["5", "–"]
    assert columns["0 own"] == ["0.500", "–"]
    assert columns["2 own"] == ["0.700", "0.600"]
    assert "one draw, which has no interval" in str(table.caption)
    several = [*POINTS, point("dp-wgan", 2, 0.8, seed=1), point("dp-wgan", 2, 0.75, seed=2)]
    seeds = own_table(several)
    shown = next(iter(seeds.columns[-1].cells))
    found = re.fullmatch(r"0\.750 \[(0\.\d{3})–(0\.\d{3})\]", str(shown))
    assert found
    assert float(found[1]) < 0.65 < 0.85 < float(found[2])


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    draw_own([*POINTS, point("dp-wgan", 2, 0.8, seed=1)], tmp_path / "own.png")
    assert (tmp_path / "own.png").read_bytes().startswith(b"\x89PNG")


def test_the_tables_foot_says_who_was_withheld_and_that_no_epsilon_is_claimed_for_them() -> None:
    (said,) = of_the_table(request((5,)), withheld(INPUTS, (5,)))
    assert "5 of the 16 training patients were withheld from every fit" in said
    assert "N = 11" in said
    assert NOT_PRIVATE.format(5) in said
    assert of_the_table(request(), INPUTS) == []
