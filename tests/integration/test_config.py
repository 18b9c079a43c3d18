"""``bench run --config``: the same options as on the command line, and a sweep repeats its own."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from command import FEW_PATCHES, UNTRACKED, bench, stamps_of

from benchmark.cli import option
from benchmark.cli import run as command
from benchmark.cli.main import main

RUN = [
    "run",
    "--generator",
    "simulator,real",
    "--segmenter",
    "frangi",
    "--no-bookends",
    *FEW_PATCHES,
]
TABLE = """
generator = ["dp-wgan", "wgan"]
epsilon = [2, 7.4, inf]
seeds = 3
first-seed = 1
bookends = false
unit = "patient"
test-data = ["one", "two"]
own-patients = [0, 2]
set.protocol.samples = 64
set."dp-wgan.clip_norm" = 1.5

[set.dp-wgan]
begin = "simulator"
"""
TYPED = [
    *("--generator", "dp-wgan,wgan", "--epsilon", "2,7.4,inf", "--seeds", "3"),
    *("--first-seed", "1", "--no-bookends", "--unit", "patient", "--test-data", "one"),
    *("--test-data", "two", "--own-patients", "0,2", "--set", "protocol.samples=64"),
    *("--set", "dp-wgan.clip_norm=1.5", "--set", "dp-wgan.begin=simulator"),
]


def parsed(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command is called with, in place of a sweep."""
    heard: dict[str, Any] = {}
    monkeypatch.setattr(command.run, "callback", lambda **options: heard.update(options))
    done = CliRunner().invoke(command.run, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return heard


def in_file(folder: Path, text: str) -> list[str]:
    (folder / "asked.toml").write_text(text, encoding="utf-8")
    return ["--config", str(folder / "asked.toml")]


def test_a_file_says_what_the_same_options_say(tmp_path: Path, monkeypatch) -> None:
    typed = parsed(*TYPED, monkeypatch=monkeypatch)
    of_file = parsed(*in_file(tmp_path, TABLE), monkeypatch=monkeypatch)
    assert sorted(of_file.pop("settings")) == sorted(typed.pop("settings"))
    assert of_file == typed


def test_the_file_of_the_guide_can_be_read(tmp_path: Path, monkeypatch) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "start.md").read_text(encoding="utf-8")
    text = guide.partition("```toml\n")[2].partition("```")[0]
    found = parsed(*in_file(tmp_path, text), monkeypatch=monkeypatch)
    assert found["settings"] == ("dp-wgan.clip_norm=1", "protocol.samples=2000")
    assert found["epsilon"] == "2,5,inf"


def test_the_command_line_wins_and_adds_single_settings(tmp_path: Path, monkeypatch) -> None:
    text = 'generator = "wgan"\nepsilon = "5"\nbookends = false\n'
    text += 'set = ["wgan.batch=8", "unet.width=8"]'
    typed = ["--epsilon", "inf", "--bookends", "--set", "wgan.batch=16"]
    found = parsed(*in_file(tmp_path, text), *typed, monkeypatch=monkeypatch)
    assert (found["generators"], found["epsilon"], found["bookends"]) == (("wgan",), "inf", True)
    assert option.settings_of(found["settings"]) == {
        "wgan": {"batch": "16"},
        "unet": {"width": "8"},
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epsilo = 2", "No option of bench run is called 'epsilo'. Did you mean 'epsilon'?"),
        ("test_data = 2", "called 'test_data'. Did you mean 'test-data'?"),
        ("config = 'a.toml'", "No option of bench run is called 'config'."),
        (
            "epsilon = true",
            "Expected epsilon to be a text or a number, or a list of them, got true.",
        ),
        ("epsilon = [[2]]", "or a list of them, got [[2]]."),
        ("first-seed = '0'", "Expected first-seed to be a whole number, got '0'."),
        ("first-seed = 1.5", "Expected first-seed to be a whole number, got 1.5."),
        ("delta = 'small'", "Expected delta to be a number, got 'small'."),
        ("bookends = 'no'", "Expected bookends to be true or false, got 'no'."),
        ("unit = ['patch']", "Expected unit to be a text, got ['patch']."),
        ("data = 3", "Expected data to be a text, got 3."),
        ("test-data = [3]", "Expected test-data to be a text or a list of texts, got [3]."),
        ("set = 3", "Expected set to be a text or a list of texts, got 3."),
        ("set.dp-wgan.batch = [8]", "Expected set.dp-wgan.batch to be a text, a number, true or"),
        ("set.dp-wgan.clipnorm = 1", "called 'clipnorm'. Did you mean 'clip_norm'?"),
        ("set = ['batch=8']", "Expected --set PLUGIN.NAME=VALUE, got 'batch=8'."),
        ("epsilon = ", "this is not a readable TOML file (Invalid value"),
    ],
)
def test_an_unusable_file_gets_one_sentence_and_leaves_nothing(
    text: str, sentence: str, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [*in_file(tmp_path, text), "--generator", "dp-wgan"]
    monkeypatch.setattr(sys, "argv", ["bench", "run", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip()
    assert sentence in error
    assert error.count("\n") == 0
    assert [file.name for file in tmp_path.iterdir()] == ["asked.toml"]


def test_a_sweep_leaves_the_file_that_repeats_it_and_computes_nothing_twice(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    asked = [*RUN, "--data", "cohort", "--out", "elsewhere", *UNTRACKED]
    first = bench(*asked, cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "seed 0: done (1 of 2, about " in first.stdout
    assert "seed 0: done (2 of 2)" in first.stdout
    file = tmp_path / "elsewhere" / "sweep.toml"
    text = file.read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    said = tomllib.loads(text)
    assert (said["data"], said["out"], said["bookends"]) == ("cohort", "elsewhere", False)
    assert not {"jobs", "device", "backend", "tracking-uri", "site-timeout"} & said.keys()
    cells = sorted(f.parent for f in tmp_path.glob("elsewhere/*/*/result.json"))
    before = [stamps_of(cell) for cell in cells]
    again = bench("run", "--config", "elsewhere/sweep.toml", *UNTRACKED, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "2 cells, 2 of them done before." in again.stdout
    assert sorted(f.parent for f in tmp_path.glob("elsewhere/*/*/result.json")) == cells
    assert [stamps_of(cell) for cell in cells] == before
    assert file.read_text(encoding="utf-8") == text
