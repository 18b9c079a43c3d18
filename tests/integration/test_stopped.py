"""What stops a sweep, or a cell of it, and what is left then: kills, caps, faults."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from command import (
    COMMAND,
    FEW_PATCHES,
    SMALL,
    STEPS,
    UNTRACKED,
    UNTRAINED,
    bench,
    plug_in,
    processes_in,
    results,
    rows,
    stamps_of,
    wait_for,
)

from benchmark.results.bookends import FREE, METHODS


def test_a_cap_refuses_a_sweep_before_any_patch_is_cut(
    tiny_cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cache_with_plans: Callable[[Path], Path],
) -> None:
    cache = cache_with_plans(tmp_path / "cache")
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(cache))
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    capped = ["run", "--generator", "dp-wgan", "--epsilon", "2", "--unit", "patient"]
    capped += [*SMALL, *STEPS, *UNTRACKED, "--data", str(tiny_cohort), "--no-bookends"]
    assert bench("ledger", "cap", "2.6", cwd=tmp_path).returncode == 0
    refused = bench(*capped, "--epsilon", "2,2.5", cwd=tmp_path)
    assert refused.returncode == 2
    assert "above the cap of 2.6" in refused.stderr
    undone = bench(*capped, "--noise", "seeded", cwd=tmp_path)
    assert undone.returncode == 2, "whoever has the seed undoes the noise"
    assert "above the cap of 2.6" in undone.stderr
    assert not list(cache.glob("patches/*"))
    assert not list(tmp_path.glob("runs/*/*/result.json"))
    assert bench(*capped, cwd=tmp_path).returncode == 0
    again = bench(*capped, cwd=tmp_path)
    assert again.returncode == 0, "what is done costs nothing again"
    assert bench(*capped, "--seeds", "2", cwd=tmp_path).returncode == 2
    judged = bench(*capped, "--set", "unet.iterations=31", cwd=tmp_path)
    assert judged.returncode == 0, "another judge of the same fit costs nothing"
    assert "above the cap" in bench(*capped, "--set", "dp-wgan.batch=17", cwd=tmp_path).stderr


def test_an_interrupted_or_killed_sweep_dies_whole_and_the_same_command_resumes_it(
    tiny_cohort: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    arguments = ["run", "--generator", "real,dp-wgan", "--epsilon", "2,5", "--data", "cohort"]
    arguments += [
        *UNTRAINED,
        "--set",
        "dp-wgan.generator_steps=80",
        "--set",
        "dp-wgan.begin=noise",
        "--set",
        "dp-wgan.batch=16",
    ]
    arguments += ["--set", "dp-wgan.critic_steps=1", "--noise", "seeded", *UNTRACKED]
    for least, blow, exit_code in [(4, signal.SIGINT, 130), (5, signal.SIGKILL, -9)]:
        finished = stamps_of_results(tmp_path)
        sweep = subprocess.Popen(
            [*COMMAND, *arguments, "--jobs", "1"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            preexec_fn=hear_interrupts,
        )
        wait_for(lambda least=least: len(results(tmp_path)) >= least)
        wait_for(lambda: list(tmp_path.glob("runs/*/*/checkpoint.safetensors")))
        sweep.send_signal(blow)
        assert sweep.wait() == exit_code
        wait_for(lambda: not processes_in(tmp_path))
        assert len(results(tmp_path)) < 6
        assert finished.items() <= stamps_of_results(tmp_path).items()
    finished = stamps_of_results(tmp_path)
    done = bench(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"6 cells, {len(finished)} of them done before" in done.stdout
    assert len(results(tmp_path)) == 6
    assert finished.items() <= stamps_of_results(tmp_path).items()
    assert not list(tmp_path.glob("runs/*/*/checkpoint.safetensors")), "a critic is not kept"
    shown = bench("ledger", "show", cwd=tmp_path).stdout
    for result in results(tmp_path):
        fitted = result["spec"]["generator"]["name"] not in METHODS
        assert shown.count(result["run_key"]) == fitted, "a resumed fit goes on under its own entry"


def hear_interrupts() -> None:
    """What a shell starts with & ignores them, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stamps_of_results(folder: Path) -> dict[Path, dict[str, int]]:
    return {f.parent: stamps_of(f.parent) for f in folder.glob("runs/*/*/result.json")}


