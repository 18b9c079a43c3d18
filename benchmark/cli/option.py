"""Options that several commands share, so that they have one meaning and one wording.

Options whose words differ between commands are functions, ``@option.unit()``. The others are
decorators, ``@option.preset``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from benchmark.cli.config import read
from benchmark.cli.finite import LIMIT
from benchmark.core.bounds import shortened
from benchmark.core.editions import DEFAULT, EDITIONS
from benchmark.core.errors import UsageError

if TYPE_CHECKING:
    from benchmark.data.reading import Reading

OF_READING = ("layout", "acquisition", "skip_bad", "accepted")
"""Parameters that say how folders are read."""

DIGITS = 10
"""A number with as many is larger than any bound."""

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    """Split an option's names at commas.

    Raises:
        UsageError: If there is none.
    """
    found = tuple(name.strip() for name in value.split(",") if name.strip())
    if not found:
        raise UsageError("Expected at least one name, separated by commas.")
    return found


def counts(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, ...]:
    """Read numbers of own patients: those above 0, rising. 0 is left out, as every run has it.

    Raises:
        UsageError: If they are not whole, negative, there twice, or 0 alone.
    """
    texts = [text.strip() for text in value.split(",")] if value is not None else []
    wrong = next((text for text in texts if not _is_count(text)), None)
    many = [] if wrong is not None else [int(text) for text in texts]
    law = "Expected --own-patients to be whole numbers from 0 up, each once, as 0,1,2,5; got"
    if wrong is not None or len(set(many)) < len(many):
        raise UsageError(f"{law} {shortened(repr(value))}.")
    if texts and not any(many):
        raise UsageError(
            f"Expected --own-patients to have a number above 0, got {value!r}; without own "
            "patients, leave the option out."
        )
    return tuple(sorted(one for one in many if one))


AUTO = "auto"


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < DIGITS


def seeds_or_auto(_: click.Context, __: click.Parameter, value: str) -> int | str:
    """Read a number of seeds, or ``auto``.

    Raises:
        UsageError: If it is neither.
    """
    if value == AUTO:
        return AUTO
    if not (value.isascii() and value.isdigit() and len(value) < DIGITS and int(value)):
        raise UsageError(
            "Expected --seeds to be a whole number from 1 up, or auto, "
            f"got {shortened(repr(value))}."
        )
    return int(value)


def settings_of(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read the values of ``--set`` as texts by setting, by plug-in.

    Raises:
        UsageError: For a text that is not of the form ``PLUGIN.NAME=VALUE``.
    """
    read: dict[str, dict[str, str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        plug_in, dot, setting = name.strip().partition(".")
        if not (equals and dot and plug_in and setting):
            raise UsageError(f"Expected --set PLUGIN.NAME=VALUE, got {text!r}.")
        read.setdefault(plug_in, {})[setting] = value.strip()
    return read


def named_settings(texts: Sequence[str]) -> dict[str, str]:
    """Read the values of ``--set`` as texts by ``plug-in.setting``."""
    read = settings_of(texts)
    return {f"{name}.{one}": text for name, each in read.items() for one, text in each.items()}


def epsilon(default: str, help: str = "Privacy levels; `inf` for none.") -> Option:
    """Return the option ``--epsilon`` for several levels."""
    return click.option("--epsilon", default=default, show_default=True, metavar="E[,E]", help=help)


def overrides(help: str) -> Option:
    """Return the option ``--set``, as the parameter ``settings``.

    Values on the command line come after those of a file, and so replace them one by one.
    """

    def added(
        context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
    ) -> tuple[str, ...]:
        typed = context.get_parameter_source("settings") is ParameterSource.COMMANDLINE
        of_the_file = (
            context.default_map.get("settings", ()) if typed and context.default_map else ()
        )
        return (*of_the_file, *texts)

    text = "PLUGIN.NAME=VALUE"
    return click.option("--set", "settings", multiple=True, callback=added, metavar=text, help=help)


config = click.option(
    "--config",
    type=click.Path(path_type=Path),
    callback=read,
    is_eager=True,
    expose_value=False,
    metavar="FILE",
    help="Take options from a TOML file, as `epsilon = [2, 5]`; the command line takes precedence. "
    "Every sweep writes its options to OUT/sweep.toml.",
)


def jobs(what: str) -> Option:
    """Return the option ``--jobs``: the number of processes, or 0 for this one."""
    help = (
        f"{what} at a time, each in a process of its own; 0 runs them one by one in this process, "
        "for a debugger. On a cluster, the most at a time.  [default: the number of cores; on a "
        "cluster what it takes]"
    )
    return click.option("--jobs", type=click.IntRange(0), help=help)


def cores() -> int:
    """Return the number of this machine's cores."""
    return os.cpu_count() or 1


def debug() -> bool:
    """Tell whether ``bench --debug`` was given before the command."""
    return bool(click.get_current_context().find_root().params.get("debug"))


def fid_weights(what: str) -> Option:
    """Return the option ``--fid-weights``; ``None`` means to look in the caches."""
    help = f"Inception weights for {what}.  [default: looked for in the caches]"
    return click.option("--fid-weights", type=click.Path(path_type=Path), metavar="FILE", help=help)


def folder(flag: str, help: str, **more: Any) -> Option:
    """Return an option for a folder; ``None`` if it is not given."""
    return click.option(flag, type=click.Path(path_type=Path), metavar="FOLDER", help=help, **more)


def out(help: str) -> Option:
    """Return the option ``--out``: where a command writes."""
    kind = click.Path(path_type=Path)
    return click.option("--out", type=kind, default=Path("runs"), show_default=True, help=help)


def unit(help: str = "What ε protects.") -> Option:
    """Return the option ``--unit``."""
    kind = click.Choice(["patch", "patient"])
    return click.option("--unit", type=kind, default="patch", show_default=True, help=help)


def delta(what: str = "δ") -> Option:
    """Return the option ``--delta``; ``None`` means the largest that the units allow."""
    help = f"{what}; at most min(1e-5, 1 / (10 units)).  [default: the most]"
    return click.option("--delta", type=float, help=help)


annotators = click.option(
    "--annotators",
    type=click.Choice(["usual", "broad", "narrow"]),
    default="usual",
    show_default=True,
    help="Who labels the phantoms: broad marks a voxel more on every side, narrow the core of a "
    "vessel.",
)
preset = click.option(
    "--preset",
    default="quick",
    show_default=True,
    metavar="NAME",
    help="Settings to start from: quick, standard or paper.",
)
protocol = click.option(
    "--protocol",
    default=DEFAULT,
    show_default=True,
    metavar="EDITION",
    help="The rules of comparison: " + " or ".join(EDITIONS) + "; results of two are never mixed.",
)
segmenter = click.option(
    "--segmenter",
    default="unet",
    show_default=True,
    metavar="NAME",
    help="The segmenter that learns from the synthetic patches.",
)
layout = click.option(
    "--layout", metavar="NAME", help="The layout of the files.  [default: found from their names]"
)
acquisition = click.option(
    "--acquisition",
    metavar="ENTITIES",
    help="Which of a patient's angiographies, as ses-2_run-1.  [default: the first labelled]",
)


def accept(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--accept``, as the parameter ``accepted``."""
    from benchmark.data.reading import STOPPING

    kind = click.Choice(list(STOPPING))
    help = "Continue despite notes of this kind; repeatable."
    return click.option("--accept", "accepted", type=kind, multiple=True, help=help)(command)


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all options on how folders are read: see ``reading_of``."""
    skip_bad = click.option(
        "--skip-bad",
        is_flag=True,
        help="Leave out patients with faults, list them, and say what that means for privacy.",
    )
    for add in (accept, skip_bad, acquisition, layout):
        command = add(command)
    return command


def reading_of(options: Mapping[str, Any]) -> Reading:
    """Return how folders are to be read, from the parsed options."""
    from benchmark.data.reading import Reading

    return Reading(**{name: options[name] for name in OF_READING if name in options})


sites = click.option(
    "--sites",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="The number of simulated sites to train across.",
)
partition = click.option(
    "--partition",
    default="site",
    show_default=True,
    metavar="HOW",
    help="With --sites: how patients are assigned to them: site (the cohort's own), scanner, "
    "size-skew:A,B[,…], dirichlet:ALPHA.",
)


def _curious(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """The t of ``t=1``, or of a number alone."""
    if text is None:
        return None
    number = text.removeprefix("t=")
    if not (number.isascii() and number.isdigit() and len(number) <= LONGEST_NUMBER):
        raise UsageError(
            f"Expected --secure-sum as t=1, for how many curious sites it is sized; got {text!r}."
        )
    return int(number)


LONGEST_NUMBER = 9
secure_sum = click.option(
    "--secure-sum",
    callback=_curious,
    metavar="t=T",
    help="Add up securely: the server sees the sum of the sites' replies alone, so the sites share "
    "the noise. It is sized so that ε holds against the server and any T other sites together.",
)


def limits(what: str) -> Option:
    """``--cell-timeout`` and ``--cell-memory``."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, metavar, help in (
            ("--cell-memory", "GIB", f"A {what} whose process holds more has failed."),
            ("--cell-timeout", "SECONDS", f"A {what} whose process takes longer has failed."),
        ):
            command = click.option(name, type=LIMIT, metavar=metavar, help=help)(command)
        return command

    return decorate


device = click.option("--device", default="cpu", show_default=True, help="A torch device.")
tracking_uri = click.option(
    "--tracking-uri",
    metavar="URI",
    help="MLflow's store; `none` for none.  [default: OUT/mlflow.db]",
)
