"""The board that the repository ships: results add up, page and reference tables are of them."""

from pathlib import Path

import pytest

from benchmark.core.folders import cache_folder, state_folder
from leaderboard.audits import read_audits, with_audits
from leaderboard.board import tables_of
from leaderboard.entries import entries_of
from leaderboard.page import HERE, RESULTS, write_markdown, write_page
from leaderboard.published import Published
from leaderboard.rows import AUDITED
from leaderboard.verification import phantoms_of, verified_files, verifier
from leaderboard.versions import why_unranked

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not [*RESULTS.glob("*.json")], reason="no results are shipped"),
]


def test_every_shipped_result_adds_up_and_the_page_is_built_from_them(tmp_path: Path) -> None:
    def silent(stage: str, done: int, total: int) -> None:
        del stage, done, total

    phantoms = phantoms_of(cache=cache_folder(), state=state_folder(), progress=silent)
    check = verifier(phantoms, cache=cache_folder())
    verdicts = verified_files([RESULTS], check, silent)
    assert not {file.name: found.faults for file, found in verdicts.items() if found.faults}
    in_part = [Published.read(file).spec for file, found in verdicts.items() if found.unchecked]
    assert all(why_unranked(spec) or spec.curious is not None for spec in in_part)
    audits, wrong = read_audits(HERE / "audits", phantoms)
    assert not wrong
    assert audits
    tables = tables_of(with_audits(entries_of([RESULTS], check), audits))
    assert all(
        any(AUDITED in row.badges for t in tables for row in t.rows if audit.is_of(row.spec))
        for audit in audits
    )
    write_page(tables, tmp_path / "index.html")
    write_markdown(tables, tmp_path / "report.md")
    for name in ("index.html", "report.md"):
        assert (HERE / name).read_bytes() == (tmp_path / name).read_bytes(), name
