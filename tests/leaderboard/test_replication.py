"""What fresh fits say of a board's findings: the same rows, on other seeds or other patients."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from made import entry, specs

from benchmark.results.spec import RunSpec
from leaderboard.board import tables_of
from leaderboard.replication import main, replicated
from leaderboard.rows import Table

BOARD = {"dp-simulator": 0.8, "dp-merf": 0.5, "private-evolution": 0.5}


def drawn(cell: RunSpec, dice: Mapping[str, float]) -> float:
    """Fits of ``dp-merf`` differ by seed, and those of the others do not."""
    name = cell.generator.name
    return dice[name] + (0.02 * (cell.seed % 3 - 1) if name == "dp-merf" else 0)


def table(cache: Path, dice: Mapping[str, float], *, first: int = 0, data: str = "") -> Table:
    asked = {"generators": tuple(dice), "unit": "patient", "seeds": 3, "first_seed": first}
    cells = [
        entry(replace(cell, data=data or cell.data), cache, dice=drawn(cell, dice))
        for cell in specs(**asked)
    ]
    (made,) = tables_of(cells)
    return made


@pytest.mark.parametrize(
    ("merf", "verdict"),
    [(0.5, "again"), (0.799, "same sign"), (0.801, "other sign"), (0.9, "reversed")],
)
def test_a_finding_is_found_again_or_not(merf: float, verdict: str, cache: Path) -> None:
    found = replicated(
        table(cache, BOARD), table(cache, {**BOARD, "dp-merf": merf}, first=10), "test"
    )
    assert found.rows == 3
    verdicts = {(pair.better, pair.worse): pair.verdict for pair in found.pairs}
    assert verdicts == {
        ("dp-simulator at ε = 5", "dp-merf at ε = 5"): verdict,
        ("dp-simulator at ε = 5", "private-evolution at ε = 5"): "again",
    }, "the two that the board does not tell apart are no finding"
    assert sum(found.counts.values()) == 2


def test_the_order_of_rows_on_other_patients(cache: Path) -> None:
    ours = {"dp-simulator": 0.8, "dp-merf": 0.6, "private-evolution": 0.7}
    turned = {"dp-simulator": 0.3, "dp-merf": 0.5, "private-evolution": 0.4}
    other = table(cache, turned, data="fedcba9876543210")
    assert replicated(table(cache, ours), other, "test").tau == -1
    assert replicated(table(cache, ours), table(cache, ours), "test").tau == 1


def test_rows_with_other_settings_are_not_the_same(cache: Path) -> None:
    one, other = table(cache, BOARD), table(cache, BOARD, first=10)
    rows = [row for row in other.rows if row.spec.generator.name != "dp-merf"]
    assert replicated(one, replace(other, rows=rows), "test").rows == 2


@pytest.mark.parametrize("many", [1, 2])
def test_a_folder_without_results_is_one_sentence(
    many: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)] * many) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
