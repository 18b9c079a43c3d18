import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism
from scipy.optimize import brentq
from scipy.stats import binom, norm

from benchmark.core.errors import UsageError
from benchmark.privacy.accounting import units
from benchmark.privacy.accounting.subsampled_gaussian import epsilon_spent, least_epsilon
from benchmark.privacy.accounting.units import (
    check_delta,
    default_delta,
    patch_epsilon_of_patient_run,
    patient_epsilon_of_patch_run,
)


def mechanism(q, sigma, steps, delta):
    return {"sampling_rate": q, "noise_multiplier": sigma, "steps": steps, "delta": delta}


def gaussian_epsilon(mu, delta):
    """The closed form of Balle and Wang (2018, theorem 8), in logarithms."""

    def excess(epsilon):
        lower = math.exp(min(0.0, epsilon + norm.logsf(mu / 2 + epsilon / mu)))
        return norm.sf(epsilon / mu - mu / 2) - lower - delta

    return brentq(excess, 0, mu * mu + 50 * mu, xtol=1e-9)


def mixture(x, sigma, lengths, weights):
    return sum(w * norm.pdf(x, b, sigma) for b, w in zip(lengths, weights, strict=True))


def hockey_stick(upper, lower, epsilon, volume):
    return np.maximum(upper - math.exp(epsilon) * lower, 0).sum() * volume


def delta_of_mixture(epsilon, sigma, patches, q, steps):
    """δ(ε) of zeroing out a patient, by adding up densities on a grid of one or two dimensions."""
    drawn = np.arange(patches + 1)
    weights = binom.pmf(drawn, patches, q)
    kept = weights > 1e-18
    x, dx = np.linspace(-9 * sigma, drawn[kept].max() + 9 * sigma, 2501, retstep=True)
    with_patient = mixture(x, sigma, drawn[kept], weights[kept])
    without = norm.pdf(x, 0, sigma)
    if steps == 2:
        with_patient, without = np.outer(with_patient, with_patient), np.outer(without, without)
    return max(
        hockey_stick(with_patient, without, epsilon, dx**steps),
        hockey_stick(without, with_patient, epsilon, dx**steps),
    )


# (q, σ, T, patches of a patient)
INTEGRABLE = [
    (0.02, 1.0, 1, 1),
    (0.02, 1.0, 1, 30),
    (0.3, 2.0, 1, 4),
    (0.016, 3.0, 1, 1000),
    (0.5, 25.0, 1, 600),  # more values of B than are told apart
    (0.02, 1.0, 2, 30),
    (0.3, 2.0, 2, 4),
    (0.016, 3.0, 2, 1000),
]


@pytest.mark.parametrize(("q", "sigma", "steps", "patches"), INTEGRABLE)
def test_the_patient_bound_holds_and_is_tight_where_it_can_be_integrated(q, sigma, steps, patches):
    delta = 1e-4
    epsilon = patient_epsilon_of_patch_run(
        **mechanism(q, sigma, steps, delta), patches_per_patient=patches
    )
    assert delta_of_mixture(epsilon, sigma, patches, q, steps) <= delta
    assert delta_of_mixture(0.98 * epsilon, sigma, patches, q, steps) > delta


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
@pytest.mark.parametrize("patches", [5, 30])
def test_patients_with_many_patches_in_a_batch_count_however_many_are_cut_off(
    monkeypatch, share, patches
):
    monkeypatch.setattr(units, "_TAIL_SHARE", share)
    units._epsilon_of_mixture.cache_clear()
    run = mechanism(0.05, 0.8, 1, 1e-4)
    epsilon = patient_epsilon_of_patch_run(**run, patches_per_patient=patches)
    units._epsilon_of_mixture.cache_clear()
    assert delta_of_mixture(epsilon, 0.8, patches, 0.05, 1) <= 1e-4


@pytest.mark.parametrize(("sigma", "steps", "patches"), [(1.0, 1, 1), (30.0, 50, 7), (2.0, 9, 400)])
def test_without_sampling_the_patient_bound_is_the_gaussian_of_all_patches(sigma, steps, patches):
    exact = gaussian_epsilon(patches * math.sqrt(steps) / sigma, 1e-5)
    bound = patient_epsilon_of_patch_run(
        **mechanism(1.0, sigma, steps, 1e-5), patches_per_patient=patches
    )
    assert exact <= bound <= 1.002 * exact


@pytest.mark.parametrize("run", [(64 / 4096, 0.781, 2000, 1e-5), (0.25, 2.0, 20, 1e-6)])
def test_a_patient_with_one_patch_is_protected_as_that_patch(run):
    patch = from_gaussian_mechanism(run[1], sampling_prob=run[0], use_connect_dots=True)
    exact = patch.self_compose(run[2]).get_epsilon_for_delta(run[3])
    bound = patient_epsilon_of_patch_run(**mechanism(*run), patches_per_patient=1)
    assert exact <= bound <= 1.01 * exact


