"""``bench explain``: a result's privacy in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from benchmark.results.result import Result
    from federation.finished import Finished


@click.command()
@click.argument("run")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder of results.",
)
@click.option("--json", "form", flag_value="json", help="Print it as JSON, with the numbers.")
@click.option("--html", "form", flag_value="html", help="Print it as a page.")
def explain(run: str, out: Path, form: str | None) -> None:
    """Explain in words what a result promises, and what not.

    RUN is a folder, or a run key. It may be the folder of a deployment's run, too.
    """
    from benchmark.core.files import plain
    from benchmark.results.explanation import in_paragraphs
    from benchmark.results.observers import adversary, by_observer, observed_in
    from leaderboard.page import explanation_page

    fit, parts = _explained(run, out)
    if form == "json":
        said = {
            "run": fit.run_key,
            "guarantee": fit.guarantee.as_dict(),
            "sites": {site: held.as_dict() for site, held in fit.guarantees.items()},
            "observers": by_observer(seen.seen) if (seen := observed_in(fit)) else {},
            **({"holds_against": adversary(fit.spec.curious)} if fit.guarantees else {}),
            "private_data": fit.private_data,
            "explanation": parts,
        }
        click.echo(json.dumps(plain(said), indent=1, ensure_ascii=False))
    elif form == "html":
        click.echo(explanation_page(fit, parts), nl=False)
    else:
        click.echo(in_paragraphs(parts))


def _explained(run: str, out: Path) -> tuple[Result | Finished, dict[str, list[str]]]:
    """A fit, of a deployment or of a cell, and the sentences that explain it."""
    from benchmark.results.deployed_explanation import explained_deployment
    from benchmark.results.explanation import explained
    from benchmark.results.store import found
    from federation.finished import RESULT, Finished

    if (Path(run) / RESULT).is_file():
        finished = Finished.read(Path(run))
        return finished, explained_deployment(finished)
    result = found(run, out)[1]
    return result, explained(result)
