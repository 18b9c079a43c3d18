"""The vocabulary: settings, budgets, patches, the registry."""

import ast
import math
import re
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmark.core import registry
from benchmark.core.budget import (
    Budget,
    Guarantee,
    PublicNumbers,
    delta_text,
    epsilon_text,
    parse_epsilon,
    rounded_up,
)
from benchmark.core.errors import UsageError
from benchmark.core.patches import Patches
from benchmark.core.registry import generators, segmenters
from benchmark.core.seeds import stream
from benchmark.core.settings import Settings
from generators.real import Real


@dataclass(frozen=True, kw_only=True)
class Example(Settings):
    rate: Annotated[float, FloatDistribution(1e-5, 1e-1, log=True)] = 1e-3
    steps: Annotated[int, IntDistribution(1, 10)] = 5
    kind: Annotated[str, CategoricalDistribution(["a", "b"])] = "a"
    exact: bool = False


def test_a_settings_text_is_read_by_its_type() -> None:
    read = Example().with_texts({"rate": "1e-2", "steps": "7", "kind": "b", "exact": "TRUE"})
    assert read == Example(rate=1e-2, steps=7, kind="b", exact=True)


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ({"speed": "1"}, "No setting is called 'speed'. There are: rate, steps, kind, exact."),
        ({"steps": "1.5"}, "Expected steps to be of type int, got '1.5'."),
        ({"steps": "11"}, r"Expected steps in \[1, 10\], got 11."),
        ({"rate": "inf"}, r"Expected rate in \[1e-05, 0.1\], got inf."),
        ({"kind": "c"}, "Expected kind to be one of a, b, got 'c'."),
        ({"exact": "1"}, "Expected exact to be true or false, got '1'."),
    ],
)
def test_a_setting_outside_its_law_gets_a_sentence(texts: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Example().with_texts(texts)


def test_a_value_of_another_type_is_refused_at_construction() -> None:
    with pytest.raises(UsageError, match="Expected steps to be of type int, got True"):
        Example(steps=True)
    with pytest.raises(UsageError, match="Expected kind to be of type str, got 3"):
        Example(kind=3)


@given(st.one_of(st.floats(1e-6, 1e6), st.just(math.inf)))
def test_an_epsilon_is_read_as_it_was_written(value: float) -> None:
    assert parse_epsilon(repr(value)) == value


@pytest.mark.parametrize("text", ["1e-7", "1000001", "1e308", "1" + "0" * 400])
def test_an_epsilon_that_nobody_can_mean_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Expected a finite epsilon in"):
        parse_epsilon(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "", "two", "-inf", "1e-400"])
def test_what_is_no_epsilon_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Expected epsilon to be a number above 0 or inf"):
        parse_epsilon(text)


@pytest.mark.parametrize(
    "wrong", [{"epsilon": -1.0}, {"epsilon": math.nan}, {"delta": 0.0}, {"unit": "hospital"}]
)
def test_a_budget_outside_its_law_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="Expected"):
        Budget(**{"epsilon": 1.0, "delta": 1e-5, "unit": "patch", **wrong})


def test_without_a_mechanism_the_guarantee_is_all_or_nothing() -> None:
    public = PublicNumbers(patients=4, patches_per_patient=10, patch_size=32)
    budget = Budget(epsilon=2.0, delta=1e-5, unit="patch")
    blind = Guarantee.of(public, budget, epsilon=0.0)
    assert (blind.epsilon_patch, blind.epsilon_patient, blind.steps) == (0.0, 0.0, 0)
    plain = Guarantee.of(public, budget, epsilon=math.inf)
    assert (plain.epsilon_patch, plain.epsilon_patient) == (math.inf, math.inf)
    assert plain.noise_multiplier == 0.0