@pytest.mark.parametrize(
    ("patches", "epsilon"), [(10, 103.5), (1000, 1.772e5)], ids=["ten", "thousand"]
)
def test_the_paper_s_run_gives_a_patient_what_was_measured(patches, epsilon):
    paper = mechanism(300 / 41_000, 0.601, 2000, 1e-5)
    bound = patient_epsilon_of_patch_run(**paper, patches_per_patient=patches)
    assert bound == pytest.approx(epsilon, rel=5e-3)


def test_the_patient_bound_rises_with_patches_rate_and_steps_and_falls_with_noise():
    rising = [
        patient_epsilon_of_patch_run(**mechanism(q, sigma, steps, 1e-5), patches_per_patient=k)
        for q, sigma, steps, k in [
            (0.01, 2.0, 50, 1),
            (0.01, 2.0, 50, 3),
            (0.01, 2.0, 50, 200),
            (0.016, 2.0, 50, 200),
            (0.016, 2.0, 400, 200),
            (0.016, 1.0, 400, 200),
            (0.016, 0.5, 400, 1000),
        ]
    ]
    assert all(earlier < later for earlier, later in pairwise(rising))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.5, 1.796, 2.5])
@pytest.mark.parametrize("q", [0.016, 0.0512, 0.2])
@pytest.mark.parametrize("patches", [20, 1000])
def test_a_patient_is_never_said_to_be_safer_than_a_patch(sigma, q, patches):
    """dp-accounting's mixtures lose their mass where patients have many patches in a batch."""
    run = {"noise_multiplier": sigma, "sampling_rate": q, "steps": 1200, "delta": 6.25e-6}
    patch = epsilon_spent(accountant="pld", **run)
    plain = math.sqrt(1200) * binom(patches, q).isf(1e-12) / sigma
    patient = patient_epsilon_of_patch_run(patches_per_patient=patches, **run)
    assert patch < patient <= plain**2 / 2 + 8 * plain


def test_what_is_no_number_bounds_nothing():
    assert least_epsilon(lambda epsilon: math.nan, 1e-5) == math.inf
    assert least_epsilon(lambda epsilon: math.nan if epsilon < 3 else 0.0, 1e-5) >= 3


@pytest.mark.parametrize("run", [(0.7, 0.03, 639, 1e-6), (1.0, 1e-3, 10_000, 1e-6)])
def test_losses_beyond_floating_point_still_have_a_finite_bound(run):
    bound = patient_epsilon_of_patch_run(**mechanism(*run), patches_per_patient=7000)
    assert 1e6 < bound < math.inf
    assert 1e3 < patch_epsilon_of_patient_run(**mechanism(*run)) < math.inf


PATIENT_RUNS = [(0.5, 10.0, 200, 1e-5), (0.2, 5.0, 200, 1e-5), (64 / 4096, 0.8, 2000, 1e-5)]


@pytest.mark.parametrize("run", [*PATIENT_RUNS, (0.1, 1.5, 1, 1e-5), (1.0, 8.0, 30, 1e-6)])
def test_the_patch_bound_of_a_patient_run_is_never_a_copy_of_the_patient_s_epsilon(run):
    patient = epsilon_spent(**mechanism(*run), accountant="pld")
    assert patch_epsilon_of_patient_run(**mechanism(*run)) > 1.05 * patient


@pytest.mark.parametrize("run", PATIENT_RUNS)
def test_the_patch_bound_beats_zeroing_out_a_patient_twice(run):
    """Both u → 0 and 0 → v are steps of ε; a change of 2C costs less than their group privacy."""
    q, sigma, steps, delta = run
    epsilon = brentq(
        lambda e: (
            e
            - epsilon_spent(
                **mechanism(q, sigma, steps, delta / (1 + math.exp(e))), accountant="pld"
            )
        ),
        0.1,
        60.0,
        xtol=1e-2,
    )
    assert patch_epsilon_of_patient_run(**mechanism(*run)) < 2 * epsilon


@pytest.mark.parametrize(("sigma", "steps"), [(1.0, 1), (30.0, 50), (0.5, 9)])
def test_without_sampling_the_patch_bound_is_the_gaussian_of_a_change_of_two(sigma, steps):
    exact = gaussian_epsilon(2 * math.sqrt(steps) / sigma, 1e-5)
    bound = patch_epsilon_of_patient_run(**mechanism(1.0, sigma, steps, 1e-5))
    assert exact <= bound <= 1.002 * exact


def delta_of_change(epsilon, sigma, q, before, after):
    """δ(ε) of one step when a patient's clipped vector changes in the plane, by integration."""
    line, dx = np.linspace(-1 - 8 * sigma, 1 + 8 * sigma, 701, retstep=True)

    def density(vector):
        at = np.outer(norm.pdf(line, vector[0], sigma), norm.pdf(line, vector[1], sigma))
        zero = np.outer(norm.pdf(line, 0, sigma), norm.pdf(line, 0, sigma))
        return (1 - q) * zero + q * at

    return hockey_stick(density(before), density(after), epsilon, dx**2)


