import math
import subprocess
import sys
from functools import lru_cache
from itertools import pairwise

import pytest
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from benchmark.core.errors import UsageError
from benchmark.privacy.accounting import subsampled_gaussian
from benchmark.privacy.accounting.calibration import calibrate
from benchmark.privacy.accounting.subsampled_gaussian import account, epsilon_spent

ACCOUNTANTS = pytest.mark.parametrize("accountant", ["prv", "pld", "rdp"])

# (q, σ, T, δ): the paper's shape, the quick and standard presets', few patients, and corners.
RUNS = [
    (64 / 4096, 1.597, 2000, 1e-5),
    (64 / 4096, 0.781, 2000, 1e-5),
    (300 / 41_000, 0.601, 2000, 2e-6),
    (256 / 16_000, 0.8, 200, 5e-6),
    (64 / 4096, 5.0, 2000, 1e-5),
    (64 / 4096, 20.0, 2000, 1e-5),
    (0.5, 6.0, 200, 1e-5),
    (0.5, 2.0, 20, 1e-3),
    (0.25, 1.0, 1, 1e-5),
    (0.9, 3.0, 50, 1e-5),
    (0.01, 0.6, 10, 1e-6),
    (0.001, 1.0, 1, 1e-5),
    (1.0, 1.0, 1, 1e-5),
    (1.0, 30.0, 400, 1e-7),
]


def mechanism(q, sigma, steps, delta):
    return {"sampling_rate": q, "noise_multiplier": sigma, "steps": steps, "delta": delta}


@lru_cache
def second_opinion(q, sigma, steps, delta):
    """dp-accounting at its default interval of 1e-4, the worse of adding and removing."""
    one = from_gaussian_mechanism(sigma, sampling_prob=q, use_connect_dots=True)
    return one.self_compose(steps).get_epsilon_for_delta(delta)


def gaussian_epsilon(sigma, steps, delta):
    """Balle and Wang (2018, theorem 8): T Gaussians of σ are one of σ/√T."""
    mu = math.sqrt(steps) / sigma

    def excess(epsilon):
        lower = min(0.0, epsilon + float(log_ndtr(-mu / 2 - epsilon / mu)))
        return float(ndtr(mu / 2 - epsilon / mu)) - math.exp(lower) - delta

    return brentq(excess, 0, mu * mu + 100 * mu, xtol=1e-9) if excess(0) > 0 else 0.0


@pytest.mark.parametrize("run", RUNS)
def test_epsilon_spent_is_never_below_the_second_opinion_and_agrees_with_it(run):
    spent, other = epsilon_spent(**mechanism(*run)), second_opinion(*run)
    assert other <= spent <= max(1.01 * other, other + 0.02)


@pytest.mark.parametrize("run", RUNS)
def test_the_own_pld_and_rdp_are_upper_bounds_too(run):
    closest = epsilon_spent(**mechanism(*run), accountant="pld")
    other = second_opinion(*run)
    assert other * (1 - 1e-9) <= closest <= max(1.01 * other, other + 0.005)
    assert epsilon_spent(**mechanism(*run), accountant="rdp") >= other


@ACCOUNTANTS
@pytest.mark.parametrize("sigma", [0.05, 0.7, 7.0, 150.0])
@pytest.mark.parametrize("steps", [1, 4000])
@pytest.mark.parametrize("delta", [1e-9, 1e-5])
def test_without_sampling_epsilon_is_that_of_the_gaussian_mechanism(
    accountant, sigma, steps, delta
):
    exact = gaussian_epsilon(sigma, steps, delta)
    spent = account(**mechanism(1.0, sigma, steps, delta), accountant=accountant)
    slack = (1.3, 0.35) if accountant == "rdp" else (1.04, 0.02)
    assert exact <= spent.epsilon <= max(slack[0] * exact, exact + slack[1])


@pytest.mark.parametrize("epsilon", [0.3, 2.0, 5.0])
def test_one_step_with_sampling_obeys_the_integral_of_its_hockey_stick(epsilon):
    """δ(ε) = q δ₁(ln(1 + (e^ε - 1) / q)): amplification of one step, in closed form."""
    q, sigma = 0.2, 0.9
    inner = math.log1p(math.expm1(epsilon) / q)
    delta = q * float(
        ndtr(0.5 / sigma - inner * sigma)
        - math.exp(inner + float(log_ndtr(-0.5 / sigma - inner * sigma)))
    )
    for accountant in ("prv", "pld"):
        spent = epsilon_spent(**mechanism(q, sigma, 1, delta), accountant=accountant)
        assert epsilon <= spent <= epsilon + 0.02


@ACCOUNTANTS
def test_epsilon_falls_with_noise_and_delta_and_rises_with_steps_and_rate(accountant):
    falling_with_noise = [
        epsilon_spent(**mechanism(0.02, sigma, 300, 1e-5), accountant=accountant)
        for sigma in (0.3, 0.5, 0.8, 1.5, 4.0, 20.0)
    ]
    falling_with_delta = [
        epsilon_spent(**mechanism(0.02, 0.8, 300, delta), accountant=accountant)
        for delta in (1e-12, 1e-9, 1e-6, 1e-3)
    ]
    rising = [
        epsilon_spent(**mechanism(q, 0.8, steps, 1e-5), accountant=accountant)
        for q, steps in [(0.02, 1), (0.02, 30), (0.02, 300), (0.05, 300), (0.05, 900), (1, 900)]
    ]
    for series in (falling_with_noise, falling_with_delta, rising[::-1]):
        assert all(earlier > later for earlier, later in pairwise(series))


