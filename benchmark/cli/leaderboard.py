"""``bench leaderboard``: build the page, publish a result, check published ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from benchmark.core.errors import UsageError

RESULTS = Path("leaderboard") / "results"
AUDITS = Path("leaderboard") / "audits"
PRIVATE = "Publish what was measured on patients only if those who answer for them agree."
SENDING = (
    "To have them on the shipped board, propose them as a change to leaderboard/results of the "
    "repository that your AngioBench is from; CONTRIBUTING.md says how."
)


@click.group()
def leaderboard() -> None:
    """Publish results on a board that others can check."""


@leaderboard.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("site"),
    show_default=True,
    help="The folder for index.html and report.md.",
)
@click.option(
    "--audits",
    type=click.Path(path_type=Path),
    default=AUDITS,
    show_default=True,
    help="The folder of `bench audit --out`.",
)
def build(runs: tuple[Path, ...], out: Path, audits: Path) -> None:
    """Make one page from RUNS: folders of `bench run`, cells, or published files.

    Without RUNS, it is made from leaderboard/results and runs, if they exist. Published files are
    verified. A file that does not add up is marked so, and is not ranked. A published cell that is
    also among your own runs, with the same scores, is marked `replayed`. One with an audit of its
    generator, settings, unit and ε is marked `audited`. For private data, the page shows what
    `submit` would publish.
    """
    from benchmark.core.folders import cache_folder, state_folder
    from benchmark.terminal.console import Console
    from leaderboard.audits import read_audits, with_audits
    from leaderboard.board import tables_of
    from leaderboard.entries import entries_of
    from leaderboard.page import write_markdown, write_page
    from leaderboard.verification import phantoms_of, verifier

    console = Console()
    with console:
        where = {"cache": cache_folder(), "state": state_folder()}
        phantoms = phantoms_of(**where, progress=console.prepare)
        check = verifier(phantoms, cache=where["cache"])
        entries = entries_of(runs or _default_runs(), check)
        found, wrong = read_audits(audits, phantoms)
        entries = with_audits(entries, found)
    tables = tables_of(entries)
    out.mkdir(parents=True, exist_ok=True)
    files = out / "index.html", out / "report.md"
    write_page(tables, files[0])
    write_markdown(tables, files[1])
    rows = sum(len(table.rows) for table in tables)
    for entry in entries:
        for fault in entry.faults:
            click.echo(f"{entry.spec.generator.name}-{entry.spec.key} does not add up: {fault}.")
    for file, why in wrong.items():
        click.echo(f"{file} is no audit that counts: {why}.")
    click.echo(f"Rows: {rows}; tables: {len(tables)}. Files: {files[0]}, {files[1]}")


def _default_runs() -> Sequence[Path]:
    found = [path for path in (RESULTS, Path("runs")) if path.is_dir()]
    if not found:
        raise UsageError(f"Neither {RESULTS} nor runs is here; give the folders of your results.")
    return found


@leaderboard.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    default=RESULTS,
    show_default=True,
    help="The folder for the files.",
)
def submit(runs: tuple[Path, ...], to: Path) -> None:
    """Write a self-contained, checked result file for each finished cell of RUNS.

    Unless the data are phantoms, the files hold nothing about single patients. They then hold
    synthetic patches only under a finite ε with the system's noise.
    """
    from benchmark.results.disclosure import SCORES_RULE
    from leaderboard.entries import entries_of
    from leaderboard.sharing import published

    entries = entries_of(runs)
    ready = {entry.spec.key: published(entry) for entry in entries if entry.status == "done"}
    for entry in entries:
        if entry.spec.key in ready:
            click.echo(f"{ready[entry.spec.key].write(to)}")
        else:
            click.echo(f"{entry.spec.generator.name} {entry.spec.key}: {entry.status}, left out.")
    if any(entry.result.private_data for entry in entries if entry.result):
        click.echo(f"{SCORES_RULE} {PRIVATE}")
    if ready:
        click.echo(SENDING)


@leaderboard.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True))
def verify(files: tuple[Path, ...]) -> int:
    """Recompute what can be recomputed of published FILES, and refuse what does not add up.

    This covers keys from specs, guarantees from settings, every ε from its mechanism's numbers,
    intervals from patients' scores, and digests from the phantoms. Without FILES, those in
    leaderboard/results are checked.
    """
    from benchmark.core.folders import cache_folder, state_folder
    from benchmark.terminal.console import Console
    from leaderboard.verification import phantoms_of, verified_files, verifier

    console = Console()
    with console:
        phantoms = phantoms_of(cache=cache_folder(), state=state_folder(), progress=console.prepare)
        check = verifier(phantoms, cache=cache_folder())
        verdicts = verified_files(files or (RESULTS,), check, console.prepare)
    for file, verdict in verdicts.items():
        for fault in verdict.faults:
            click.echo(f"{file}: {fault}.")
        for reason in verdict.unchecked:
            click.echo(f"{file}: not recomputed: {reason}.")
    bad = sum(bool(verdict.faults) for verdict in verdicts.values())
    click.echo(f"{len(verdicts) - bad} of {len(verdicts)} results add up.")
    return 1 if bad else 0
