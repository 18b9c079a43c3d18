"""Tuned settings as files, which of them a run takes, and where a search looks."""

import json
import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from click.testing import CliRunner, Result
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmark.cli.catalogue import show
from benchmark.core import registry
from benchmark.core.editions import DEFAULT
from benchmark.core.errors import DataError, UsageError
from benchmark.core.settings import Settings, Tuned
from benchmark.results.bookends import LOWER, UPPER
from benchmark.results.tuned_settings import (
    FREE,
    NOT_ACCOUNTED,
    SHIPPED,
    Found,
    Provenance,
    Wanted,
    file_of,
    levels,
    nearest,
    why_none,
)
from benchmark.sweep.plan_cells import tuned_for
from benchmark.sweep.request import Request
from benchmark.tuning.study import StudySpec
from generators.dp_wgan import DpWgan

HERE = Path(__file__).parents[2]
PUBLISHED = HERE / "leaderboard" / "results"
BUILT_IN = {path.stem.replace("_", "-") for path in (HERE / "generators").glob("*.py")}
TUNABLE = sorted(
    name
    for name in (BUILT_IN & {*registry.generators.names()}) - {UPPER, LOWER}
    if registry.generators.get(name).presets["quick"].search_space("patch")
)

FOUND = Found(
    generator="dp-wgan",
    version=DpWgan.version,
    unit="patch",
    epsilon=5.0,
    settings={"batch": 128, "generator_rate": 1e-05, "loss": "hinge"},
    provenance=Provenance(
        command="bench tune --generator dp-wgan --set 'dp-wgan.fakes=32'",
        study="dp-wgan ε=5 patch 0123",
        preset="quick",
        segmenter="unet",
        sites=1,
        partition="",
        held=("dp-wgan.fakes=32",),
        objectives=("dice", "distance"),
        trials=20,
        seeds=2,
        protocol=DEFAULT,
        data="abc",
        on="phantom",
        selection=FREE,
        delta=1e-5,
        epsilon_of_all_trials=0.0,
        score=0.83,
        default=0.81,
        suite_version="0.1.0",
        suite_commit="unknown",
    ),
)


WANTED = Wanted("dp-wgan", "patch", "quick", protocol=DEFAULT)


@pytest.mark.parametrize("epsilon", [5.0, 7.4, math.inf])
def test_what_was_written_is_read(epsilon: float, tmp_path: Path) -> None:
    found = replace(FOUND, epsilon=epsilon)
    file = found.write(tmp_path)
    assert file == tmp_path / "dp-wgan" / "patch" / f"{epsilon:g}.toml"
    assert Found.read(file) == found


@pytest.mark.parametrize("text", ['"', "a\\b", "\x7f", "\n", "ε = ∞", "", "'''"])
def test_whatever_the_texts_the_file_is_toml(text: str, tmp_path: Path) -> None:
    how = replace(FOUND.provenance, command=text, held=(text,), default=math.nan, score=-math.inf)
    found = replace(FOUND, settings={text: text, "wild": True}, provenance=how)
    said = tomllib.loads(found.write(tmp_path).read_text("utf-8"))
    assert said["settings"] == {text: text, "wild": True}
    assert (said["provenance"]["command"], said["provenance"]["held"]) == (text, [text])
    read = Found.read(tmp_path / "dp-wgan" / "patch" / "5.toml").provenance
    assert math.isnan(read.default)
    assert read.score == -math.inf


def how(**changed: Any) -> Provenance:
    return replace(FOUND.provenance, **changed)


def test_a_run_takes_the_nearest_level_at_or_below(tmp_path: Path) -> None:
    for epsilon in (2.0, 5.0, math.inf):
        replace(FOUND, epsilon=epsilon).write(tmp_path)

    def level(epsilon: float, **other: Any) -> float | None:
        found = nearest([tmp_path], replace(WANTED, **other), epsilon)
        return None if found is None else found.epsilon

    assert [level(e) for e in (1.0, 2.0, 4.9, 5.0, 1e9, math.inf)] == [None, 2, 2, 5, 5, math.inf]
    assert level(5.0, preset="paper") is None
    assert level(5.0, unit="patient") is None
    assert level(5.0, generator="wgan") is None
    assert level(5.0, federated=True) is None


