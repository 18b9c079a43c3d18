"""Tuned settings as files, which of them a run takes, and where a search looks."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution

from benchmark.core import registry
from benchmark.core.errors import DataError, UsageError
from benchmark.sweep.planning import Request, tuned_for
from benchmark.sweep.study import Question
from benchmark.sweep.tuned import FREE, Found, Provenance, levels, nearest

FOUND = Found(
    generator="dp-wgan",
    version=1,
    unit="patch",
    epsilon=5.0,
    settings={"batch": 128, "clip_norm": 1e-05, "loss": "hinge"},
    provenance=Provenance(
        study="dp-wgan ε=5 patch 0123",
        preset="quick",
        segmenter="unet",
        trials=20,
        seeds=2,
        data="abc",
        on="phantom",
        selection=FREE,
        epsilon_of_all_trials=0.0,
        score=0.83,
        default=0.81,
    ),
)


@pytest.mark.parametrize("epsilon", [5.0, 7.4, math.inf])
def test_what_was_written_is_read(epsilon: float, tmp_path: Path) -> None:
    found = replace(FOUND, epsilon=epsilon)
    file = found.write(tmp_path)
    assert file == tmp_path / "dp-wgan" / "patch" / f"{epsilon:g}.toml"
    assert Found.read(file) == found


def test_a_run_takes_the_nearest_level_at_or_below(tmp_path: Path) -> None:
    for epsilon in (2.0, 5.0, math.inf):
        replace(FOUND, epsilon=epsilon).write(tmp_path)

    def level(epsilon: float, **other: str) -> float | None:
        asked = {"generator": "dp-wgan", "unit": "patch", "preset": "quick", **other}
        found = nearest([tmp_path], epsilon=epsilon, **asked)
        return None if found is None else found.epsilon

    assert [level(e) for e in (1.0, 2.0, 4.9, 5.0, 1e9, math.inf)] == [None, 2, 2, 5, 5, math.inf]
    assert level(5.0, preset="paper") is None
    assert level(5.0, unit="patient") is None
    assert level(5.0, generator="wgan") is None


def test_ones_own_settings_go_before_those_shipped(tmp_path: Path) -> None:
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    replace(FOUND, settings={"batch": 1}).write(own)
    FOUND.write(shipped)
    replace(FOUND, epsilon=2.0).write(shipped)
    found = levels([own, shipped], "dp-wgan", "patch", "quick")
    assert [(one.epsilon, one.settings["batch"]) for one in found] == [(2, 128), (5, 1)]


def test_a_damaged_file_and_another_version_are_refused(tmp_path: Path) -> None:
    request = Request(generators=("dp-wgan",), epsilons=(5.0,), tuned=(tmp_path,))
    replace(FOUND, version=0).write(tmp_path)
    with pytest.raises(UsageError, match="of its version 0, and this is 1"):
        tuned_for(request, "dp-wgan", 5.0)
    FOUND.write(tmp_path).write_text("generator = ")
    with pytest.raises(DataError, match=r"5\.toml: these tuned settings cannot be read"):
        tuned_for(request, "dp-wgan", 5.0)


@pytest.mark.parametrize("name", ["wgan", "dp-wgan"])
@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_a_search_space_holds_every_presets_own_settings(name: str, unit: str) -> None:
    kind = registry.generators.get(name)
    for preset in kind.presets.values():
        space = preset.search_space(unit)
        assert space
        for setting, law in space.items():
            assert not isinstance(law, CategoricalDistribution)
            assert law.low <= getattr(preset, setting) <= law.high
        assert ("batch" in space) == (unit == "patch")
        assert ("patients_per_step" in space) == (unit == "patient")


def test_tuning_varies_nothing_that_decides_the_printed_epsilon_or_only_the_speed() -> None:
    space = registry.generators.get("dp-wgan").presets["quick"].search_space("patch")
    assert not {"accountant", "dp_engine"} & set(space)


def test_what_the_user_set_is_held_fast() -> None:
    request = Request(
        generators=("dp-wgan",), epsilons=(5.0,), settings={"dp-wgan": {"batch": "99"}}
    )
    question = Question(request=request)
    assert "batch" not in question.space()
    assert question.start().as_dict()["batch"] == 99
