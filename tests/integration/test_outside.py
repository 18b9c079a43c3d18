"""Plug-ins from outside: installed by entry point, listed, checked, run; and bad ones are named."""

import csv
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import command
import pytest

EXAMPLE = Path(__file__).parents[1] / "example_plug_in"
GUIDE = Path(__file__).parents[2] / "docs" / "examples" / "private-band"
RUN = ["run", "--generator", "stripes", "--segmenter", "bright", "--data", "cohort"]
RUN += ["--set", "protocol.patches_per_patient=40", "--set", "protocol.samples=64"]
RUN += ["--set", "protocol.fid_n=16", "--tracking-uri", "none", "--jobs", "0"]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with this one's packages, and the examples installed."""
    home = tmp_path_factory.mktemp("fresh")
    sources = [shutil.copytree(one, home / one.name) for one in (EXAMPLE, GUIDE)]
    venv.create(home / "env", with_pip=False)
    found = home / "env" / "bin" / "python"
    site = next((home / "env" / "lib").glob("python*/site-packages"))
    ours = sysconfig.get_paths()["purelib"]
    (site / "ours.pth").write_text(
        f"{EXAMPLE.parents[1]}\nimport site; site.addsitedir({ours!r})\n"
    )
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, *install, "--target", str(site), *map(str, sources)],
        check=True,
        timeout=300,
    )
    return found


def bench(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    typed = [str(python), "-m", "benchmark", *arguments]
    return subprocess.run(
        typed, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )


def test_an_installed_plug_in_is_listed_and_keeps_all_laws(python: Path, tmp_path: Path) -> None:
    listed = bench(python, "list", cwd=tmp_path).stdout
    assert "stripes" in listed
    assert "bright" in listed
    for name in ("stripes", "bright"):
        checked = bench(python, "check", name, cwd=tmp_path)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert f"{name} keeps all laws." in checked.stdout


def test_the_example_of_the_guide_keeps_all_laws_and_its_claim_is_not_refuted(
    python: Path, tiny_cohort: Path, tmp_path: Path
) -> None:
    checked = bench(python, "check", "private-band", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "private-band keeps all laws." in checked.stdout
    asked = ["audit", "--generator", "private-band", "--epsilon", "1", "--canaries", "16"]
    audited = bench(python, *asked, "--data", str(tiny_cohort), cwd=tmp_path)
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "All 5 exact laws" in audited.stdout
    assert "guesses on 16 canaries" in audited.stdout
    assert "REFUTED" not in audited.stdout


def test_an_installed_plug_in_runs_in_a_sweep(
    python: Path, tiny_cohort: Path, tmp_path: Path
) -> None:
    done = bench(python, *RUN, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "runs" / "summary.csv").open() as lines:
        rows = {row["generator"]: row for row in csv.DictReader(lines)}
    assert set(rows) == {"simulator", "threshold", "frangi", "stripes"}
    learnt = [rows[name] for name in ("simulator", "stripes")]
    assert all(row["segmenter"] == "bright" for row in learnt)
    assert float(rows["stripes"]["dice"]) > 0.3
    result = next((tmp_path / "runs" / "stripes").glob("*/result.json"))
    there = {"distribution": "angiobench-example", "version": "1.0"}
    there["address"] = "https://example.org/stripes"
    assert json.loads(result.read_text())["plug_ins"] == {"stripes": there, "bright": there}


BROKEN = {
    "fit raises": ("fit", "raise RuntimeError('no luck')", "RuntimeError: no luck"),
    "nothing is charged": ("fit", "self._size = patches.size; return guarantee", "BROKEN"),
    "patches of another type": (
        "sample",
        "return Patches(images=np.zeros((n, 1, 32, 32)), masks=np.zeros((n, 1, 32, 32), np.uint8))",
        "Expected images float32",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_law_is_named(fault: str, tmp_path: Path) -> None:
    method, body, sentence = BROKEN[fault]
    made = tmp_path / "plug-in"
    shutil.copytree(EXAMPLE / "angiobench_example", made / "angiobench_example")
    file = made / "angiobench_example" / "stripes.py"
    head, sep, tail = file.read_text().partition(f"    def {method}(")
    signature, colon, rest = tail.partition(":\n")
    file.write_text(f"{head}{sep}{signature}{colon}        {body}\n{rest}")
    declare(made, "stripes = angiobench_example.stripes:Stripes")
    checked = command.bench("check", "stripes", cwd=tmp_path, path=made)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert sentence in checked.stdout
    assert "Traceback" not in checked.stderr


def test_a_plug_in_that_cannot_be_imported_is_named_and_hides_no_other(tmp_path: Path) -> None:
    made = tmp_path / "plug-in"
    declare(made, "torn = nowhere_to_be_found:Torn")
    torn = command.bench("check", "torn", cwd=tmp_path, path=made)
    assert torn.returncode == 2
    assert "The generator 'torn' cannot be imported (ModuleNotFoundError" in torn.stderr
    listed = command.bench("list", cwd=tmp_path, path=made).stdout
    assert "torn" in listed
    assert "simulator" in listed
    assert command.bench("show", "simulator", cwd=tmp_path, path=made).returncode == 0


def test_in_a_sweep_unusable_plug_ins_fail_their_own_cells_alone(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    made = tmp_path / "plug-in"
    shutil.copytree(EXAMPLE / "angiobench_example", made / "angiobench_example")
    stripes = made / "angiobench_example" / "stripes.py"
    stripes.write_text(stripes.read_text().replace("    def plan(", "    def forgotten(", 1))
    declare(made, "torn = nowhere_to_be_found:Torn\nhalf = angiobench_example.stripes:Stripes")
    quick = ["--set", "protocol.patches_per_patient=40", "--set", "protocol.samples=64"]
    quick += ["--set", "protocol.fid_n=16", "--tracking-uri", "none", "--segmenter", "frangi"]
    run = ["run", "--generator", "torn,half", "--epsilon", "5", "--data", str(tiny_cohort)]
    done = command.bench(*run, *quick, cwd=tmp_path, path=made)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "torn, ε = 5, frangi, seed 0 failed: The generator 'torn' cannot be" in done.stdout
    assert "half, ε = 0, frangi, seed 0 failed: TypeError: Can't instantiate" in done.stdout
    assert "Traceback" not in done.stderr
    with (tmp_path / "runs" / "summary.csv").open() as lines:
        states = {row["generator"]: row["status"] for row in csv.DictReader(lines)}
    free = dict.fromkeys(("simulator", "threshold", "frangi"), "done")
    assert states == {**free, "torn": "failed", "half": "failed"}


def declare(folder: Path, line: str) -> None:
    info = folder / "guest-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: guest\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[angiobench.generators]\n{line}\n")