@ACCOUNTANTS
def test_no_noise_spends_infinity_and_no_step_spends_nothing(accountant):
    assert epsilon_spent(**mechanism(0.1, 0.0, 1, 1e-5), accountant=accountant) == math.inf
    assert epsilon_spent(**mechanism(0.1, 1.0, 0, 1e-5), accountant=accountant) == 0.0
    assert epsilon_spent(**mechanism(0.1, 0.0, 0, 1e-5), accountant=accountant) == 0.0


@ACCOUNTANTS
@pytest.mark.parametrize(
    "run",
    [
        (0.4, 0.07, 8, 1e-8),  # PRV overflows to inf
        (0.075, 0.188, 46, 2.2e-7),  # PRV: "Discrete mean differs significantly"
        (0.0036, 0.209, 55_366, 3.6e-8),  # PRV would take 4e8 points
        (0.05, 0.6, 100_000, 1e-5),
        (1.0, 0.7694, 617, 1.1e-9),  # dp-accounting: OverflowError
        (1e-5, 0.05, 1, 1e-9),
        (0.5, 1e-3, 100_000, 1e-5),
        (1e-5, 1e5, 100_000, 1e-5),
        (0.999_999, 1.0, 20, 1e-5),
        (0.1, 1.0, 10, 1e-13),  # the rounding of an FFT is 1e-13 too
        (0.01, 1.0, 10, 0.97),
    ],
)
def test_every_corner_has_a_finite_bound_and_says_who_vouches_for_it(accountant, run):
    spent = account(**mechanism(*run), accountant=accountant)
    assert math.isfinite(spent.epsilon)
    assert spent.epsilon >= 0
    assert spent.accountant in {"prv", "pld", "rdp", "gaussian"}
    assert spent.epsilon <= 1.01 * epsilon_spent(**mechanism(*run), accountant="rdp") + 0.02


def test_the_accountant_that_was_asked_answers_where_it_can_and_another_is_named_elsewhere():
    ordinary = mechanism(64 / 4096, 0.781, 2000, 1e-5)
    for name in ("prv", "pld", "rdp"):
        assert account(**ordinary, accountant=name).accountant == name
    assert account(**mechanism(0.4, 0.07, 8, 1e-8)).accountant == "pld"
    assert account(**mechanism(64 / 4096, 200.0, 2000, 1e-5)).accountant == "pld"
    assert account(**mechanism(0.1, 1.0, 10, 1e-13)).accountant == "rdp"


@pytest.mark.parametrize("garbage", [math.nan, math.inf, 1e9, RuntimeError("no"), OverflowError()])
def test_garbage_of_a_library_is_never_passed_on(monkeypatch, garbage):
    from opacus.accountants import PRVAccountant

    def get_epsilon(self, delta, **options):
        if isinstance(garbage, Exception):
            raise garbage
        return garbage

    monkeypatch.setattr(PRVAccountant, "get_epsilon", get_epsilon)
    subsampled_gaussian._prv.cache_clear()
    spent = account(**mechanism(0.02, 0.9, 100, 1e-5))
    subsampled_gaussian._prv.cache_clear()
    assert spent == account(**mechanism(0.02, 0.9, 100, 1e-5), accountant="pld")


def test_when_nobody_has_an_answer_the_bound_is_infinite(monkeypatch):
    def silent(run):
        raise subsampled_gaussian.NoAnswerError

    monkeypatch.setattr(subsampled_gaussian, "_ACCOUNTANTS", {"prv": silent, "rdp": silent})
    assert account(**mechanism(0.02, 0.9, 100, 1e-5)) == (math.inf, "prv")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"sampling_rate": 1.5}, r"Expected sampling_rate in \(0, 1\], got 1.5\."),
        ({"sampling_rate": 0.0}, r"Expected sampling_rate in \(0, 1\], got 0.0\."),
        ({"sampling_rate": math.nan}, r"Expected sampling_rate in \(0, 1\], got nan\."),
        ({"noise_multiplier": -1.0}, r"Expected noise_multiplier in \[0, inf\), got -1.0\."),
        ({"noise_multiplier": math.nan}, r"Expected noise_multiplier in \[0, inf\), got nan\."),
        ({"noise_multiplier": math.inf}, r"Expected noise_multiplier in \[0, inf\), got inf\."),
        ({"steps": -1}, "Expected steps to be a whole number of 0 or more, got -1"),
        ({"steps": 1.5}, "Expected steps to be a whole number of 0 or more, got 1.5"),
        ({"delta": 0.0}, r"Expected delta in \(0, 1\), got 0.0\."),
        ({"delta": 1.0}, r"Expected delta in \(0, 1\), got 1.0\."),
        ({"delta": math.nan}, r"Expected delta in \(0, 1\), got nan\."),
        ({"accountant": "prw"}, "No accountant is called 'prw'; there are: prv, pld, rdp."),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(wrong, sentence):
    meant = {**mechanism(0.1, 1.0, 10, 1e-5), **wrong}
    with pytest.raises(UsageError, match=sentence):
        account(**meant)
    if "noise_multiplier" not in wrong:
        del meant["noise_multiplier"]
        with pytest.raises(UsageError, match=sentence):
            calibrate(epsilon=2.0, **meant)


def test_importing_the_accountants_imports_no_heavy_library():
    code = (
        "import sys\n"
        "from benchmark.privacy.accounting import calibration, subsampled_gaussian\n"
        "heavy = {'torch', 'opacus', 'scipy', 'dp_accounting'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
