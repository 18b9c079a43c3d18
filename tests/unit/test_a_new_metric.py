"""A metric is described once: an entry in ``METRICS`` reaches every file, table and page."""

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
BEGIN = """
    from benchmark.metrics import scores

    ADDED = scores.Metric(
        name="volume_mm3",
        heading="volume",
        unit="mm3",
        of=lambda p: float(p.marked.sum() * p.spacing_mm[0] * p.spacing_mm[1] * p.spacing_mm[2]),
        most=float("inf"),
        higher_is_better=False,
        digits=0,
        on_board=True,
        since="0.9",
    )
    scores.METRICS += (ADDED,)
    scores.NAMES += (ADDED.name,)
    scores.ON_BOARD += (ADDED,)
"""
USE = """
    import json
    import sys
    from pathlib import Path

    import numpy as np

    sys.path[:0] = ["tests/unit", "tests/leaderboard"]
    from cells import SPEC

    from benchmark.core.files import plain
    from benchmark.results.result import Result
    from benchmark.results.summary import SummaryRow
    from benchmark.sweep.tracking.logged import metrics
    from benchmark.terminal.table import patients_table
    from leaderboard.board import tables_of
    from leaderboard.markdown import lines_of
    from leaderboard.schema import schema
    from leaderboard.scores import Bookends, scored_on
    from leaderboard.told import scored_json
    from made import entry, spec
    from scored import result_of, scored_set

    mask = np.ones((2, 2, 2), bool)
    assert scores.score(mask, mask, (1.0, 2.0, 3.0))["volume_mm3"] == 48.0
    new = scored_set(rows=3)
    result = Result.read(plain(result_of(SPEC, new).as_dict()))
    assert result.test_sets[0].mean("volume_mm3").mean == 0.8
    assert metrics(result)["volume_mm3_" + new.name] == 0.8
    assert "volume_mm3" in SummaryRow.names()
    assert "volume_mm3" in schema()["$defs"]["TestSet"]["properties"]
    assert "volume_mm3" not in schema()["$defs"]["TestSet"]["required"]
    assert "volume mm3" in [str(column.header) for column in patients_table(new).columns]
    found = scored_on({0: new, 1: new, 2: new}, new.name, Bookends([]))
    assert round(found.scores["volume_mm3"].mean, 9) == 0.8, found.scores

    (table,) = tables_of([entry(spec(generators=("simulator",)), Path(sys.argv[1]))])
    (row,) = table.rows
    assert "volume mm3" in lines_of(table.rows, "test")[0]
    assert "volume_mm3" not in row.tests["test"].scores, "results of earlier versions lack it"
    assert scored_json(row, row.tests["test"], None)["cells"]
"""


def test_one_entry_reaches_results_schema_summary_mlflow_tables_and_board(tmp_path: Path) -> None:
    code = textwrap.dedent(BEGIN) + textwrap.dedent(USE)
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
