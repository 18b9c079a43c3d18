"""``bench audit``: an attack on a claimed ε, and what it proves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import option
from benchmark.cli.audit_of_run import audit_run
from benchmark.core.budget import delta_text, epsilon_text, parse_epsilon, proven_text
from benchmark.core.errors import UsageError
from benchmark.core.names import unknown
from benchmark.data.phantom import PhantomCohort

if TYPE_CHECKING:
    from benchmark.audit.judgement import Attempt, Claim, Rate
    from benchmark.audit.report import AuditReport, Membership


@click.command()
@click.option("--generator", metavar="NAME", help="A private generator, or segmenter.")
@click.option("--epsilon", metavar="E", help="The ε that the fit claims.")
@click.option(
    "--run",
    metavar="RUN",
    help="Attack the fit that a run keeps, by its patches, and fit nothing; with --data alone.",
)
@option.unit("What ε is said to protect.")
@click.option(
    "--canaries",
    type=click.IntRange(8, 5000),
    default=200,
    show_default=True,
    help="How many canaries; more can prove a larger ε.",
)
@option.preset
@option.protocol
@option.overrides("Overrides a setting of the audited plug-in, as `dp-wgan.clip_norm=1`.")
@option.folder(
    "--data", "A cohort; the fit is charged to the ledger.  [default: the embedded phantoms]"
)
@option.reading
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seeds canaries and coins."
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    default=Path("membership.png"),
    show_default=True,
    help="The file for the curves of membership inference.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Also write the audit into this folder, for a board; on phantoms only.",
)
def audit(**options: Any) -> int:
    """Attack one fit, and say what that proves about its ε.

    Patches are held out of the fit and canaries are put in. What is proven follows from how many of
    them are guessed right. The exact laws of the fit's private steps are measured too.
    """
    if options["run"] is not None:
        return audit_run(options)
    if options["generator"] is None or options["epsilon"] is None:
        raise UsageError(
            "Expected --generator and --epsilon, for a fit to attack, or --run, for one that is "
            "there."
        )
    import torch
    from rich.progress import Progress

    from benchmark.audit.record import check_may_leave, record_of, write_record
    from benchmark.audit.report import run_audit
    from benchmark.audit.request import Audit, made
    from benchmark.core.editions import found as edition
    from benchmark.core.folders import cache_folder, check_writable, state_folder
    from benchmark.sweep.inputs import gather
    from benchmark.terminal.figures import draw_membership

    check_writable(options["picture"].parent)
    if options["out"]:
        check_may_leave(private=options["data"] is not None)
    asked = Audit(
        generator=options["generator"],
        epsilon=parse_epsilon(options["epsilon"]),
        unit=options["unit"],
        preset=options["preset"],
        protocol=options["protocol"],
        settings=_settings(options["settings"], options["generator"]),
        canaries=options["canaries"],
        seed=options["seed"],
    )
    torch.set_num_threads(1)
    subject = made(asked)
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
            reading=option.reading_of(options),
            phantoms=PhantomCohort(edition(asked.protocol).phantoms),
        )
        found = run_audit(
            asked,
            subject,
            inputs,
            cache=cache,
            state=state,
            progress=lambda done, total, curves: told("Fitting", done, total),
        )
    for line in _words(found, asked.generator):
        click.echo(line)
    if found.membership and found.membership.curves:
        draw_membership(found.membership.curves, options["picture"])
        click.echo(f"Curves: {options['picture']}")
    if options["out"]:
        file = write_record(record_of(asked, subject, found), options["out"])
        click.echo(f"The audit as a file: {file}")
    if inputs.private:
        click.echo(
            "The figures were measured on your patients, outside of any guarantee: keep them."
        )
    return 1 if found.contradicts or found.broken else 0


def _settings(texts: tuple[str, ...], plug_in: str) -> dict[str, str]:
    """What overrides the audited plug-in's settings; an audit has no other plug-in."""
    read = option.settings_of(texts)
    for name in read:
        if name != plug_in:
            raise UsageError(unknown("plug-in of this audit", name, [plug_in]))
    return read.get(plug_in, {})


def _words(found: AuditReport, name: str) -> list[str]:
    claim = found.claim
    lines = [
        f"Claim: ε = {epsilon_text(claim.epsilon)} for a {claim.unit} at "
        f"δ = {delta_text(claim.delta)} (σ = {claim.noise_multiplier:.4g}, "
        f"q = {claim.sampling_rate:.4g}, T = {claim.steps})."
    ]
    if found.verdict:
        said = found.verdict
        lines.append(
            f"Audit: ε > {proven_text(said.bound)} with 95 % confidence, from {said.right} right "
            f"of {said.guesses} guesses on {said.canaries} canaries, which prove "
            f"{proven_text(said.largest)} at most. The claim is {_verdict(said.contradicts)}."
        )
    else:
        left_out = "canaries are" if found.laws else "canaries and exact laws are"
        lines.append(
            f"{name} {found.unseen}, so {left_out} left out; membership inference judges alone."
        )
    lines += [f"Law broken: {law.replace('_', ' ')}: {why}." for law, why in found.broken.items()]
    if found.laws and not found.broken:
        lines.append(f"All {len(found.laws)} exact laws of the private step hold.")
    if found.membership:
        lines += _words_of_membership(found.membership)
    elif "samples_labelled_patches" not in found.contract:
        lines.append("Nothing synthetic is made, from which membership could be told.")
    return lines


def _verdict(contradicts: bool) -> str:
    return "REFUTED" if contradicts else "not refuted"


def _words_of_membership(found: Membership) -> list[str]:
    lines = [
        f"Membership inference from {found.drawn} synthetic patches. Rates have exact intervals, "
        "as if candidates were guessed independently; the verdict needs no such assumption."
    ]
    for said in found.judgements:
        claim, which = said.claim, f"{'patche' if said.claim.unit == 'patch' else 'patient'}s"
        lines.append(
            f"By {said.candidates} {which}, each fitted on or held out by a coin: ε > "
            f"{proven_text(said.bound)} with {said.confidence:.0%} confidence, where "
            f"{proven_text(said.largest)} at most can be proved. The claim of ε = "
            f"{epsilon_text(claim.epsilon)} for a {claim.unit} is {_verdict(said.contradicts)}."
        )
        lines += [_words_of_attempt(tried, claim) for tried in said.attempts]
    for name, curve in found.curves.items():
        lines.append(f"Area under the curve by {name}: {curve.area:.3f} (chance: 0.5).")
    return lines


def _words_of_attempt(tried: Attempt, claim: Claim) -> str:
    beyond = ": beyond the claim" if tried.refutes else ""
    return (
        f"  {tried.rule}: {tried.right} of {tried.guesses} guesses right; true positives "
        f"{_rate(tried.true)}, false positives {_rate(tried.false)}; e^ε · {tried.false.high:.1%} "
        f"+ δ = {claim.allowed(tried.false.high):.1%} may be true{beyond}."
    )


def _rate(rate: Rate) -> str:
    return f"{rate.found:.1%} [{rate.low:.1%}, {rate.high:.1%}]"
