"""``bench plan``: plans of private generators, from public numbers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import option
from benchmark.cli.option import names, settings_of
from benchmark.core.bounds import PATIENTS, SEEDS

if TYPE_CHECKING:
    from benchmark.sweep.consortium import Consortium
    from benchmark.sweep.feasibility import Prospect
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
    help="Generators to plan.  [default: all that have the preset]",
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
    help="How many patients there would be to test on; the embedded cohort has 20.",
)
@click.option(
    "--sites",
    type=int,
    metavar="N",
    help="Also plan fits across N sites: the noise of each way of adding up, who could see what, "
    "and a recommendation.",
)
@click.option(
    "--partition",
    metavar="HOW",
    help="With --sites, how many patients each site has: equal, size-skew:A,B[,…] or "
    "dirichlet:ALPHA.  [default: equal]",
)
@option.preset
@option.protocol
@option.overrides("Overrides a setting, as `dp-wgan.batch=128`.")
def plan(**options: Any) -> int:
    """Plan each private generator, before any data are read.

    Only public numbers are used: no cohort, patch or ledger is read. `noise / signal` is the length
    of all the noise that a fit adds, over the length of the longest sum of its units (patches, or
    patients). That sum is the best case: all units agree in every step, at the full clip norm. So
    real fits do worse. Up to 0.1 is workable, above 2.5 hopeless, between them doubtful. These
    limits come from a few measured cases (docs/privacy.md) and promise nothing.

    With `--sites` there are two more tables. The first has the noise of three ways of adding up:
    local noise (each site reaches ε by itself, as in `bench run --sites`), secure sums (the sites
    share the noise, so that ε holds against the server and one curious site), and all patients
    pooled. The second has the ε that an outsider, the server, and sites that collude would face.

    Below the tables is the smallest difference in Dice that this number of seeds and test patients
    can show, and how many seeds would show 0.03. Both are for one pair of rows, two-sided at 5 %,
    with a power of 0.8. They are estimated from phantoms of the board's protocol; other data may
    differ.
    """
    from benchmark.core.folders import cache_folder, check_writable
    from benchmark.results.resolution import resolution
    from benchmark.sweep.consortium import consortia, recommendations
    from benchmark.sweep.feasibility import prospects
    from benchmark.sweep.site_sizes import site_sizes
    from benchmark.terminal.console import Console
    from benchmark.terminal.consortium import noise_table, observers_table
    from benchmark.terminal.prospects import prospects_table

    sizes = site_sizes(options["patients"], options["sites"], options["partition"])
    check_writable(cache_folder())
    console, request, cache = Console(), _request(options), cache_folder()
    listener = console.listener()
    with console:
        found = prospects(request, options["patients"], cache, listener.preparing)
        together = consortia(request, found, sizes, cache, listener.preparing) if sizes else []
    console.show(prospects_table(found))
    if seen := [row for one in together for row in one.observed]:
        console.show(noise_table(together, sizes))
        console.show(observers_table(seen))
    elif sizes:
        listener.news("No generator here has a finite ε and can be trained across sites.")
    for sentence in recommendations(together):
        listener.news(sentence)
    seeds, tested = options["seeds"], options["test_patients"]
    for sentence in resolution(request.generators, request.unit, seeds, tested):
        listener.news(sentence)
    plans: list[Prospect | Consortium] = [*found, *together]
    failed = [one for one in plans if one.reason]
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