def test_why_there_is_nothing_is_said_in_a_sentence(tmp_path: Path) -> None:
    assert why_none([tmp_path], WANTED, 5.0) == "nothing was tuned at or below it"
    replace(FOUND, provenance=how(preset="paper", sites=3)).write(tmp_path)
    assert nearest([tmp_path], WANTED, 5.0) is None
    said = why_none([tmp_path], WANTED, 7.4)
    whose = f"the preset paper of protocol {DEFAULT} and 3 sites"
    assert said == f"what was tuned at ε = 5 is for {whose}, and is left alone"
    assert nearest([tmp_path], replace(WANTED, preset="paper", federated=True), 5.0)


def test_what_cost_nothing_is_never_replaced_by_a_choice_among_patients(tmp_path: Path) -> None:
    leaky = replace(FOUND, provenance=how(on="private", selection=NOT_ACCOUNTED))
    leaky.write(tmp_path)
    leaky.write(tmp_path)
    before = FOUND.write(tmp_path).read_bytes()
    with pytest.raises(UsageError, match="free of private data, and a search on patients would"):
        leaky.write(tmp_path)
    assert FOUND.write(tmp_path).read_bytes() == before


def test_ones_own_settings_go_before_those_shipped(tmp_path: Path) -> None:
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    replace(FOUND, settings={"batch": 1}).write(own)
    FOUND.write(shipped)
    replace(FOUND, epsilon=2.0).write(shipped)
    found = levels([own, shipped], WANTED)
    assert [(one.epsilon, one.settings["batch"]) for one in found] == [(2, 128), (5, 1)]


def test_ones_own_settings_for_something_else_leave_those_shipped_in_place(tmp_path: Path) -> None:
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    replace(FOUND, provenance=how(preset="paper")).write(own)
    FOUND.write(shipped)
    assert levels([own, shipped], WANTED) == [FOUND]


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (replace(FOUND, version=0), "of its version 0, and this is 3"),
        (replace(FOUND, settings={"colour": 3}), "not ones that it has"),
        (replace(FOUND, settings={"batch": 1e9}), "not ones that it has"),
        (replace(FOUND, settings={"loss": math.nan}), "not ones that it has"),
    ],
)
def test_settings_that_the_generator_does_not_have_are_refused(
    found: Found, sentence: str, tmp_path: Path
) -> None:
    request = Request(generators=("dp-wgan",), epsilons=(5.0,), tuned=(tmp_path,))
    found.write(tmp_path)
    with pytest.raises(UsageError, match=sentence):
        tuned_for(request, "dp-wgan", 5.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("epsilon = 5.0", 'epsilon = "5"'),
        ("epsilon = 5.0", "epsilon = nan"),
        ("version = 3", "version = 1.5"),
        ("trials = 20", "trials = true"),
        ('unit = "patch"', 'unit = "voxel"'),
        ("[settings]", "[other]"),
        ('on = "phantom"', ""),
        ('generator = "dp-wgan"', "generator ="),
    ],
)
def test_a_damaged_file_gets_one_sentence(before: str, after: str, tmp_path: Path) -> None:
    request = Request(generators=("dp-wgan",), epsilons=(5.0,), tuned=(tmp_path,))
    file = FOUND.write(tmp_path)
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    with pytest.raises(DataError, match=r"5\.toml: these tuned settings cannot be read") as refused:
        tuned_for(request, "dp-wgan", 5.0)
    assert len(str(refused.value).splitlines()) == 1


def test_what_is_shipped_is_free_of_private_data_and_fits_this_suite() -> None:
    results = [json.loads(file.read_text()) for file in PUBLISHED.glob("dp-simulator-*.json")]
    reported = {one["result"]["spec"]["data"] for one in results}
    assert reported
    for file in SHIPPED.rglob("*.toml"):
        found = Found.read(file).checked()
        assert found.provenance.selection == FREE
        assert found.provenance.command.startswith("bench tune ")
        assert file == file_of(SHIPPED, found.generator, found.unit, found.epsilon)
        assert found.provenance.objectives[0] == "dice"
        assert found.provenance.score >= found.provenance.default
        assert found.provenance.data not in reported, "settings are chosen on other phantoms"


