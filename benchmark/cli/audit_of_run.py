"""``bench audit --run``: an attack on the very fit that a run keeps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import option
from benchmark.core.budget import epsilon_text, proven_text

if TYPE_CHECKING:
    from benchmark.audit.own_fit import FitAudit
    from benchmark.core.budget import Guarantee

STORE = Path("runs")
KEEP = "What pairs showed was measured on your patients, outside of any guarantee: keep it."


def audit_run(options: Mapping[str, Any]) -> int:
    """Attack a run's fit by what its generator draws, unless that was done, and say what it proves.

    Args:
        options: Those of ``bench audit``.

    Returns:
        1 if a claim is refuted, else 0.
    """
    import torch

    from benchmark.core.folders import cache_folder, state_folder
    from benchmark.release.cohort import cohort_of
    from benchmark.release.findings import audited
    from benchmark.release.source import source_of
    from benchmark.terminal.console import Console

    torch.set_num_threads(1)
    source, console = source_of(options["run"], STORE), Console()
    with console:
        cohort = cohort_of(
            source,
            options["data"],
            reading=option.reading_of(options),
            cache=cache_folder(),
            state=state_folder(),
            jobs=os.cpu_count() or 1,
            progress=console.prepare,
        )
        found = audited(
            source, cohort, lambda done, total, _: console.prepare("Attacking", done, total)
        )
    guarantee = source.result.guarantee
    for one in found:
        for line in _words(one, guarantee):
            click.echo(line)
    if source.result.private_data and any(one.method == "membership" for one in found):
        click.echo(KEEP)
    return 1 if any(one.refutes(guarantee) for one in found) else 0


def _words(found: FitAudit, guarantee: Guarantee) -> Iterator[str]:
    if found.method == "canaries":
        yield f"Run {found.run}: canaries were planted in this fit, in or out by a coin each."
    else:
        yield (
            f"Run {found.run}: {found.samples} patches of its generator were compared with pairs, "
            "each of a unit that was fitted on and one that was not. Such an exchange may cost "
            "twice the ε."
        )
    for said in found.verdicts(guarantee):
        unit = "patches" if said.claim.unit == "patch" else "patients"
        coins = "pairs of " if found.method == "membership" else "made-up "
        yield (
            f"By {said.candidates} {coins}{unit}: ε > {proven_text(said.proven)} with "
            f"{said.confidence:.0%} confidence, where {proven_text(said.provable)} at most can be "
            f"proved. The claim of ε = {epsilon_text(said.claim.epsilon)} is "
            f"{'REFUTED' if said.refuted else 'not refuted'}."
        )
    yield from (f"Law broken: {law.replace('_', ' ')}: {why}." for law, why in found.broken.items())
    if found.laws and not found.broken:
        yield f"All {len(found.laws)} exact laws of the private step hold."