def _arrays(**changes: object) -> dict[str, object]:
    return {
        "images": np.zeros((3, 1, 8, 8), np.float32),
        "masks": np.zeros((3, 1, 8, 8), np.uint8),
        "patient": np.array([0, 0, 1]),
        "patients": 2,
        "patches_per_patient": 2,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": np.zeros((3, 1, 8, 8))}, "Expected images float32"),
        ({"images": np.full((3, 1, 8, 8), np.nan, np.float32)}, r"Expected images in \[-1, 1\]"),
        ({"images": np.full((3, 1, 8, 8), 2, np.float32)}, r"Expected images in \[-1, 1\]"),
        ({"masks": np.zeros((3, 1, 8, 9), np.uint8)}, "Expected masks uint8 of the images' shape"),
        ({"masks": np.full((3, 1, 8, 8), 2, np.uint8)}, "Expected masks in {0, 1}, got a value of"),
        ({"patient": np.array([0, 1])}, "Expected patient int64 of shape"),
        ({"patient": np.array([0, 1, 2])}, r"Expected patient indices in \[0, 2\)"),
        ({"patches_per_patient": 1}, "A patient has 2 patches, more than the declared 1"),
    ],
)
def test_patches_that_break_their_law_name_the_array(changes: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Patches(**_arrays(**changes))
    assert len(Patches(**_arrays())) == 3


def test_every_stream_is_a_function_of_seed_and_purpose() -> None:
    assert stream(0, "a") == stream(0, "a")
    assert len({stream(0, "a"), stream(1, "a"), stream(0, "b")}) == 3


def test_another_distributions_plug_in_is_found_by_its_entry_point(monkeypatch) -> None:
    ours = EntryPoint("guest", "generators.real:Real", "angiobench.generators")
    theirs = EntryPoint("wrong", "pathlib:Path", "angiobench.generators")
    monkeypatch.setattr(registry, "_entry_points", lambda group: [ours, theirs])
    assert {"guest", "real"} <= set(generators.names())
    assert generators.get("guest") is Real
    with pytest.raises(UsageError, match="'wrong' is not a subclass of Generator"):
        generators.get("wrong")


def test_a_plug_in_that_is_installed_meanwhile_is_found(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "late" not in generators.names()
    about = tmp_path / "late-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: late\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[angiobench.generators]\nlate = late:Late\n")
    assert "late" in generators.names()


def test_an_unknown_plug_in_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"No segmenter is called 'unett'. Did you mean 'unet'\?"):
        segmenters.get("unett")


@given(st.floats(min_value=0, max_value=1e300), st.integers(1, 6))
def test_rounding_up_never_gives_less_and_never_a_unit_of_the_last_digit_more(value, digits):
    found = rounded_up(value, digits)
    assert value <= found <= value * (1 + 10 ** (1 - digits)) + 5e-324
    assert float(f"{found:.{digits - 1}e}") == found


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_no_printed_epsilon_or_delta_is_below_what_was_spent(spent):
    assert spent <= float(epsilon_text(spent)) <= 1.1 * spent
    assert spent <= float(delta_text(spent)) <= 1.01 * spent


@pytest.mark.parametrize("asked", ["2", "5", "7.4", "0.1", "1e-05", "6.25e-06", "1000"])
def test_what_was_asked_for_is_printed_as_it_was_asked(asked):
    assert epsilon_text(float(asked)) == asked
    assert delta_text(float(asked)) == asked.replace("1000", "1e+03")


def test_no_module_rounds_an_epsilon_or_a_delta_by_itself():
    """``:g`` is for what was asked for, in six digits; what was spent has its one way up."""
    root = Path(__file__).parents[2]
    packages = ("benchmark", "federation", "generators", "leaderboard", "segmenters")
    files = [file for name in packages for file in sorted((root / name).rglob("*.py"))]
    rounded = [
        f"{file.relative_to(root)}:{node.lineno}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FormattedValue)
        and node.format_spec is not None
        and ast.unparse(node.format_spec) != "f'g'"
        and re.search(r"(epsilon|delta)(_\w+)?$", ast.unparse(node.value))
    ]
    assert len(files) > 150
    assert not rounded, f"they should go through epsilon_text or delta_text: {rounded}"
