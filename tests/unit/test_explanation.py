"""A result in words: nothing promised that is not held, and nothing left out."""

import math
from dataclasses import replace

import pytest
from scored import result_of

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.results.explanation import explain
from benchmark.results.result import SiteResult

PUBLIC = PublicNumbers(patients=16, patches_per_patient=400, patch_size=32)
NONE = Guarantee.of(PUBLIC, Budget(epsilon=math.inf, delta=6.25e-6, unit="patch"), epsilon=math.inf)
BLIND = Guarantee.of(PUBLIC, Budget(epsilon=0.0, delta=6.25e-6, unit="patch"), epsilon=0.0)
PATCH = replace(
    NONE,
    target_epsilon=2.0,
    epsilon=1.999,
    epsilon_patch=1.999,
    epsilon_patient=9.1e4,
    noise_multiplier=1.25,
    sampling_rate=0.04,
    steps=1200,
    clip_norm=0.25,
    accountant="prv",
)
PATIENT = replace(PATCH, unit="patient", epsilon_patch=4.4, epsilon_patient=1.999)


def words(guarantee: Guarantee, *, private: bool = True, **more) -> str:
    return explain(result_of(private=private, guarantee=guarantee, **more))


def test_a_federated_result_speaks_of_every_site_and_of_all_patients() -> None:
    small = replace(PATCH, patients=4, epsilon=2.0, epsilon_patient=1.2e5)
    each = (("north", PATCH), ("hill", small))
    sites = tuple(SiteResult(site=name, guarantee=of) for name, of in each)
    said = words(small, sites=sites)
    assert "was fitted on 20 patients" in said
    assert "north, 16 patients, ε = 1.999 for a patch and 9.1e+04 for a patient" in said
    assert "hill, 4 patients, ε = 2 for a patch and 1.2e+05 for a patient" in said
    assert "against the server and the other sites" in said
    assert "And at each site?" not in words(PATCH)


def test_a_patch_level_promise_is_not_sold_as_a_patients() -> None:
    said = words(PATCH)
    assert "ε = 1.999 at δ = 6.25e-06 for one image patch with its vessel mask" in said
    assert "up to 400 patches, and for all of them together the bound is ε = 9.1e+04" in said
    assert "the promise does not protect a patient" in said
    assert "at most 88.1% sure" in said
    assert "e^ε = 7.39 times" in said
    assert "e^ε = 1,636 times" in words(replace(PATCH, epsilon=7.4))
    assert "e^ε = 10^435 times" in words(replace(PATCH, epsilon=1000.0))


def test_the_mechanisms_numbers_are_there_to_be_recomputed() -> None:
    said = words(PATIENT)
    for number in ("1200 steps", "0.04", "0.25", "1.25 times", "prv accountant", "zero-out"):
        assert number in said
    assert "The promise is for a patient as a whole" in said


@pytest.mark.parametrize(
    ("guarantee", "sentence"),
    [
        (NONE, "No: without a finite ε nothing may leave"),
        (BLIND, "Nothing of any patient is in it."),
        (replace(PATCH, seeded=True), "No: the noise and the draws came from a seed"),
        (PATCH, "It could be: noise and draws came from the operating system's"),
    ],
)
def test_what_may_leave_is_said(guarantee: Guarantee, sentence: str) -> None:
    assert sentence in words(guarantee)


def test_without_privacy_nothing_is_promised_and_without_data_everything() -> None:
    assert "Nothing. There is no bound" in words(NONE)
    assert "the generator looked at no patient" in words(BLIND)
    assert "ε = 0" not in words(NONE)


def test_an_interrupted_fit_is_said_to_be_another_draw() -> None:
    said = words(replace(PATCH, interruptions=2, lost_steps=120))
    assert "interrupted 2 times and went on as another draw" in said
    assert "up to 120 of the steps were lost" in said
    assert "interrupted" not in words(PATCH)


def test_phantoms_are_called_so_and_what_is_not_covered_is_always_said() -> None:
    assert "phantoms (simulated patients)" in words(PATCH, private=False)
    for guarantee in (PATCH, PATIENT, NONE, BLIND):
        assert "held-out patients, outside of the promise" in words(guarantee)
        assert "Other fits on the same patients" in words(guarantee)


def test_no_number_of_the_promise_is_smaller_than_it_is() -> None:
    """e^2.00006 is 7.3895, the attacker is 88.0804 % sure, and e^7.397292 is 1,631.56."""
    said = words(replace(PATCH, epsilon=2.00006, epsilon_patient=201_014.0, delta=1 / 170_000))
    assert "ε = 2.001 at δ = 5.89e-06" in said
    assert "e^ε = 7.39 times" in said
    assert "at most 88.1% sure" in said
    assert "together the bound is ε = 2.1e+05" in said
    assert "e^ε = 1,632 times" in words(replace(PATCH, epsilon=7.397292))
    assert "e^ε = 10^9 times" in words(replace(PATCH, epsilon=20.0))


def test_what_leaving_patients_out_cost_stands_under_what_is_not_covered() -> None:
    said = words(PATIENT, cost_of_skipping="N counts those who are left.")
    assert "What is not covered?\nN counts those who are left. The scores" in said
    assert words(PATIENT, cost_of_skipping="") == words(PATIENT)
