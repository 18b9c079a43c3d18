"""The README's pictures of a sweep's page and of MLflow: ``screenshots.py RUNS IMAGES``."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

WINDOW = {"width": 1200, "height": 1000}
WIDE = {"width": 1600, "height": 1000}


@contextmanager
def ui(out: Path) -> Iterator[list[str]]:
    """``bench ui`` on a folder's runs; the addresses that it prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmark", "ui", "--out", str(out), "--port", str(port)]
    server = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert server.stdout is not None
    try:
        found = [re.search(r"http\S+", server.stdout.readline()) for _ in range(2)]
        yield [one[0] for one in found if one]
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # with MLflow's own workers
        server.wait()


def take(runs: Path, images: Path) -> None:
    """Writes ``page.png`` and ``mlflow.png``."""
    from command import fetched, wait_for

    with sync_playwright() as started, ui(runs) as addresses:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport=WINDOW)
        page.goto((runs / "report.html").absolute().as_uri())
        page.wait_for_selector("body[data-drawn]")
        page.screenshot(path=images / "page.png")
        wait_for(lambda: fetched(addresses[0].split("/#")[0] + "/health"))
        page.set_viewport_size(WIDE)
        page.goto(addresses[0])
        page.locator(".js-plotly-plot").locator("text=dice_test").first.wait_for()
        page.wait_for_timeout(1000)
        page.screenshot(path=images / "mlflow.png")
        browser.close()


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "integration"))
    take(Path(sys.argv[1]), Path(sys.argv[2]))
