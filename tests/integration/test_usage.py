"""Wrong usage and unusable input: one sentence, exit code 2, nothing computed."""

import socket
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmark.cli.main import main
from benchmark.core.folders import LEDGER, machine_secret
from benchmark.core.registry import generators, segmenters
from benchmark.privacy.ledger.ledger import Ledger

RUN = ["run", "--generator", "dp-wgan", "--epsilon", "2"]
AUTO = [*RUN, "--seeds", "auto"]
AUDIT = ["audit", "--generator", "dp-wgan", "--epsilon", "2"]
SITES = [*RUN, "--sites", "3"]
TUNE = ["tune", "--generator", "wgan"]
PLAN = ["plan", "--patients", "41"]
NOWHERE = ["--data", "absent"]
NOT_FINITE = [
    [*command, *NOWHERE, name, value]
    for command in (SITES, TUNE)
    for name in ("--site-timeout", "--cell-timeout", "--cell-memory", "--gpus-per-cell")
    for value in ("nan", "inf")
    if (command, name) != (TUNE, "--site-timeout")
]
NOT_FINITE += [["score", "cell", *NOWHERE, "--memory", value] for value in ("nan", "inf")]


def says(capsys: pytest.CaptureFixture[str], monkeypatch, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip()
    assert "Traceback" not in error
    return error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--generator", "dp-wgam"], "No generator is called 'dp-wgam'. Did you mean 'dp-w"),
        ([*RUN, "--segmenter", "unetz"], "No segmenter is called 'unetz'. Did you mean 'unet'?"),
        ([*RUN, "--preset", "quik"], "No preset is called 'quik'. Did you mean 'quick'?"),
        ([*RUN, "--set", "dp-wgan.clip=1"], "dp-wgan: No setting is called 'clip'."),
        (
            [*RUN, "--set", "dp-wgan.clipnorm=1"],
            "dp-wgan: No setting is called 'clipnorm'. Did you mean 'clip_norm'?",
        ),
        ([*RUN, "--set", "protocol.sample=9"], "'sample'. Did you mean 'samples'?"),
        ([*RUN, "--set", "dp-wgan.begin=simulater"], "Did you mean 'simulator'?"),
        ([*RUN, "--set", "wgan.batch=1"], "No plug-in of this sweep is called 'wgan'."),
        ([*RUN, "--set", "batch=1"], "Expected --set PLUGIN.NAME=VALUE, got 'batch=1'."),
        ([*RUN, "--set", "dp-wgan.batch=many"], "Expected batch to be of type int, got 'many'."),
        ([*RUN, "--set", "dp-wgan.batch=0"], "Expected batch in [1, 4096], got 0."),
        ([*RUN, "--set", "dp-wgan.clip_norm=nan"], "Expected clip_norm in [0.001, 100], got nan."),
        ([*RUN, "--set", "protocol.patch_size=8"], "Expected patch_size in [32, 256], got 8."),
        ([*RUN, "--epsilon", "-1"], "Expected epsilon to be a number above 0 or inf, got '-1'."),
        ([*RUN, "--epsilon", "0"], "got '0'."),
        ([*RUN, "--epsilon", "2,nan"], "got 'nan'."),
        ([*RUN, "--epsilon", "two"], "got 'two'."),
        ([*RUN, "--epsilon", "2,,5"], "got ''."),
        (["run", "--generator", "wgan", "--epsilon", "2"], "wgan is not private"),
        ([*RUN, "--unit", "hospital"], "'hospital' is not one of 'patch', 'patient'"),
        (["run", "--generator", ","], "at least one name"),
        ([*RUN, "--data", "absent"], "absent: there is no such folder."),
        ([*RUN, "--device", "abacus"], "torch cannot compute on 'abacus' here; ask for --device"),
        ([*RUN, "--out", f"{__file__}/runs"], "is a file, so nothing can be written there."),
        ([*RUN, "--fid-weights", "absent.pth"], "absent.pth: there is no such file"),
        (
            [*RUN, "--seeds", "0"],
            "Expected --seeds to be a whole number from 1 up",
        ),
        ([*SITES, "--partition", "sitte"], "got 'sitte'. Did you mean 'site'?"),
        ([*SITES, "--design", "fedgam"], "No design is called 'fedgam'. Did you mean 'fedgan'?"),
        ([*RUN, "--layout", "bidz", "--data", "."], "called 'bidz'. Did you mean 'bids'?"),
        ([*TUNE, "--objective", "dise"], "No objective is called 'dise'. Did you mean 'dice'?"),
        ([*RUN, "--seeds", "auto5"], "from 1 up, or auto, got 'auto5'."),
        ([*RUN, "--seeds", "-1"], "from 1 up, or auto, got '-1'."),
        ([*RUN, "--precision", "0.03"], "--precision and --max-seeds need --seeds auto."),
        ([*RUN, "--seeds", "5", "--max-seeds", "9"], "--max-seeds need --seeds auto."),
        ([*AUTO, "--precision", "nan"], "Expected --precision above 0 and below 1, got nan."),
        ([*AUTO, "--precision", "0"], "above 0 and below 1, got 0."),
        ([*AUTO, "--precision", "-0.1"], "above 0 and below 1, got -0.1."),
        ([*AUTO, "--precision", "1"], "above 0 and below 1, got 1."),
        ([*AUTO, "--max-seeds", "2"], "Expected --max-seeds of at least 3, with which"),
        ([*AUTO, "--max-seeds", "many"], "'many' is not a valid integer"),
        *((a, f"Expected {a[-2]} to be a finite number, got {a[-1]};") for a in NOT_FINITE),
        ([*PLAN, "--delta", "nan"], "Expected delta in (0, 1), got nan."),
        ([*TUNE, *NOWHERE, "--delta", "nan"], "Expected delta in (0, 1), got nan."),
        ([*SITES, *NOWHERE, "--site-timeout", "1e10"], "is not in the range 0<x<=1000000000"),
        ([*PLAN, "--sites", "3", "--partition", "dirichlet:1e308"], "got 0; use numbers nearer to"),
        (
            [*RUN, *NOWHERE, "--backend", "ray", "--site-timeout", "5"],
            "--backend ray and --site-timeout 5 need --sites of 2 or more, got 1; say how many",
        ),
        ([*RUN, *NOWHERE, "--baselines"], "--baselines needs --sites of 2 or more, got 1;"),
        (
            [*RUN, *NOWHERE, "--partition", "nonsense"],
            "--partition nonsense needs --sites of 2 or more",
        ),
        (
            [*TUNE, *NOWHERE, "--partition", "nonsense"],
            "--partition nonsense needs --sites of 2 or more",
        ),
        (["show", "unett"], "No plug-in is called 'unett'. Did you mean 'unet'?"),
        (["explain", "0123"], "0123: there is no finished run of this name; runs has: none."),
        (
            ["audit", "--generator", "wgan", "--epsilon", "2"],
            "wgan at ε = 2 claims nothing that could",
        ),
        ([*AUDIT, "--preset", "quik"], "No preset of dp-wgan is called 'quik'. Did you mean 'qui"),
        ([*AUDIT, "--set", "clip_norm=1"], "Expected --set PLUGIN.NAME=VALUE, got 'clip_norm=1'."),
        ([*AUDIT, "--set", "dp-wgan.clip=1"], "No setting is called 'clip'."),
        ([*AUDIT, "--set", "wgan.batch=1"], "No plug-in of this audit is called 'wgan'. Did you"),
        (["audit", "--generator", "dp-wgan", "--epsilon", "no"], "got 'no'."),
        (["audit", "--generator", "dp-wgan", "--epsilon", "inf"], "at ε = inf claims nothing"),
        (["ledger", "cap", "none"], "got 'none'."),
        (["plan"], "Missing option '--patients'"),
        (["plan", "--patients", "0"], "0 is not in the range 1<=x"),
        ([*PLAN, "--seeds", "0"], "0 is not in the range 1<=x"),
        ([*PLAN, "--test-patients", "0"], "0 is not in the range 1<=x"),
        ([*PLAN, "--patches", "1"], "Expected patches_per_patient in [2, 100000], got 1."),
        ([*PLAN, "--unit", "hospital"], "'hospital' is not one of 'patch', 'patient'"),
        ([*PLAN, "--epsilon", "2,-1"], "Expected epsilon to be a number above 0 or inf, got '-1'."),
        ([*PLAN, "--delta", "0.01"], "Expected delta of at most 2.439e-06 = min(1e-5, 1 / (10 N))"),
        ([*PLAN, "--delta", "0"], "Expected delta in (0, 1), got 0.0."),
        ([*PLAN, "--generator", "dp-wgam"], "No generator is called 'dp-wgam'. Did you mean 'dp-w"),
        ([*PLAN, "--generator", ","], "at least one name"),
        ([*PLAN, "--preset", "quik"], "No preset is called 'quik'. Did you mean 'quick'?"),
        ([*PLAN, "--set", "dp-wgan.clip=1"], "dp-wgan: No setting is called 'clip'."),
        ([*PLAN, "--set", "unet.width=1"], "No plug-in of this sweep is called 'unet'."),
        (["federate", "out"], "Expected the name of a SuperLink after the folder out, got none;"),
        (["federate", "out", "--run-config", "sites=3"], "got '--run-config' in its place;"),
        (["ui", "absent"], "does not exist; `bench run` makes it"),
        (["ui", "one", "--out", "two"], "Expected one folder, got one and --out two;"),
        (["ui", "--out", "absent"], "does not exist; `bench run` makes it"),
    ],
)
def test_wrong_usage_gets_one_sentence(
    arguments: list[str], sentence: str, capsys, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sentence in says(capsys, monkeypatch, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["emptied", "cut off", "a folder", "a link to nowhere"])
@pytest.mark.parametrize(
    "arguments",
    [["ledger", "show"], ["ledger", "verify"], ["ledger", "cap", "8"], [*RUN, "--data", "cohort"]],
)
def test_a_damaged_ledger_gets_one_sentence_and_stays_as_it_is(
    damage: str, arguments: list[str], tiny_cohort: Path, capsys, monkeypatch, tmp_path: Path
) -> None:
    state, cache = tmp_path / "state", tmp_path / "cache"
    monkeypatch.setenv("ANGIOBENCH_STATE", str(state))
    monkeypatch.setenv("ANGIOBENCH_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    file = state / LEDGER
    Ledger(file, machine_secret(state)).set_cap(8.0)
    whole = file.read_bytes()
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    elif damage == "a link to nowhere":
        file.symlink_to(state / "nowhere")
    else:
        file.write_bytes(whole[:5000] if damage == "cut off" else b"")
    before = sorted(state.iterdir())
    error = says(capsys, monkeypatch, *arguments)
    assert error.count("\n") == 0
    assert "put it back from a copy" in error
    assert sorted(state.iterdir()) == before
    assert not cache.exists()
    assert not (tmp_path / "runs").exists()


def test_a_port_that_is_taken_is_said_before_mlflow_starts(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").touch()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        error = says(capsys, monkeypatch, "ui", ".", "--port", port)
    assert f"Expected a free --port, got {port}, which another program has" in error


def damage_shape(cohort: Path) -> None:
    mask = cohort / "derivatives/vessels/sub-02/anat/sub-02_desc-vessel_mask.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((48, 52, 5), np.uint8), np.eye(4)), mask)


def damage_nan(cohort: Path) -> None:
    image = np.ones((48, 52, 6), np.float32)
    image[0, 0, 0] = np.nan
    file = cohort / "sub-02/anat/sub-02_angio.nii.gz"
    nib.save(nib.Nifti1Image(image, np.eye(4)), file)


def damage_gzip(cohort: Path) -> None:
    file = cohort / "sub-02/anat/sub-02_angio.nii.gz"
    file.write_bytes(file.read_bytes()[:3000])


def empty(cohort: Path) -> None:
    for image in cohort.glob("sub-*/anat/*"):
        image.unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (damage_shape, "the mask is 48x52x5 and the image 48x52x6; they must have one shape."),
        (damage_nan, "1 voxels are NaN or infinite"),
        (damage_gzip, "the file cannot be read whole"),
        (empty, "is in none of the layouts bids, ixi, nnunet, pegasus"),
    ],
)
def test_an_unusable_file_is_named_before_anything_is_computed(
    damage, sentence: str, tiny_cohort: Path, capsys, monkeypatch, tmp_path: Path
) -> None:
    damage(tiny_cohort)
    monkeypatch.chdir(tmp_path)
    error = says(capsys, monkeypatch, *RUN, "--data", "cohort")
    assert sentence in error
    assert not (tmp_path / "runs").exists()


def test_a_training_patient_cannot_be_tested_on(
    tiny_cohort: Path, capsys, monkeypatch, tmp_path: Path
) -> None:
    twin = tmp_path / "twin"
    for file in tiny_cohort.rglob("*sub-01*.nii.gz"):
        copy = twin / str(file.relative_to(tiny_cohort)).replace("sub-01", "sub-77")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    error = says(capsys, monkeypatch, *RUN, "--data", "cohort", "--test-data", "twin")
    assert "(test set 'twin'): this is the volume of sub-01 again" in error


def test_a_delta_above_its_law_stops_the_sweep(
    tiny_cohort: Path, capsys, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    error = says(capsys, monkeypatch, *RUN, "--data", "cohort", "--delta", "0.01")
    assert "delta" in error
    assert not (tmp_path / "runs").exists()


def imported(code: str) -> set[str]:
    probe = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in out.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["run", "--help"], ["plan", "--help"]])
