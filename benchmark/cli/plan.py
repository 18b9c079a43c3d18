"""``bench plan``: what private generators would face, from public numbers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import option
from benchmark.cli.option import names, settings_of
from benchmark.core.bounds import PATIENTS, SEEDS

if TYPE_CHECKING:
    from benchmark.sweep.request import Request


@click.command()
@click.option(
    "--patients",
    type=click.IntRange(*PATIENTS),
    required=True,
    metavar="N",
    help="How many patients a fit would have; a public number.",
)
@click.option(
    "--patches",
    type=int,
    metavar="K",
    help="The most patches of a patient.  [default: the preset's]",
)
@option.unit()
@option.epsilon("1,2,5,7.4")
@option.delta()
@click.option(
    "--generator",
    "generators",
    callback=lambda context, option, value: value and names(context, option, value),
    metavar="NAME[,NAME]",
    help="Which.  [default: all that have the preset]",
)
@click.option(
    "--seeds",
    type=click.IntRange(*SEEDS),
    default=3,
    show_default=True,
    help="How many seeds each row would have.",
)
@click.option(
    "--test-patients",
    type=click.IntRange(*PATIENTS),
    default=20,
    show_default=True,
    metavar="P",
    help="On how many patients it would be tested; the embedded cohort has 20.",
)
@option.preset
@option.protocol
@option.overrides("Overrides a setting, as `dp-wgan.batch=128`.")
def plan(**options: Any) -> int:
    """Say what each private generator would face, before any data are touched.

    From public numbers alone: no cohort, patch or ledger is read. `noise / signal` is the length of
    all the noise that a fit adds, over the length of the longest sum that its units (patches, or
    patients) could make if all of them pulled the same way, at the full clip norm, in every step:
    the best case, so that real fits fare worse. Up to 0.1 is workable, above 2.5 hopeless, between
    them doubtful. These limits rest on a few measured cases (docs/privacy.md) and promise nothing.

    Below the table stands the smallest difference in Dice that so many seeds and test patients can
    show, and how many seeds would show 0.03: of one pair of rows, two-sided at 5 %, with a power of
    0.8. It is estimated from phantoms of the board's protocol; other data differ.
    """
    from benchmark.core.folders import cache_folder, check_writable
    from benchmark.results.resolution import resolution
    from benchmark.sweep.feasibility import prospects
    from benchmark.terminal.console import Console
    from benchmark.terminal.prospects import prospects_table

    check_writable(cache_folder())
    console, request = Console(), _request(options)
    listener = console.listener()
    with console:
        found = prospects(request, options["patients"], cache_folder(), listener.preparing)
    console.show(prospects_table(found))
    seeds, tested = options["seeds"], options["test_patients"]
    for sentence in resolution(request.generators, request.unit, seeds, tested):
        listener.news(sentence)
    failed = [one for one in found if one.reason]
    for one in failed:
        listener.warning(f"{one.generator}, ε = {one.epsilon:g}: {one.reason}")
    return 1 if failed else 0


def _request(options: Mapping[str, Any]) -> Request:
    from benchmark.core.budget import parse_epsilon
    from benchmark.core.editions import PROTOCOL
    from benchmark.sweep.feasibility import with_preset
    from benchmark.sweep.request import Request

    settings = settings_of(options["settings"])
    if options["patches"] is not None:
        settings.setdefault(PROTOCOL, {})["patches_per_patient"] = str(options["patches"])
    return Request(
        generators=options["generators"] or with_preset(options["preset"]),
        epsilons=[parse_epsilon(text) for text in options["epsilon"].split(",")],
        unit=options["unit"],
        delta=options["delta"],
        segmenters=(),
        preset=options["preset"],
        protocol=options["protocol"],
        settings=settings,
        bookends=False,
    )
