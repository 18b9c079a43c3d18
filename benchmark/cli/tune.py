"""``bench tune``: a search for settings at each privacy level."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from benchmark.cli import on_cluster, option
from benchmark.cli.option import names, settings_of
from benchmark.core.bounds import TRIALS
from benchmark.core.errors import UsageError

if TYPE_CHECKING:
    from benchmark.sweep.workspace import Workspace
    from benchmark.tuning.run import Order

UNSAID = (
    "out",
    "storage",
    "tracking_uri",
    "fid_weights",
    "jobs",
    "device",
    "cell_timeout",
    "cell_memory",
    "ray",
    "slurm",
    "cpus_per_cell",
    "gpus_per_cell",
    "ship_data",
)
COHORT = "COHORT"


@click.command()
@click.option("--generator", "generators", required=True, callback=names, metavar="NAME[,NAME]")
@option.epsilon("1,2,5,7.4,inf", "Privacy levels; a study for each.")
@click.option(
    "--trials", type=click.IntRange(*TRIALS), default=20, show_default=True, help="Of each study."
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How many seeds a trial's score is the mean of; a trial that falls behind is stopped.",
)
@click.option(
    "--objective",
    "objectives",
    default="dice",
    show_default=True,
    callback=names,
    metavar="NAME[,NAME]",
    help="dice, fid, distance: on validation patients; the first decides the winner.",
)
@click.option(
    "--on",
    type=click.Choice(["phantom", "private"]),
    default="phantom",
    show_default=True,
    help="The data that settings are chosen on; phantoms cost no privacy.",
)
@click.option(
    "--leaky", is_flag=True, help="Needed with --on private, as the choice is not accounted."
)
@option.annotators
@option.folder("--data", "The cohort, with --on private.")
@option.reading
@option.unit()
@option.delta("δ of a trial")
@option.segmenter
@option.preset
@option.protocol
@option.overrides("Fixes a setting, as `dp-wgan.batch=128`.")
@option.sites
@option.partition
@option.jobs("Trials")
@option.limits("trial")
@on_cluster.options(
    "trial", "Run trials on the nodes of this Ray cluster, as HOST:PORT, or `auto`."
)
@option.device
@option.fid_weights("--objective fid")
@click.option(
    "--storage",
    metavar="URL",
    help="Optuna's store, which several machines can share.  [default: a file in OUT]",
)
@option.out("The folder for trials, and for OUT/tuned.")
@option.tracking_uri
def tune(**options: Any) -> None:
    """Search for a generator's settings at each privacy level.

    The same command continues a killed search. Several commands can share one --storage. `bench run
    --tuned` uses the settings that were found.
    """
    from benchmark.terminal.console import Console
    from benchmark.terminal.tuning import draw_studies, front_table, tuning_table
    from benchmark.tuning.run import run_studies

    if options["slurm"] is not None and options["jobs"] is None:
        raise UsageError(
            "bench tune --slurm needs --jobs, the number of trials at a time, as later trials "
            "learn from earlier ones."
        )
    order, place = _order(options), _place(options)
    console = Console(debug=option.debug())
    with console:
        answers, cost, stopped = run_studies(order, place, console.listener())
    if answers:
        console.show(tuning_table([answer.found for answer in answers]))
    for answer in answers:
        if len(order.objectives) > 1:
            console.show(front_table(answer))
    pictures = draw_studies(answers, place.out) if answers else []
    for answer in answers:
        for picture in pictures:
            answer.keep(picture)
    console.say_together(cost)
    files = [*(answer.file for answer in answers), *pictures]
    click.echo(f"Files: {', '.join(str(file) for file in files)}")
    if stopped is not None:
        raise stopped


def _command() -> str:
    """What was typed, but for what decides no result and names of folders and servers."""
    context = click.get_current_context()
    words = ["bench", "tune"]
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is ParameterSource.COMMANDLINE and parameter.name not in UNSAID:
            words += _words(parameter, context.params[parameter.name or ""])
    return shlex.join(words)


def _words(parameter: click.Parameter, value: Any) -> list[str]:
    flag = parameter.opts[0]
    if value is True:
        return [flag]
    if parameter.multiple:
        return [word for one in value for word in (flag, one)]
    if isinstance(value, Path):
        return [flag, COHORT]
    return [flag, ",".join(value) if isinstance(value, tuple) else str(value)]


def _order(options: Mapping[str, Any]) -> Order:
    from benchmark.core.budget import parse_epsilon
    from benchmark.sweep.request import Request
    from benchmark.sweep.sites import Federation, check_needs_sites
    from benchmark.tuning.run import Order

    private = options["on"] == "private"
    if private != options["leaky"]:
        raise UsageError(
            "--on private needs --leaky, and only that does: every trial spends privacy on the "
            "patients, and the choice among them is not accounted; --on phantom costs nothing."
        )
    sites = Federation(sites=options["sites"], partition=options["partition"])
    check_needs_sites(sites)
    request = Request(
        generators=options["generators"],
        epsilons=[parse_epsilon(text) for text in options["epsilon"].split(",")],
        unit=options["unit"],
        delta=options["delta"],
        segmenters=(options["segmenter"],),
        preset=options["preset"],
        protocol=options["protocol"],
        settings=settings_of(options["settings"]),
        seeds=options["seeds"],
        bookends=False,
        noise="system" if private else "seeded",
        federation=sites,
    )
    return Order(
        request=request,
        objectives=options["objectives"],
        trials=options["trials"],
        storage=options["storage"],
        private=private,
        annotators=options["annotators"],
        command=_command(),
    )


def _place(options: Mapping[str, Any]) -> Workspace:
    from benchmark.core.folders import cache_folder, state_folder
    from benchmark.sweep.machine import Machine
    from benchmark.sweep.workspace import Workspace

    return Workspace(
        out=options["out"],
        machine=Machine(
            cache=cache_folder(),
            state=state_folder(),
            fid_weights=options["fid_weights"],
            device=options["device"],
            cell_timeout_s=options["cell_timeout"],
            cell_memory_gib=options["cell_memory"],
        ),
        data=options["data"],
        reading=option.reading_of(options),
        jobs=option.cores() if options["jobs"] is None else options["jobs"],
        cluster=on_cluster.asked(options),
        tracking_uri=options["tracking_uri"],
    )
