"""A plug-in that misbehaves costs its own cell, which fails by name, and no other."""

import os
import subprocess
from pathlib import Path

import pytest
from command import COMMAND, UNTRACKED, bench, rows

BEGIN = """
import os, sys, time
import numpy as np
from angiobench_example.stripes import Stripes
from benchmark.core.errors import UsageError
from benchmark.core.patches import Patches
"""
DEEDS = {
    "leaves": ("fit", "sys.exit(0)", "SystemExit"),
    "vanishes": ("fit", "os._exit(0)", "ended before its cell was done (exit code 0)"),
    "silent": ("fit", 'raise UsageError("")', "UsageError"),
    "mumbles": ("fit", 'context.progress("x")', "TypeError"),
    "garbles": ("fit", 'raise RuntimeError("half a \\ud800 pair")', "half a"),
    "meagre": ("sample", "return super().sample(n - 1, seed=seed)", "64 of 32 x 32 were asked for"),
    "broad": (
        "sample",
        "return Patches(images=np.zeros((n, 1, 8, 8), np.float32), "
        "masks=np.zeros((n, 1, 8, 8), np.uint8))",
        "of 8 x 8 pixels",
    ),
    "endless": ("fit", "while True: time.sleep(1)", "--cell-timeout 15"),
    "hungry": (
        "sample",
        "hoard = [np.ones(1 << 24) for _ in range(64)]; time.sleep(60)",
        "--cell-memory 4",
    ),
    "wanders": ("fit", "os.chdir(os.environ['ELSEWHERE'])", None),
}
"""In which method, what it does, and what its failure says; ``None`` if it is done all the same."""

SIGNATURES = {"fit": "self, patches, guarantee, context", "sample": "self, n, *, seed"}
CALLS = {"fit": "patches, guarantee, context", "sample": "n, seed=seed"}


def write_plug_ins(folder: Path) -> None:
    about = folder / "deeds-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Name: deeds\nVersion: 1\n")
    lines = ["[angiobench.generators]"]
    for name, (method, deed, _) in DEEDS.items():
        body = f"        {deed}\n        return super().{method}({CALLS[method]})\n"
        (folder / f"{name}.py").write_text(
            f"{BEGIN}\nclass Deed(Stripes):\n    name = {name!r}\n"
            f"    def {method}({SIGNATURES[method]}):\n{body}"
        )
        lines.append(f"{name} = {name}:Deed")
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def swept(module_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where all of them ran beside a good generator; ``said`` has what was printed."""
    folder = tmp_path_factory.mktemp("deeds")
    write_plug_ins(folder / "plug-ins")
    (folder / "elsewhere").mkdir()
    (folder / "cohort").symlink_to(module_cohort)
    here = str(folder / "plug-ins"), str(Path(__file__).parents[1] / "example_plug_in")
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([*here, os.environ.get("PYTHONPATH", "")]),
        "ELSEWHERE": str(folder / "elsewhere"),
    }
    asked = ["run", "--generator", ",".join([*DEEDS, "simulator"])]
    asked += ["--segmenter", "threshold", "--data", "cohort", "--no-bookends", *UNTRACKED]
    asked += ["--set", "protocol.patches_per_patient=40", "--set", "protocol.samples=64"]
    asked += ["--set", "protocol.fid_n=16", "--jobs", "2"]
    asked += ["--cell-timeout", "15", "--cell-memory", "4"]
    done = subprocess.run(
        [*COMMAND, *asked], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    (folder / "said").write_text(done.stdout + done.stderr)
    assert done.returncode == 1, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("name", DEEDS)
def test_its_cell_fails_by_name(swept: Path, name: str) -> None:
    (row,) = [row for row in rows(swept) if row["generator"] == name]
    said = DEEDS[name][2]
    if said is None:
        assert row["status"] == "done"
        return
    assert row["status"] == "failed"
    (error,) = swept.glob(f"runs/{name}/*/error.txt")
    assert said in error.read_text()
    assert not list(swept.glob(f"runs/{name}/*/result.json"))


def test_no_other_cell_fails_and_nothing_is_written_elsewhere(swept: Path) -> None:
    (row,) = [row for row in rows(swept) if row["generator"] == "simulator"]
    assert row["status"] == "done"
    assert list((swept / "elsewhere").iterdir()) == []
    assert list(swept.glob("runs/wanders/*/result.json"))


def test_limits_need_a_process_of_the_cells_own(tiny_cohort: Path, tmp_path: Path) -> None:
    asked = ["run", "--generator", "simulator", "--data", "cohort", "--cell-timeout", "9"]
    refused = bench(*asked, "--jobs", "0", cwd=tmp_path)
    assert refused.returncode == 2
    assert "ask for --jobs 1" in refused.stderr
    for wrong in ("0", "-1", "nan", "1e99"):
        assert bench(*asked[:-1], wrong, cwd=tmp_path).returncode == 2