@pytest.mark.parametrize("q", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("sigma", [0.4, 1.0])
def test_no_change_of_a_clipped_vector_leaks_more_than_the_patch_bound(q, sigma):
    delta = 1e-3
    epsilon = patch_epsilon_of_patient_run(**mechanism(q, sigma, 1, delta))
    rng = np.random.default_rng(0)
    angles, radii = rng.uniform(0, 2 * np.pi, 24), rng.uniform(0, 1, 24) ** 0.2
    ends = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).reshape(12, 2, 2)
    opposite, zero, turned = np.array([[1, 0], [-1, 0]]), np.zeros(2), np.array([0, 1])
    worst = delta_of_change(epsilon, sigma, q, *opposite)
    assert worst <= delta
    assert delta_of_change(0.99 * epsilon, sigma, q, *opposite) > delta
    for before, after in [*ends, (opposite[0], zero), (zero, opposite[0]), (opposite[0], turned)]:
        assert delta_of_change(epsilon, sigma, q, before, after) <= worst * (1 + 1e-9)


@pytest.mark.parametrize("q", [0.1, 0.6])
def test_two_steps_of_the_worst_change_leak_no_more_than_the_patch_bound(q):
    sigma, delta = 1.2, 1e-3
    x, dx = np.linspace(-1 - 9 * sigma, 1 + 9 * sigma, 2001, retstep=True)
    before, after = (mixture(x, sigma, [0, end], [1 - q, q]) for end in (1, -1))
    before, after = np.outer(before, before), np.outer(after, after)
    epsilon = patch_epsilon_of_patient_run(**mechanism(q, sigma, 2, delta))
    assert hockey_stick(before, after, epsilon, dx**2) <= delta
    assert hockey_stick(before, after, 0.99 * epsilon, dx**2) > delta


BOUNDS = pytest.mark.parametrize(
    "bound",
    [
        patch_epsilon_of_patient_run,
        lambda **run: patient_epsilon_of_patch_run(**run, patches_per_patient=9),
    ],
    ids=["patch of patient run", "patient of patch run"],
)


@BOUNDS
def test_no_noise_bounds_nothing_and_no_step_spends_nothing(bound):
    assert bound(**mechanism(0.1, 0.0, 5, 1e-5)) == math.inf
    assert bound(**mechanism(0.1, 1.0, 0, 1e-5)) == 0.0


@BOUNDS
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"sampling_rate": 1.5}, r"Expected sampling_rate in \(0, 1\], got 1.5\."),
        ({"noise_multiplier": -1.0}, r"Expected noise_multiplier in \[0, inf\), got -1.0\."),
        ({"steps": -1}, "Expected steps to be a whole number of 0 or more, got -1"),
        ({"delta": 0.0}, r"Expected delta in \(0, 1\), got 0.0\."),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(bound, wrong, sentence):
    with pytest.raises(UsageError, match=sentence):
        bound(**{**mechanism(0.1, 1.0, 10, 1e-5), **wrong})


@pytest.mark.parametrize("patches", [0, -3, 2.5, math.nan])
def test_a_patient_has_at_least_one_patch(patches):
    with pytest.raises(UsageError, match="Expected at least one patch per patient, got"):
        patient_epsilon_of_patch_run(**mechanism(0.1, 1.0, 10, 1e-5), patches_per_patient=patches)


@pytest.mark.parametrize(
    ("number", "delta"), [(1, 1e-5), (10_000, 1e-5), (10_001, 1 / 100_010), (41_000, 1 / 410_000)]
)
def test_the_default_delta_is_the_largest_that_the_units_allow(number, delta):
    assert default_delta(number) == pytest.approx(delta, rel=1e-12)
    check_delta(default_delta(number), number)
    with pytest.raises(UsageError, match=f"for N = {number} units"):
        check_delta(default_delta(number) * 1.0001, number)


def test_the_paper_s_own_delta_is_refused():
    with pytest.raises(UsageError, match=r"Expected delta of at most 2\.439e-06 = min\(1e-5, "):
        check_delta(1 / 41_000, 41_000)


@pytest.mark.parametrize("delta", [0.0, -1e-6, 1.0, 2.0, math.nan])
def test_a_delta_outside_the_unit_interval_is_refused(delta):
    with pytest.raises(UsageError, match=r"Expected delta in \(0, 1\), got"):
        check_delta(delta, 10)


def test_no_unit_has_no_delta():
    with pytest.raises(UsageError, match="Expected at least one unit, got 0"):
        default_delta(0)


def test_importing_the_bounds_imports_no_heavy_library():
    code = (
        "import sys, benchmark.privacy.accounting.units\n"
        "heavy = {'torch', 'opacus', 'scipy', 'dp_accounting'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
