"""The compiled loops: right for any convolution that they accept, and never out of bounds."""

import hashlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.privacy.dpsgd import compiled, geometry, loops, sums
from benchmark.privacy.dpsgd.geometry import LANES, TILE, Geometry
from benchmark.privacy.jit import jit

SLOW = settings(deadline=None, max_examples=60)


@st.composite
def geometries(draw: st.DrawFn, channels: int, out: int) -> Geometry:
    kernel, step, pad = (
        [draw(st.integers(low, high)) for _ in "yx"] for low, high in ((1, 4), (1, 3), (0, 2))
    )
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    over = [draw(st.integers(0, step - 1)) for step in step]  # what no patch reaches
    height = max(1, (rows - 1) * step[0] + kernel[0] - 2 * pad[0] + over[0])
    width = max(1, (columns - 1) * step[1] + kernel[1] - 2 * pad[1] + over[1])
    tall, wide = height + 2 * pad[0], width + 2 * pad[1]
    return Geometry(
        samples=draw(st.integers(1, 3)),
        height=height,
        width=width,
        channels=channels,
        kernel_y=kernel[0],
        kernel_x=kernel[1],
        step_y=step[0],
        step_x=step[1],
        pad_y=pad[0],
        pad_x=pad[1],
        rows=(tall - kernel[0]) // step[0] + 1,
        columns=(wide - kernel[1]) // step[1] + 1,
        out=out,
    )


def quick(**changes: int) -> Geometry:
    """The middle layer of the critic of ``quick``."""
    numbers = {"samples": 1, "height": 16, "width": 16, "channels": 16, "kernel_y": 4}
    numbers |= {"kernel_x": 4, "step_y": 2, "step_x": 2, "pad_y": 1, "pad_x": 1}
    return Geometry(**{**numbers, "rows": 8, "columns": 8, "out": 32, **changes})


