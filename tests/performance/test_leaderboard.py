"""A board of a thousand published results: read, verified, tabled and written."""

from pathlib import Path

from made import INPUTS, entry, specs
from test_page import like
from test_published import png

from leaderboard.board import tables_of
from leaderboard.entries import entries_of
from leaderboard.page import write_markdown, write_page
from leaderboard.sharing import published
from leaderboard.verification import verified


def test_a_board_of_a_thousand_results(benchmark, shared_cache: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    for one in specs(seeds=3):
        made = entry(one, shared_cache, pictures={"samples": png(600)})
        for rate in range(300, 634):
            published(like(made, rate)).write(results)

    def build() -> int:
        tables = tables_of(entries_of([results], lambda one: verified(one, INPUTS, shared_cache)))
        write_page(tables, tmp_path / "index.html")
        write_markdown(tables, tmp_path / "report.md")
        return sum(row.check == "verified" for table in tables for row in table.rows)

    assert benchmark.pedantic(build, rounds=3, warmup_rounds=1) == 334