def test_a_capped_fit_that_was_killed_goes_on_under_its_own_entry_and_says_so(
    tiny_cohort: Path, tmp_path: Path, monkeypatch
) -> None:
    from benchmark.core.folders import LEDGER, machine_secret
    from benchmark.privacy.ledger.ledger import Ledger

    state = tmp_path / "state"
    monkeypatch.setenv("ANGIOBENCH_STATE", str(state))
    arguments = ["run", "--generator", "dp-wgan", "--epsilon", "2", "--unit", "patient"]
    arguments += ["--no-bookends", "--data", "cohort", "--noise", "system", *UNTRAINED]
    arguments += [
        "--set",
        "dp-wgan.begin=noise",
        "--set",
        "dp-wgan.generator_steps=200",
        "--set",
        "dp-wgan.batch=16",
    ]
    arguments += ["--set", "dp-wgan.critic_steps=1", *UNTRACKED]
    sweep = subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, stdout=subprocess.DEVNULL)
    wait_for(lambda: list(tmp_path.glob("runs/*/*/checkpoint.safetensors")))
    sweep.kill()
    sweep.wait()
    wait_for(lambda: not processes_in(tmp_path))
    ledger = Ledger(state / LEDGER, machine_secret(state))
    ledger.set_cap(1.001 * ledger.totals()[0].epsilon)
    done = bench(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Killed, and gone on as another draw" in " ".join(done.stdout.split())
    assert [entry.said["kind"] for entry in ledger.entries()] == ["fit", "cap"]


SILENT = '''
"""A generator that uses patients and does not say so."""
from generators.real import Real

class Silent(Real):
    name = "silent"
    def fit(self, patches, guarantee, context):
        self._patches = patches
        return guarantee
'''


def test_a_fit_that_charges_nothing_is_charged_and_its_result_is_not_kept(
    tiny_cohort: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    folder = plug_in(tmp_path, "generators", "silent", "Silent", SILENT)
    arguments = ["run", "--generator", "silent", "--data", "cohort", "--no-bookends", *UNTRAINED]
    done = bench(*arguments, *UNTRACKED, cwd=tmp_path, path=folder)
    assert done.returncode == 1
    assert "silent fitted on patients without a call of context.charge" in done.stdout
    assert results(tmp_path) == []
    assert "silent" in bench("ledger", "show", cwd=tmp_path).stdout


def test_bad_patients_can_be_left_out_and_are_listed(tiny_cohort: Path, tmp_path: Path) -> None:
    (tiny_cohort / "sub-02/anat/sub-02_angio.nii.gz").write_bytes(b"no image")
    arguments = ["run", "--generator", "simulator", "--segmenter", "frangi", "--data", "cohort"]
    arguments += [*FEW_PATCHES, "--no-bookends", *UNTRACKED]
    refused = bench(*arguments, cwd=tmp_path)
    assert refused.returncode == 2
    assert "sub-02_angio.nii.gz" in refused.stderr
    done = bench(*arguments, "--skip-bad", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Left out: cohort/sub-02" in done.stdout
    said = " ".join(done.stdout.split())
    assert "N = 2 counts those who are left" in said
    assert "no ε covers that" in said
    (result,) = results(tmp_path)
    assert len(result["skipped"]) == 1
    assert "sub-02" in result["skipped"][0]
    assert result["guarantee"]["patients"] == 2
    cost = result["cost_of_skipping"]
    assert "N = 2 counts those who are left" in cost
    assert " ".join(done.stdout.split()).count(cost) == 2, "before anything is fitted, and below"


def test_a_patient_without_a_patch_may_stay_and_is_counted(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    file = tiny_cohort / "derivatives/brains/sub-02/anat/sub-02_desc-brain_mask.nii.gz"
    brain = nib.load(file)
    mask = np.asarray(brain.dataobj).copy()
    mask[:, 12:] = 0
    nib.save(nib.Nifti1Image(mask, brain.affine), file)
    asked = ["run", "--generator", "dp-simulator", "--segmenter", "frangi", "--data", "cohort"]
    asked += [*FEW_PATCHES, "--set", "protocol.patch_size=32", "--no-bookends", *UNTRACKED]
    stopped = bench(*asked, cwd=tmp_path)
    assert stopped.returncode == 2
    assert "sub-02: some of the labelled vessels lie outside the brain" in stopped.stderr
    asked += ["--accept", "vessels-fill-brain", "--accept", "vessels-outside-brain"]
    refused = bench(*asked, cwd=tmp_path)
    assert refused.returncode == 2
    assert "sub-02: no 32x32 patch fits" in refused.stderr
    done = bench(*asked, "--skip-bad", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Counted, and contributing nothing: sub-02" in done.stdout
    (result,) = results(tmp_path)
    assert (result["guarantee"]["patients"], result["skipped"]) == (3, [])


FAULTY = '''
"""A generator whose fit fails."""
from generators.simulator import Simulator

class Faulty(Simulator):
    name = "faulty"
    def fit(self, patches, guarantee, context):
        raise RuntimeError("this fit was never going to work")
'''


def test_a_failed_cell_is_shown_and_stops_no_other(tiny_cohort: Path, tmp_path: Path) -> None:
    folder = plug_in(tmp_path, "generators", "faulty", "Faulty", FAULTY)
    arguments = ["run", "--generator", "faulty", "--data", "cohort", *UNTRAINED]
    done = bench(*arguments, *UNTRACKED, cwd=tmp_path, path=folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "this fit was never going to work" in done.stdout
    assert {r["generator"]: r["status"] for r in rows(tmp_path)} == {
        **dict.fromkeys(FREE, "done"),
        "faulty": "failed",
    }
    error = next(tmp_path.glob("runs/faulty/*/error.txt"))
    assert "RuntimeError" in error.read_text()
    assert not list(tmp_path.glob("runs/faulty/*/result.json"))
