"""Results know nothing of running: whoever only reads them loads nothing that computes."""

import subprocess
import sys

HEAVY = ("torch", "ray", "mlflow", "monai", "flwr", "opacus", "numba")
READERS = (
    "benchmark.results.summary",
    "benchmark.results.explanation",
    "benchmark.terminal.comparison",
    "benchmark.terminal.console",
    "benchmark.terminal.reports",
    "leaderboard.page",
    "leaderboard.sharing",
    "leaderboard.verification",
)
COMMANDS = ("compare", "report", "explain", "leaderboard")


def test_reading_results_loads_nothing_that_computes() -> None:
    modules = (*READERS, *(f"benchmark.cli.{command}" for command in COMMANDS))
    assert loaded_by(f"import {', '.join(modules)}") == ""


def loaded_by(statement: str) -> str:
    """Which of the heavy packages a fresh Python has after a statement."""
    after = f"import sys; print(*sorted(set({HEAVY!r}) & {{*sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; {after}"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
