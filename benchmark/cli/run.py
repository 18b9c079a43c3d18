"""``bench run``: a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import on_cluster, option
from benchmark.cli.config import write
from benchmark.cli.finite import LIMIT
from benchmark.cli.option import counts, names, seeds_or_auto

if TYPE_CHECKING:
    from angiobench.sweep import Sweep
    from benchmark.terminal.console import Console


@click.command()
@option.config
@click.option(
    "--generator",
    "generators",
    required=True,
    callback=names,
    metavar="NAME[,NAME]",
    help="Generators to compare; `bench list` has the names.",
)
@option.epsilon("inf")
@option.unit()
@option.delta()
@click.option(
    "--segmenter",
    "segmenters",
    default="unet",
    show_default=True,
    callback=names,
    metavar="NAME[,NAME]",
    help="Segmenters that learn from the synthetic patches.",
)
@option.preset
@option.protocol
@option.overrides("Overrides a setting, as `dp-wgan.clip_norm=1` or `protocol.samples=2000`.")
@click.option(
    "--tuned",
    is_flag=True,
    help="Use settings that `bench tune` found, of the nearest level at or below each ε.",
)
@option.folder("--data", "A cohort.  [default: the embedded phantoms]")
@click.option(
    "--phantoms",
    type=click.Choice(["first", "broad", "narrow"]),
    default="first",
    show_default=True,
    help="Which embedded cohort: broad and narrow are other people, whose annotators end labels "
    "further out, and further in.",
)
@option.folder("--test-data", "A further test set; repeatable.", multiple=True)
@option.reading
@click.option(
    "--seeds",
    default="1",
    show_default=True,
    callback=seeds_or_auto,
    metavar="S|auto",
    help="How many seeds each cell is repeated with; `auto` begins with 3 and adds seeds to all "
    "rows until --precision is reached. On patients each seed is a further release, "
    "which the ledger charges.",
)
@click.option(
    "--precision",
    type=float,
    metavar="DICE",
    help="With --seeds auto: the largest half width of the 95 % interval of a row's Dice on the "
    "main test set.  [default: 0.03]",
)
@click.option(
    "--max-seeds",
    type=int,
    metavar="S",
    help="With --seeds auto: the most seeds.  [default: 20]",
)
@click.option(
    "--first-seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The first seed. Confirm settings on other seeds than those they were tuned on.",
)
@click.option(
    "--bookends/--no-bookends",
    default=True,
    show_default=True,
    help="Also run `real` (on phantoms only, as it costs patients ε = ∞) and the free rows "
    "`simulator`, `threshold` and `frangi`, which use no patient.",
)
@click.option(
    "--dp-segmenter/--no-dp-segmenter",
    default=False,
    show_default=True,
    help="Also train a U-Net itself by DP-SGD on real patches at every ε, for comparison.",
)
@click.option(
    "--own-patients",
    callback=counts,
    metavar="M[,M]",
    help="Also score segmenters that learn from the patches of M own patients, with synthetic "
    "patches and without; as 0,1,2,5. These patients are withheld from every fit.",
)
@click.option(
    "--canaries",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="M",
    help="Plant M made-up units in every private fit, and audit that very fit by them. "
    "They count in N, so a fit that protects patients bears few.",
)
@click.option(
    "--noise",
    type=click.Choice(["seeded", "system"]),
    help="The source of private noise.  [default: seeded for phantoms, else system]",
)
@option.sites
@option.partition
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
    help="How sites train together: averaged-critics, gradient-sums, …, or mixture for every "
    "generator: each site fits alone and sends synthetic patches once. `bench show NAME` lists "
    "those of a generator.  [default: its first]",
)
@option.secure_sum
@click.option(
    "--baselines", is_flag=True, help="Also run each site alone, and all patients pooled."
)
@click.option(
    "--backend",
    type=click.Choice(["in-process", "ray"]),
    default="in-process",
    show_default=True,
    help="With --sites: where the sites of a simulation run.",
)
@click.option(
    "--site-timeout",
    type=LIMIT,
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="With --sites: how long a site may take for a round.",
)
@option.jobs("Cells")
@option.limits("cell")
@on_cluster.options(
    "cell",
    "Run cells on the nodes of this Ray cluster, as HOST:PORT, or `auto`. With "
    "--backend ray it is the cluster of the sites instead.",
)
@option.device
@click.option(
    "--arithmetic",
    type=click.Choice(["exact", "fast"]),
    default="exact",
    show_default=True,
    help="`fast`: segmenters that learn from synthetic patches compute in bf16, where the machine "
    "has it. Their results have keys of their own. Nothing private is ever computed so.",
)
@option.fid_weights("FID")
@option.out("The folder for results.")
@option.tracking_uri
@click.option(
    "--dry-run",
    is_flag=True,
    help="Fit, write and charge nothing; print how many cells there are, their hours and memory, "
    "the ε that each group of patients would be charged, and the difference in Dice that shows.",
)
def run(**options: Any) -> int:
    """Run a sweep: fit, sample, segment and score. It reports Dice and FID at each ε."""
    from benchmark.terminal.console import Console

    if options["dry_run"]:
        return _dry(sweep_of(options), Console(debug=option.debug()))
    sweep, console = sweep_of(options), Console(debug=option.debug())
    remember = partial(write, click.get_current_context(), sweep.out)
    with console:
        finished = sweep.run(replace(console.listener(), starting=remember))
    console.report(finished, sweep.out)
    return 1 if any(outcome.state in ("failed", "busy") for outcome in finished.outcomes) else 0


def _dry(sweep: Sweep, console: Console) -> int:
    """Prints what the sweep would take and cost; 2 if the ledger would refuse it."""
    from benchmark.core.errors import UsageError
    from benchmark.terminal.forecast import charges_table, hours_table, sentences

    listener = console.listener()
    with console:
        found = sweep.forecast(listener)
    console.show(hours_table(found))
    console.show(charges_table(found))
    for sentence in sentences(found):
        listener.news(sentence)
    for outcome in found.unplanned:
        listener.warning(f"{outcome.spec.generator.name}: {outcome.error.strip().splitlines()[-1]}")
    if found.refusal:
        raise UsageError(found.refusal)
    return 1 if found.unplanned else 0


def sweep_of(options: Mapping[str, Any]) -> Sweep:
    """Return the sweep that the options ask for."""
    from angiobench.sweep import Sweep
    from benchmark.core.budget import parse_epsilon

    apart = (*option.OF_READING, "dry_run")
    named = {name: value for name, value in options.items() if name not in apart}
    named |= {
        "epsilon": [parse_epsilon(text) for text in options["epsilon"].split(",")],
        "settings": option.named_settings(options["settings"]),
        "reading": option.reading_of(options),
    }
    return Sweep(**named)