@pytest.mark.parametrize("name", TUNABLE)
def test_every_generator_is_shipped_tuned_at_every_level(name: str) -> None:
    private = registry.generators.get(name).is_private
    for epsilon in (1.0, 2.0, 5.0, 7.4, math.inf) if private else (math.inf,):
        found = Found.read(file_of(SHIPPED, name, "patch", epsilon))
        assert found.provenance.preset == "quick"


@pytest.mark.parametrize("name", ["wgan", "dp-wgan"])
@pytest.mark.parametrize("unit", ["patch", "patient"])
def test_a_search_space_holds_every_presets_own_settings(name: str, unit: str) -> None:
    kind = registry.generators.get(name)
    for preset in kind.presets.values():
        space = preset.search_space(unit)
        assert space
        for setting, law in space.items():
            start = getattr(preset, setting)
            if isinstance(law, CategoricalDistribution):
                assert start in law.choices
            else:
                assert law.low <= start <= law.high
        assert ("batch" in space) == (unit == "patch")
        assert ("patients_per_step" in space) == (unit == "patient")


def test_tuning_varies_nothing_that_decides_the_printed_epsilon_or_only_the_speed() -> None:
    space = registry.generators.get("dp-wgan").presets["quick"].search_space("patch")
    assert not {"accountant", "dp_engine"} & set(space)


def test_what_the_user_set_is_held_fast() -> None:
    request = Request(
        generators=("dp-wgan",), epsilons=(5.0,), settings={"dp-wgan": {"batch": "99"}}
    )
    question = StudySpec(request=request)
    assert "batch" not in question.space()
    assert question.start().as_dict()["batch"] == 99


@dataclass(frozen=True, kw_only=True)
class InSteps(Settings):
    width: Annotated[int, IntDistribution(8, 64, step=8), Tuned()] = 16
    share: Annotated[float, FloatDistribution(0.0, 1.0, step=0.25), Tuned()] = 0.5


def test_a_range_in_steps_is_searched_in_steps_unless_the_start_is_between_them() -> None:
    space = InSteps().search_space("patch")
    assert (space["width"].step, space["share"].step) == (8, 0.25)
    space = InSteps(width=9, share=0.3).search_space("patch")
    assert (space["width"].step, space["share"].step) == (1, None)
    assert space["share"].low <= 0.3 <= space["share"].high


def shown(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> Result:
    monkeypatch.setattr("benchmark.results.tuned_settings.SHIPPED", folder / "shipped")
    return CliRunner().invoke(show, [*words, "--tuned", "--out", str(folder)])


def test_what_is_shipped_is_shown_where_nothing_was_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FOUND.write(tmp_path / "shipped")
    text = shown(monkeypatch, tmp_path, "dp-wgan").output
    assert "Tuned for ε = 5 (one patch, δ = 1e-05): 20 trials on phantom data" in text
    assert "dp-wgan.batch = 256 → 128" in text
    assert "dp-wgan.loss = hinge →" not in text
    assert "the rest as the preset has it" in text
    assert "Composed" not in text


def test_what_patients_chose_is_shown_with_the_composed_epsilon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaky = how(on="private", selection=NOT_ACCOUNTED, epsilon_of_all_trials=12.34)
    replace(FOUND, provenance=leaky).write(tmp_path / "tuned")
    text = shown(monkeypatch, tmp_path, "dp-wgan").output
    assert "Composed over all trials: ε = 12.34 for a patch; δ = 1e-05" in text
    assert "Validation patients have no guarantee" in text


@pytest.mark.parametrize("name", ["unet", "real", "protocol"])
def test_what_is_never_tuned_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = shown(monkeypatch, tmp_path, name).exception
    assert isinstance(refused, UsageError)
    assert str(refused).startswith(f"{name} is never tuned")
