"""``bench audit``: an attack on a claimed ε, and what it proves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import option
from benchmark.core.budget import delta_text, epsilon_text, parse_epsilon, proven_text

if TYPE_CHECKING:
    from benchmark.audit.report import Report


@click.command()
@click.option(
    "--generator", required=True, metavar="NAME", help="A private generator, or segmenter."
)
@click.option("--epsilon", required=True, metavar="E", help="The claim.")
@option.unit("What ε is said to protect.")
@click.option(
    "--canaries",
    type=click.IntRange(8, 5000),
    default=200,
    show_default=True,
    help="More of them can prove more.",
)
@option.preset
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Overrides one.")
@option.folder(
    "--data", "A cohort; the fit is charged to the ledger.  [default: the embedded phantoms]"
)
@option.layout
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the coins.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    default=Path("membership.png"),
    show_default=True,
    help="Where the curves of membership inference go.",
)
def audit(**options: Any) -> int:
    """Hide canaries among the patches, fit once, and say what guessing them proves about ε."""
    import torch
    from rich.progress import Progress

    from benchmark.audit.report import Audit, made, run_audit
    from benchmark.data.folders import cache_folder, check_writable, state_folder
    from benchmark.sweep.inputs import gather
    from leaderboard.figures import draw_membership

    check_writable(options["picture"].parent)
    asked = Audit(
        generator=options["generator"],
        epsilon=parse_epsilon(options["epsilon"]),
        unit=options["unit"],
        preset=options["preset"],
        settings=_settings(options["settings"]),
        canaries=options["canaries"],
        seed=options["seed"],
    )
    torch.set_num_threads(1)
    fitted = made(asked)
    cache, state = cache_folder(), state_folder()
    with Progress(transient=True) as bars:
        bar = bars.add_task("Reading patients", total=None)

        def told(stage: str, done: int, total: int) -> None:
            bars.update(bar, description=stage, completed=done, total=total)

        inputs = gather(
            options["data"],
            [],
            cache=cache,
            state=state,
            jobs=os.cpu_count() or 1,
            progress=told,
            layout=options["layout"],
        )
        found = run_audit(
            asked,
            fitted,
            inputs,
            cache=cache,
            state=state,
            progress=lambda done, total, curves: told("Fitting", done, total),
        )
    for line in _words(found):
        click.echo(line)
    if found.curves:
        draw_membership(found.curves, options["picture"])
        click.echo(f"Curves: {options['picture']}")
    if inputs.private:
        click.echo(
            "The figures were measured on your patients, outside of any guarantee: keep them."
        )
    return 1 if found.verdict.contradicts or found.broken else 0


def _settings(texts: tuple[str, ...]) -> dict[str, str]:
    from benchmark.core.errors import UsageError

    read = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(f"Expected --set NAME=VALUE, got {text!r}.")
        read[name.strip()] = value.strip()
    return read


def _words(found: Report) -> list[str]:
    said, claim = found.verdict, found.verdict.claim
    proven, most = proven_text(said.bound), proven_text(said.largest)
    verdict = "REFUTED" if said.contradicts else "not refuted"
    lines = [
        f"Claim: ε = {epsilon_text(claim.epsilon)} for a {claim.unit} at "
        f"δ = {delta_text(claim.delta)} (σ = {claim.noise_multiplier:.4g}, "
        f"q = {claim.sampling_rate:.4g}, T = {claim.steps}).",
        f"Audit: ε > {proven} with 95 % confidence, from {said.right} right of {said.guesses} "
        f"guesses on {said.canaries} canaries, which prove {most} at most. The claim is {verdict}.",
    ]
    broken = [f"Law broken: {law.replace('_', ' ')}: {why}." for law, why in found.broken.items()]
    lines += broken or [f"All {len(found.laws)} exact laws of the private step hold."]
    for name, curve in found.curves.items():
        lines.append(
            f"Membership by {name}: {curve.at(0.01):.1%} of the members at 1 % false alarms, "
            f"{curve.at(0.1):.1%} at 10 %; area {curve.area:.3f} (chance: 1 %, 10 %, 0.5)."
        )
    if not found.curves:
        lines.append("Nothing synthetic is made, from which membership could be told.")
    return lines
