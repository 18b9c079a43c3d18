"""``bench explain``: a result's privacy in words."""

from __future__ import annotations

import json
from pathlib import Path

import click


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

    RUN is a folder, or a run key.
    """
    from benchmark.core.files import plain
    from benchmark.results.explanation import explain as words
    from benchmark.results.explanation import explained
    from benchmark.results.observers import adversary, by_observer, observed_in
    from benchmark.results.store import found
    from leaderboard.page import explanation_page

    result = found(run, out)[1]
    if form == "json":
        said = {
            "run": result.run_key,
            "guarantee": result.guarantee.as_dict(),
            "sites": {site: held.as_dict() for site, held in result.guarantees.items()},
            "observers": by_observer(seen.seen) if (seen := observed_in(result)) else {},
            **({"holds_against": adversary(result.spec.curious)} if result.sites else {}),
            "private_data": result.private_data,
            "explanation": explained(result),
        }
        click.echo(json.dumps(plain(said), indent=1, ensure_ascii=False))
    elif form == "html":
        click.echo(explanation_page(result), nl=False)
    else:
        click.echo(words(result))
