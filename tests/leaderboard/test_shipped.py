"""The board that the repository ships: results add up, page and reference tables are of them."""

from pathlib import Path

import pytest

from benchmark.data.folders import cache_folder, state_folder
from leaderboard.board import tables_of
from leaderboard.entries import entries_of
from leaderboard.markdown import overview_of
from leaderboard.page import HERE, write_markdown, write_page
from leaderboard.published import Published
from leaderboard.verification import verified_files, verifier
from leaderboard.versions import why_unranked

RESULTS = HERE / "results"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not [*RESULTS.glob("*.json")], reason="no results are shipped"),
]


def test_every_shipped_result_adds_up_and_the_page_is_built_from_them(tmp_path: Path) -> None:
    def silent(stage: str, done: int, total: int) -> None:
        del stage, done, total

    check = verifier(cache=cache_folder(), state=state_folder(), progress=silent)
    verdicts = verified_files([RESULTS], check, silent)
    assert not {file.name: found.faults for file, found in verdicts.items() if found.faults}
    in_part = {file for file, found in verdicts.items() if found.unchecked}
    assert not [file.name for file in in_part if not why_unranked(Published.read(file).spec)]
    tables = tables_of(entries_of([RESULTS], check))
    write_page(tables, tmp_path / "index.html")
    write_markdown(tables, tmp_path / "report.md")
    for name in ("index.html", "report.md"):
        assert (HERE / name).read_bytes() == (tmp_path / name).read_bytes(), name
    told = (HERE.parent / "docs" / "leaderboard.md").read_text()
    for table in tables:
        for test_set in table.test_sets:
            assert "\n".join(overview_of(table.rows, test_set)) in told, table.common.unit
