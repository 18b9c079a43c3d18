"""``bench run``: a sweep."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.core.errors import UsageError

if TYPE_CHECKING:
    from benchmark.sweep.request import Request
    from benchmark.sweep.sites import Federation

DP_SEGMENTER = "dp-segmenter"


def names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    """Splits an option's names at commas."""
    found = tuple(name.strip() for name in value.split(",") if name.strip())
    if not found:
        raise UsageError("Expected at least one name, separated by commas.")
    return found


@click.command()
@click.option(
    "--generator",
    "generators",
    required=True,
    callback=names,
    metavar="NAME[,NAME]",
    help="Generators to compare; `bench list` has the names.",
)
@click.option(
    "--epsilon",
    default="inf",
    show_default=True,
    metavar="E[,E]",
    help="Privacy levels; `inf` for none.",
)
@click.option(
    "--unit",
    type=click.Choice(["patch", "patient"]),
    default="patch",
    show_default=True,
    help="What ε protects.",
)
@click.option(
    "--delta", type=float, help="δ; at most 1e-5 and a tenth of 1/units.  [default: that]"
)
@click.option(
    "--segmenter",
    "segmenters",
    default="unet",
    show_default=True,
    callback=names,
    metavar="NAME[,NAME]",
    help="Segmenters that learn from the synthetic patches.",
)
@click.option(
    "--preset",
    default="quick",
    show_default=True,
    metavar="NAME",
    help="Settings to start from: quick, standard or paper.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PLUGIN.NAME=VALUE",
    help="Overrides a setting, as `dp-wgan.clip_norm=1` or `protocol.samples=2000`.",
)
@click.option(
    "--tuned",
    is_flag=True,
    help="Take settings that `bench tune` found, for the nearest level at or below each ε.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A cohort.  [default: the embedded phantoms]",
)
@click.option(
    "--test-data",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FOLDER",
    help="A further test set; repeatable.",
)
@click.option("--layout", metavar="NAME", help="How they lie.  [default: found out by looking]")
@click.option("--skip-bad", is_flag=True, help="Leave out patients with faults, and list them.")
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many seeds each cell is repeated with.",
)
@click.option(
    "--first-seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The first; settings are confirmed on others than those they were tuned on.",
)
@click.option(
    "--bookends/--no-bookends",
    default=True,
    show_default=True,
    help="Run `real` and `simulator` beside the rest.",
)
@click.option(
    "--dp-segmenter/--no-dp-segmenter",
    default=False,
    show_default=True,
    help="Also train a U-Net itself by DP-SGD on real patches, at every ε: is synthesis worth it?",
)
@click.option(
    "--noise",
    type=click.Choice(["seeded", "system"]),
    help="Where private noise comes from.  [default: seeded for phantoms, else system]",
)
@click.option(
    "--sites",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Train across so many simulated sites.",
)
@click.option(
    "--partition",
    default="site",
    show_default=True,
    metavar="HOW",
    help="Whose patients are whose: site (the cohort's own), scanner, size-skew:A,B[,…], "
    "dirichlet:ALPHA.",
)
@click.option("--rounds", type=click.IntRange(1), help="Federated rounds.  [default: by settings]")
@click.option(
    "--local-steps",
    type=click.IntRange(1),
    help="Critic steps of a site in each round.  [default: by settings]",
)
@click.option(
    "--design",
    default="",
    metavar="NAME",
    help="How sites train together: averaged-critics or fedgan.  [default: the generator's first]",
)
@click.option(
    "--baselines", is_flag=True, help="Run each site alone, and all patients pooled, too."
)
@click.option(
    "--backend",
    type=click.Choice(["in-process", "ray"]),
    default="in-process",
    show_default=True,
    help="Where the sites of a simulation run.",
)
@click.option(
    "--site-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a site may take for a round.",
)
@click.option("--jobs", type=click.IntRange(1), help="Cells at a time.  [default: the cores]")
@click.option("--device", default="cpu", show_default=True, help="A torch device.")
@click.option(
    "--fid-weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Inception weights for FID.  [default: looked for in the caches]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where results go.",
)
@click.option(
    "--tracking-uri",
    metavar="URI",
    help="MLflow's store; `none` for none.  [default: OUT/mlflow.db]",
)
def run(**options: Any) -> int:
    """Fit, sample, segment and score: Dice and FID at each ε."""
    from benchmark.cli.console import Console
    from benchmark.data.folders import cache_folder, state_folder
    from benchmark.sweep.sweep import Place, run_sweep

    place = Place(
        out=options["out"],
        cache=cache_folder(),
        state=state_folder(),
        data=options["data"],
        test_data=options["test_data"],
        layout=options["layout"],
        skip_bad=options["skip_bad"],
        fid_weights=options["fid_weights"],
        jobs=options["jobs"] or os.cpu_count() or 1,
        device=options["device"],
        backend=options["backend"],
        site_timeout_s=options["site_timeout"],
        tracking_uri=options["tracking_uri"],
    )
    console, request = Console(), _request(options)
    with console:
        finished = run_sweep(request, place, console.listener())
    console.report(finished, place.out)
    return 1 if any(outcome.state == "failed" for outcome in finished.outcomes) else 0


def _request(options: Mapping[str, Any]) -> Request:
    from benchmark.core.budget import parse_epsilon
    from benchmark.sweep.request import Request
    from benchmark.sweep.tuned import FOLDER, SHIPPED

    private = options["data"] is not None
    direct = [DP_SEGMENTER] if options["dp_segmenter"] else []
    return Request(
        generators=list(dict.fromkeys([*options["generators"], *direct])),
        epsilons=[parse_epsilon(text) for text in options["epsilon"].split(",")],
        unit=options["unit"],
        delta=options["delta"],
        segmenters=options["segmenters"],
        preset=options["preset"],
        settings=settings_of(options["settings"]),
        seeds=options["seeds"],
        first_seed=options["first_seed"],
        bookends=options["bookends"],
        noise=options["noise"] or ("system" if private else "seeded"),
        federation=_federation(options),
        tuned=(options["out"] / FOLDER, SHIPPED) if options["tuned"] else (),
    )


def _federation(options: Mapping[str, Any]) -> Federation:
    from benchmark.sweep.sites import Federation

    of_sites = ("partition", "rounds", "local_steps", "design", "baselines")
    asked = Federation(sites=options["sites"], **{name: options[name] for name in of_sites})
    if not asked.asked and asked != Federation():
        raise UsageError(
            "--partition, --rounds, --local-steps, --design and --baselines need --sites."
        )
    return asked


def settings_of(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Reads what ``--set`` gives: texts by setting, by plug-in."""
    read: dict[str, dict[str, str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        plug_in, dot, setting = name.strip().partition(".")
        if not (equals and dot and plug_in and setting):
            raise UsageError(f"Expected --set PLUGIN.NAME=VALUE, got {text!r}.")
        read.setdefault(plug_in, {})[setting] = value.strip()
    return read