def inside_nan(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Normal numbers between others that nobody may read."""
    size = int(np.prod(shape))
    around = np.full(size + 64, np.nan, np.float32)
    around[32:-32] = rng.standard_normal(size)
    return around[32:-32].reshape(shape)


def seen(g: Geometry, units: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    inputs = inside_nan((units, g.samples, g.height, g.width, g.channels), rng)
    return inputs, inside_nan((units, g.samples, g.rows, g.columns, g.out), rng)


def expected(inputs: np.ndarray, output_gradients: np.ndarray, g: Geometry) -> np.ndarray:
    """Every unit's gradient ``(U, out, channels, ky, kx)``, by autograd in double precision."""
    found = []
    for maps, rise in zip(inputs, output_gradients, strict=True):
        weight = torch.zeros(g.out, g.channels, g.kernel_y, g.kernel_x, dtype=torch.float64)
        weight.requires_grad_()
        maps, rise = (torch.from_numpy(a).double().permute(0, 3, 1, 2) for a in (maps, rise))
        made = F.conv2d(maps, weight, None, (g.step_y, g.step_x), (g.pad_y, g.pad_x))
        found.append(torch.autograd.grad((made * rise).sum(), weight)[0])
    return torch.stack(found).numpy()


def in_order(made: compiled.Made) -> np.ndarray:
    return made.rows.transpose(0, *(1 + axis for axis in made.order))


def assert_close(found: np.ndarray, right: np.ndarray) -> None:
    assert np.abs(found - right).max() <= 3e-6 * max(1.0, np.abs(right).max())


@SLOW
@given(st.data())
def test_rows_are_every_units_gradient(data: st.DataObject) -> None:
    channels, out = data.draw(
        st.sampled_from([(TILE, LANES), (TILE, 2 * LANES), (2 * TILE, LANES)])
    )
    g = data.draw(geometries(channels, out))
    inputs, output_gradients = seen(g)
    made, right = compiled.rows(inputs, output_gradients, g), expected(inputs, output_gradients, g)
    assert_close(in_order(made), right)
    assert np.allclose(made.squares, np.square(right).sum((1, 2, 3, 4)), rtol=1e-5)


@SLOW
@given(st.data(), st.integers(1, LANES - 1))
def test_rows_of_few_outputs_are_too(data: st.DataObject, out: int) -> None:
    g = data.draw(geometries(TILE * LANES, out))
    inputs, output_gradients = seen(g)
    assert g.has_rows
    assert not g.has_many_outputs
    made, right = compiled.rows(inputs, output_gradients, g), expected(inputs, output_gradients, g)
    assert_close(in_order(made), right)
    assert np.allclose(made.squares, np.square(right).sum((1, 2, 3, 4)), rtol=1e-5)


@SLOW
@given(st.data(), st.integers(1, 2 * LANES))
def test_norms_need_no_row(data: st.DataObject, out: int) -> None:
    g = data.draw(geometries(LANES, out))
    inputs, output_gradients = seen(g)
    right = np.square(expected(inputs, output_gradients, g)).sum((1, 2, 3, 4))
    found = compiled.squared_norms(inputs, output_gradients, g)
    assert np.abs(found - right).max() <= 1e-5 * max(1.0, right.max())


@SLOW
@given(st.data(), st.integers(1, 7), st.integers(1, 9))
def test_a_weighted_sum_is_that_of_all_units(data: st.DataObject, units: int, at_once: int) -> None:
    """Whatever the size of its blocks, and whatever a unit without weight holds."""
    outs = st.sampled_from([LANES, 2 * LANES, 3 * LANES, 4 * LANES])
    g = data.draw(geometries(TILE, data.draw(outs)))
    inputs, output_gradients = seen(g, units + 1)
    weights = np.random.default_rng(1).random(units + 1)
    weights[units // 2] = 0
    each = expected(inputs, output_gradients, g)
    right = np.tensordot(weights, each, 1)
    broken = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, 3e38]))
    inputs[units // 2, 0, 0, 0, :] = broken
    output_gradients[units // 2, 0, 0, 0, :] = -broken
    made = compiled.weighted_sum(inputs, output_gradients, weights, g, at_once)
    assert made.total.dtype == np.float64
    assert_close(made.total.transpose(made.order), right)


def test_a_weighted_sum_of_nobody_is_nothing() -> None:
    g = quick()
    inputs, output_gradients = seen(g)
    made = compiled.weighted_sum(inputs[:0], output_gradients[:0], np.zeros(0), g, 8)
    assert not made.total.any()


def test_blocks_are_added_in_double_precision() -> None:
    """Many alike units: what single precision would lose is there."""
    g = quick(channels=TILE, out=2 * LANES)
    inputs, output_gradients = (np.repeat(one, 2048, 0) for one in seen(g, units=1))
    made = compiled.weighted_sum(inputs, output_gradients, np.ones(2048), g, 1)
    one = compiled.rows(inputs[:1], output_gradients[:1], g)
    assert np.array_equal(made.total.transpose(made.order), 2048.0 * in_order(one)[0])


def test_weights_of_other_units_are_refused() -> None:
    g = quick()
    with pytest.raises(ValueError, match="do not fit 3 units"):
        compiled.weighted_sum(*seen(g), np.ones(2), g, 8)


@pytest.mark.parametrize(
    ("told", "source"), [(loops.GEOMETRY, geometry), (sums.LOOPS, loops)], ids=["loops", "sums"]
)
def test_a_change_of_what_a_loop_takes_changes_its_own_file(told: str, source: ModuleType) -> None:
    """Numba looks at the loop's own file alone, and would go on with what it compiled before."""
    found = hashlib.sha256(Path(str(source.__file__)).read_bytes()).hexdigest()
    assert told == found[: len(told)], f"write {found[: len(told)]} beside the loops"


def test_long_sums_lose_no_digits() -> None:
    g = quick(samples=64, channels=2, height=64, width=64, rows=32, columns=32, out=LANES)
    inputs, output_gradients = seen(g, units=1)
    inputs, output_gradients = np.abs(inputs), np.abs(output_gradients)
    right = expected(inputs, output_gradients, g)
    found = in_order(compiled.rows(inputs, output_gradients, g))
    assert np.linalg.norm(found - right) <= 2e-6 * np.linalg.norm(right)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_one_units_broken_number_stays_its_own(broken: float) -> None:
    g = quick()
    inputs, output_gradients = seen(g)
    whole, norms = (
        compiled.rows(inputs, output_gradients, g),
        compiled.squared_norms(inputs, output_gradients, g),
    )
    inputs[1, 0, 5, 5, 3] = broken
    found, again = (
        compiled.rows(inputs, output_gradients, g),
        compiled.squared_norms(inputs, output_gradients, g),
    )
    for squares, before in ((found.squares, whole.squares), (again, norms)):
        assert np.isfinite(squares).tolist() == [True, False, True]
        assert np.array_equal(squares[[0, 2]], before[[0, 2]])
    assert np.array_equal(found.rows[[0, 2]], whole.rows[[0, 2]])


@pytest.mark.parametrize("function", [compiled.rows, compiled.squared_norms])
@pytest.mark.parametrize(
    "changes",
    [
        {"height": 15},
        {"rows": 9},
        {"kernel_y": 6},
        {"step_x": 3},
        {"pad_y": 0},
        {"samples": 2},
        {"out": 16},
        {"channels": 3},
    ],
)
def test_what_would_run_over_an_end_is_refused(function, changes: dict[str, int]) -> None:
    inputs, output_gradients = seen(quick())
    with pytest.raises(ValueError, match="do not fit"):
        function(inputs, output_gradients, quick(**changes))


@pytest.mark.parametrize("function", [compiled.rows, compiled.squared_norms])
def test_other_numbers_than_single_precision_are_refused(function) -> None:
    inputs, output_gradients = seen(quick())
    with pytest.raises(ValueError, match="float32, got float64"):
        function(inputs.astype(np.float64), output_gradients, quick())


def test_where_nothing_can_be_kept_a_loop_is_compiled_all_the_same(monkeypatch) -> None:
    from numba.core.caching import CacheImpl

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    assert jit(lambda number: number + 1)(2) == 3
