"""MLflow's own compare page in a real Chromium, on a real store: it opens on what matters."""

import math
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import fetched
from made import entry, specs

from benchmark.results.spec import RunSpec
from benchmark.results.store import Store, write_result
from benchmark.sweep.tracking.mlflow_runs import Tracker, default_uri
from benchmark.sweep.tracking.parents import Parent

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own use of SQLAlchemy
]
LEVELS = (2.0, 5.0, 7.4, math.inf)


def swept() -> list[RunSpec]:
    return specs(generators=("dp-wgan", "wgan"), epsilons=LEVELS, bookends=True)


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[list[str]]:
    """Those that ``bench ui`` prints: the newest sweep compared, and all runs."""
    out = tmp_path / "runs"
    cells = swept()
    tracker = Tracker(default_uri(out), out, Parent.of_sweep(cells), pytest.fail)
    for cell in cells:
        folder = Store(out).folder(cell)
        folder.mkdir(parents=True)
        write_result(folder, entry(cell, tmp_path).result)
        tracker.cell(folder)
    tracker.close(failed=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmark", "ui", "runs", "--port", str(port)]
    server = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    try:
        found = [re.search(r"http\S+", server.stdout.readline()) for _ in range(2)]
        assert fetched(f"http://127.0.0.1:{port}/health"), "it prints before the server answers"
        yield [one[0] for one in found if one]
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_the_sweep_opens_compared_by_epsilon_and_dice(addresses: list[str], chromium) -> None:  # type: ignore[no-untyped-def]
    page = chromium.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(addresses[0])
    page.get_by_text(f"Comparing {len(swept())} Runs from 1 Experiment").wait_for()
    plot = page.locator(".js-plotly-plot").first
    plot.locator("text=dice_test").first.wait_for()
    axes = plot.inner_text() + " ".join(plot.locator("text").all_text_contents())
    for shown in ("epsilon", "dice_test", "7.4", "inf"):
        assert shown in axes
    assert "dp-wgan ε=7.4 patch seed 0" in page.content()
    metrics = page.get_by_role("combobox").nth(1)
    metrics.click()
    metrics.fill("offline_distance")
    metrics.press("Enter")
    plot.locator("text=offline_distance").first.wait_for()
    page.close()


def test_the_list_of_runs_opens_on_the_sweep(addresses: list[str], chromium) -> None:  # type: ignore[no-untyped-def]
    page = chromium.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(addresses[1])
    page.get_by_text("sweep of real, simulator, threshold, frangi").first.wait_for()
    search = page.locator("input[placeholder*='metrics.rmse']")
    search.fill('tags.generator = "dp-wgan" and tags.unit = "patch"')
    search.press("Enter")
    page.locator("body", has_text=f"{1 + len(LEVELS)} matching runs").wait_for()
    page.close()
