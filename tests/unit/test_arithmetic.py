"""Which arithmetic computes what: bf16 reaches judges alone, and a result's key says so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from cells import SPEC

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.registry import generators, segmenters
from benchmark.core.segmenter import TrainContext
from benchmark.privacy.arithmetic import BF16, exact_arithmetic, has_bf16
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.step import Step
from benchmark.privacy.mechanisms.choice import Election, plan_choices
from benchmark.privacy.mechanisms.release import Release, plan_releases
from benchmark.privacy.randomness import SeededNoise
from benchmark.results.spec_parts import PlugIn
from benchmark.sweep.arithmetic import resolved
from benchmark.sweep.request import Request, plug_in_of
from generators.dp_merf import DpMerf
from generators.dp_wgan import DpWgan
from generators.nets.convolutional import initialise
from generators.nets.players import LOSSES, patch_critic
from segmenters.dp_segmenter import DpSegmenter, DpSegmenterParams
from segmenters.unet import Unet, UnetParams

PUBLIC = PublicNumbers(patients=4, patches_per_patient=6, patch_size=32)
BUDGET = Budget(epsilon=5.0, delta=1e-3, unit="patch")


@contextmanager
def planted() -> Iterator[None]:
    """What a careless caller may have set: autocast, and backends that may round factors."""
    backends = torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = BF16
    try:
        with torch.autocast("cpu", torch.bfloat16):
            yield
    finally:
        for backend, earlier in zip(backends, before, strict=True):
            backend.fp32_precision = earlier


def patches() -> Patches:
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (24, 1, 32, 32)).astype(np.float32)
    return Patches(
        images=images,
        masks=(images > 0.6).astype(np.uint8),
        patient=np.repeat(np.arange(4), 6),
        patients=4,
        patches_per_patient=6,
    )


def context() -> FitContext:
    return FitContext(seed=0, noise=SeededNoise(0, "a"), charge=lambda guarantee: None)


def projected(some: Patches) -> np.ndarray:
    """Features by a matrix product, as embeddings make them."""
    matrix = torch.randn(32 * 32, 40, generator=torch.Generator().manual_seed(0))
    return (torch.from_numpy(some.images).flatten(1) @ matrix).double().numpy()


def of_a_step() -> np.ndarray:
    params = DpWgan.presets["quick"]
    critic, rng = patch_critic(params), torch.Generator().manual_seed(0)
    initialise(critic, rng)
    real, fake = (torch.rand(6, 2, 32, 32, generator=rng) * 2 - 1 for _ in range(2))
    real_loss, fake_loss = LOSSES[params.loss]
    step = Step(
        real_loss=real_loss,
        fake_loss=fake_loss,
        expected_units=6,
        clip_norm=0.5,
        noise_multiplier=0.0,
    )
    return step.gradient(critic, Batch(real, torch.arange(6), fake), SeededNoise(0, "a")).numpy()


def of_a_mean() -> np.ndarray:
    plan = plan_releases(PUBLIC, BUDGET, clip_norm=1.0)
    return Release(plan).mean(patches(), projected, SeededNoise(0, "a"))


def of_a_choice() -> np.ndarray:
    plan = plan_choices(PUBLIC, BUDGET)
    scored: list[np.ndarray] = []

    def score(rows: np.ndarray) -> np.ndarray:
        scored.append(rows[:, :5])
        return np.abs(np.tanh(rows[:, :5] / 40))

    winner = Election(plan).winner(patches(), projected, score, SeededNoise(0, "a"))
    return np.append(np.concatenate(scored).ravel(), winner)


def of_a_private_segmenter() -> np.ndarray:
    segmenter = DpSegmenter(DpSegmenterParams(width=8, batch=8, steps=3))
    plan = segmenter.plan(PUBLIC, BUDGET)
    segmenter.fit_privately(patches(), plan, context())
    net = segmenter._net
    return torch.cat([weight.detach().flatten() for weight in net.parameters()]).numpy()


MECHANISMS = [of_a_step, of_a_mean, of_a_choice, of_a_private_segmenter]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_no_arithmetic_that_is_set_outside_reaches_a_private_mechanism(
    mechanism: Callable[[], np.ndarray],
) -> None:
    expected = mechanism()
    with planted():
        found = mechanism()
    assert np.array_equal(found, expected)


def test_what_is_planted_would_change_a_product_and_a_convolution() -> None:
    """Otherwise the law above could not fail."""
    rng = torch.Generator().manual_seed(0)
    a, image = torch.randn(64, 64, generator=rng), torch.rand(2, 8, 32, 32, generator=rng)
    kernel = torch.randn(8, 8, 3, 3, generator=rng)
    with planted():
        assert (a @ a).dtype == torch.bfloat16
        assert torch.nn.functional.conv2d(image, kernel).dtype == torch.bfloat16
        with exact_arithmetic():
            assert (a @ a).dtype == torch.float32
            exact = torch.nn.functional.conv2d(image, kernel)
        assert (a @ a).dtype == torch.bfloat16, "the caller's own is there again"
    assert torch.equal(exact, torch.nn.functional.conv2d(image, kernel))


def test_a_thread_that_ends_first_does_not_end_the_others_arithmetic() -> None:
    backend: Any = torch.backends.mkldnn
    earlier = backend.matmul.fp32_precision
    backend.matmul.fp32_precision = "bf16"
    try:
        one, other = exact_arithmetic(), exact_arithmetic()
        one.__enter__()
        other.__enter__()
        one.__exit__(None, None, None)
        assert backend.matmul.fp32_precision == "ieee"
        other.__exit__(None, None, None)
        assert backend.matmul.fp32_precision == "bf16"
    finally:
        backend.matmul.fp32_precision = earlier


def test_nothing_that_is_private_has_the_setting() -> None:
    kinds = [generators.get(name) for name in generators.names()]
    kinds += [segmenters.get(name) for name in segmenters.names()]
    private = [kind for kind in kinds if getattr(kind, "is_private", False)]
    assert {DpWgan, DpMerf, DpSegmenter} <= {*private}
    for kind in private:
        assert "arithmetic" not in kind.Params.ranges(), kind


def asked(**more: object) -> Request:
    return Request(generators=["dp-wgan"], epsilons=[5.0], arithmetic="fast", **more)


@pytest.mark.skipif(not has_bf16("cpu"), reason="this CPU has no bf16 arithmetic")
def test_fast_becomes_a_setting_of_judges_alone() -> None:
    request, said = resolved(asked(segmenters=("unet", "frangi", "dp-segmenter")), "cpu")
    assert request.settings == {"unet": {"arithmetic": BF16}}
    assert plug_in_of(segmenters, "unet", request).settings["arithmetic"] == BF16
    (sentence,) = said
    assert sentence.startswith("In bf16, not exactly: unet. ")
    kept, _ = resolved(asked(settings={"unet": {"arithmetic": "exact", "width": "9"}}), "cpu")
    assert kept.settings == {"unet": {"arithmetic": "exact", "width": "9"}}


def test_a_device_without_it_computes_exactly_and_says_so() -> None:
    request, said = resolved(asked(), "meta")
    assert request.settings == {}
    assert said == [
        "The device meta has no bf16 arithmetic: all is computed exactly, and keys say so."
    ]
    with pytest.raises(UsageError, match="exact or fast, got 'bf17'"):
        resolved(replace(asked(), arithmetic="bf17"), "cpu")


def test_a_key_says_bf16_and_exact_keys_stay() -> None:
    exact = replace(SPEC, segmenter=PlugIn(name="unet", version=1, settings=UnetParams().as_dict()))
    fast = UnetParams(arithmetic=BF16).as_dict()
    assert "arithmetic" not in exact.segmenter.settings
    assert fast == {**exact.segmenter.settings, "arithmetic": BF16}
    other = replace(exact, segmenter=PlugIn(name="unet", version=1, settings=fast))
    assert other.key != exact.key
    assert (exact.segmenter.title, other.segmenter.title) == ("unet", "unet (bf16)")


def bars(n: int, seed: int) -> Patches:
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, 1, 32, 32), np.uint8)
    for mask, column in zip(masks, rng.integers(4, 28, n), strict=True):
        mask[0, :, column : column + 2] = 1
    images = np.clip(masks + 0.2 * rng.standard_normal(masks.shape) - 0.6, -1, 1)
    return Patches(images=images.astype(np.float32), masks=masks)


def test_a_judge_in_bf16_learns_as_well_and_is_another_one() -> None:
    unseen, scores, marks = bars(16, 1), {}, {}
    volume = np.ascontiguousarray(unseen.images[:, 0].transpose(1, 2, 0))
    truth = unseen.masks[:, 0].transpose(1, 2, 0) > 0
    for name in ("exact", BF16):
        unet = Unet(UnetParams(iterations=60, arithmetic=name))
        unet.fit(bars(128, 0), TrainContext(seed=0))
        found = unet.predict(volume, (1.0, 1.0, 1.0))
        marks[name] = unet.margin(volume, (1.0, 1.0, 1.0))
        scores[name] = 2 * (found & truth).sum() / (found.sum() + truth.sum())
        assert all(weight.dtype == torch.float32 for weight in unet._net.parameters())
    assert scores[BF16] > 0.9
    assert abs(scores[BF16] - scores["exact"]) < 0.05
    assert not np.array_equal(marks[BF16], marks["exact"])


def test_bf16_is_the_same_inside_a_cell() -> None:
    """A cell is exact around it, and torch keeps cast weights until the outermost context ends."""
    weights = []
    for around in (nullcontext, exact_arithmetic):
        unet = Unet(UnetParams(iterations=20, arithmetic=BF16))
        with around():
            unet.fit(bars(64, 0), TrainContext(seed=0))
        weights.append(torch.cat([weight.detach().flatten() for weight in unet._net.parameters()]))
    assert torch.equal(*weights)


def test_a_guarantee_is_the_same_in_either_arithmetic() -> None:
    segmenter = DpSegmenter(DpSegmenterParams(width=8, batch=8, steps=3))
    with planted():
        inside: Guarantee = segmenter.plan(PUBLIC, BUDGET)
    assert inside == segmenter.plan(PUBLIC, BUDGET)
