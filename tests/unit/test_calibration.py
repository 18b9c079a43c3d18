import math

import pytest

from benchmark.core.errors import UsageError
from benchmark.privacy.accounting.calibration import calibrate
from benchmark.privacy.accounting.subsampled_gaussian import epsilon_spent

TARGETS = [
    *[(epsilon, 64 / 4096, 2000, 1e-5, "prv") for epsilon in (0.02, 0.1, 0.5, 7.4, 60.0)],
    (2.0, 64 / 4096, 2000, 1e-5, "rdp"),
    (2.0, 64 / 4096, 2000, 1e-5, "pld"),
    (0.005, 0.01, 100, 1e-5, "prv"),
    (5.0, 0.5, 100, 1e-5, "prv"),
    (2.0, 1.0, 1, 1e-5, "prv"),
    (3e4, 0.3, 100, 1e-5, "prv"),
]


@pytest.mark.parametrize(("epsilon", "q", "steps", "delta", "accountant"), TARGETS)
def test_calibrated_noise_never_exceeds_the_target_and_is_the_least_such(
    epsilon, q, steps, delta, accountant
):
    run = {"sampling_rate": q, "steps": steps, "delta": delta, "accountant": accountant}
    noise = calibrate(epsilon=epsilon, **run)
    assert noise == float(f"{noise:.4g}")
    assert epsilon_spent(noise_multiplier=noise, **run) <= epsilon
    assert epsilon_spent(noise_multiplier=0.998 * noise, **run) > epsilon


def test_the_noise_of_the_paper_s_shape_is_what_it_was_measured_to_be():
    found = {
        e: calibrate(epsilon=e, delta=1e-5, sampling_rate=64 / 4096, steps=2000)
        for e in (2.0, 5.0, 7.4)
    }
    assert found == pytest.approx({2.0: 1.592, 5.0: 0.9245, 7.4: 0.781}, rel=2e-3)


def test_an_infinite_target_needs_no_noise():
    assert calibrate(epsilon=math.inf, delta=1e-5, sampling_rate=0.1, steps=10) == 0.0


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan])
def test_a_target_that_is_not_positive_is_refused(epsilon):
    with pytest.raises(UsageError, match=r"Expected epsilon in \(0, inf\], got"):
        calibrate(epsilon=epsilon, delta=1e-5, sampling_rate=0.1, steps=10)


def test_a_target_out_of_reach_is_refused_with_the_remedy():
    with pytest.raises(UsageError, match="raise epsilon, take fewer steps or name another"):
        calibrate(epsilon=0.001, delta=1e-5, sampling_rate=0.1, steps=10, accountant="rdp")


def test_noise_for_no_step_is_refused():
    with pytest.raises(UsageError, match="Expected at least one step"):
        calibrate(epsilon=1.0, delta=1e-5, sampling_rate=0.1, steps=0)


def test_a_delta_that_would_publish_the_drawn_units_is_refused():
    with pytest.raises(UsageError, match="publishing every drawn unit without noise"):
        calibrate(epsilon=1.0, delta=0.05, sampling_rate=0.01, steps=5)


def test_calibrating_twice_computes_once():
    target = {"epsilon": 3.0, "delta": 1e-5, "sampling_rate": 0.125, "steps": 40}
    noise = calibrate(**target)
    before = calibrate.cache_info().hits
    assert calibrate(**target) == noise
    assert calibrate.cache_info().hits == before + 1