def test_help_and_list_import_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from benchmark.cli.main import main
from benchmark.core.folders import LEDGER, machine_secret
from benchmark.privacy.ledger.ledger import Ledger
sys.argv = ["bench", *{arguments!r}]
try:
    main()
except SystemExit:
    pass
"""
    assert not imported(code) & {"torch", "monai", "mlflow", "opacus", "altair", "generators.wgan"}


def test_list_says_of_every_plug_in_what_its_docstring_begins_with(capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "list"])
    with pytest.raises(SystemExit):
        main()
    listed = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    told = {line[0]: line[1] for line in listed if len(line) == 2}
    for registry in (generators, segmenters):
        for name in registry.names():
            assert told[name]
            assert " ".join((registry.get(name).__doc__ or "").split()).startswith(told[name])


def test_list_and_show_name_what_there_is(capsys, monkeypatch) -> None:
    for arguments, words in (
        (["list"], ["  dp-wgan            Draws labelled patches from a WGAN whose", "  unet "]),
        (["show", "dp-wgan"], ["dp-wgan.clip_norm = ", "in [0.001, 100]", "Kossen"]),
        (["show", "unet", "--preset", "paper"], ["unet.width = 32"]),
    ):
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 0
        out = capsys.readouterr().out
        assert all(word in out for word in words)


def test_an_interrupt_within_a_librarys_exec_has_its_exit_code_too(tmp_path: Path) -> None:
    package = tmp_path / "interrupted"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "from benchmark.cli import main\n"
        "main.bench.main = lambda **_: exec('raise KeyboardInterrupt')\n"
        "main.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "interrupted"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 130
    assert done.stderr.startswith("Interrupted; what was finished is kept")
