"""Odd machines: names, folders, terminals, disks and limits that a user's machine may have."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from command import COMMAND, FEW_PATCHES, STEPS, UNTRACKED, UNTRAINED, bench, results

from benchmark.core.addresses import folder_name, sqlite_url
from benchmark.core.files import held
from benchmark.sweep.tracking.mlflow_runs import DATABASE, EXPERIMENT

FREE = ["run", "--generator", "simulator", "--data", "cohort", "--no-bookends", *UNTRAINED]


def everything_in(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_a_site_may_have_any_name_and_writes_nothing_outside(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    table = tiny_cohort / "participants.tsv"
    table.write_text(table.read_text().replace("\ta\t", "\t../../x\t").replace("\tb\t", "\tA/B\t"))
    before = everything_in(tmp_path)
    asked = ["run", "--generator", "dp-wgan", "--epsilon", "5", "--data", "cohort", "--sites", "2"]
    asked += [*FEW_PATCHES, *STEPS, "--segmenter", "threshold", "--no-bookends", *UNTRACKED]
    done = bench(*asked, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = results(tmp_path)
    assert {site["site"] for site in result["sites"]} == {"../../x", "A/B"}
    cell = f"runs/dp-wgan/{result['run_key']}/"
    new = everything_in(tmp_path) - before
    beside = {name for name in new if name.startswith("runs/") and name.count("/") == 1}
    elsewhere = {name for name in new - beside if not name.startswith((cell, "runs/_fits/"))}
    assert not elsewhere
    (folder,) = tmp_path.glob("runs/_fits/*/sites")
    sites = {path.name for path in folder.iterdir()}
    assert sites <= {folder_name("../../x"), folder_name("A/B")}
    assert not list(tmp_path.rglob("reply.safetensors")), "no unprotected reply stays"


@pytest.mark.parametrize("name", ["kq?x=1", "%20", "#", "a b", "ü"])
def test_any_folder_holds_its_own_database_and_artifacts(
    name: str, tiny_cohort: Path, tmp_path: Path
) -> None:
    done = bench(*FREE, "--out", name, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MLflow at" not in done.stdout + done.stderr, "it did not fail"
    assert {path.name for path in tmp_path.iterdir()} == {"cohort", name}
    assert (tmp_path / name / DATABASE).is_file()
    assert list((tmp_path / name / "mlflow-artifacts").rglob("result.json"))


def test_moved_results_go_on_where_they_are_now(tiny_cohort: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    assert bench(*FREE, cwd=tmp_path).returncode == 0
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    done = bench(*FREE, "--seeds", "2", "--out", "elsewhere", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "runs").exists()
    client = MlflowClient(sqlite_url(tmp_path / "elsewhere" / DATABASE))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id])
    places = [Path(unquote(urlparse(run.info.artifact_uri).path)) for run in runs]
    assert all((tmp_path / "elsewhere") in place.parents for place in places)
    cells = [place for run, place in zip(runs, places, strict=True) if "run_key" in run.data.tags]
    assert len(cells) >= 2
    assert all((place / "result.json").is_file() for place in cells), "the old one, too"


def test_a_cell_that_another_process_computes_is_left_to_it_and_that_is_said(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    asked = [*FREE, *UNTRACKED]
    assert bench(*asked, cwd=tmp_path).returncode == 0
    (result,) = tmp_path.glob("runs/*/*/result.json")
    result.unlink()
    with held(result.parent):
        done = bench(*asked, cwd=tmp_path)
    assert done.returncode == 1, "not all is done"
    assert "Another process computes 1 of these cells" in done.stdout + done.stderr
    assert not result.exists()
    assert bench(*asked, cwd=tmp_path).returncode == 0


def test_a_deleted_experiment_is_restored_and_that_is_said(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    assert bench(*FREE, cwd=tmp_path).returncode == 0
    client = MlflowClient(sqlite_url(tmp_path / "runs" / DATABASE))
    client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)
    done = bench(*FREE, "--seeds", "2", cwd=tmp_path)
    assert done.returncode == 0
    assert "was deleted; it is restored" in done.stdout + done.stderr
    assert client.get_experiment_by_name(EXPERIMENT).lifecycle_stage == "active"


@pytest.mark.parametrize(
    "uri", ["http://me:s3cret%2Fpw@127.0.0.1:1/", "postgresql://me:s3cret%2Fpw@127.0.0.1:1/db"]
)
def test_no_password_is_printed_or_kept(uri: str, tiny_cohort: Path, tmp_path: Path) -> None:
    done = bench(*FREE, "--tracking-uri", uri, cwd=tmp_path)
    assert done.returncode == 0
    assert "MLflow at" in done.stdout + done.stderr
    for secret in ("s3cret%2Fpw", "s3cret/pw"):
        assert secret not in done.stdout + done.stderr
        for file in (tmp_path / "runs").rglob("*"):
            assert not (file.is_file() and secret.encode() in file.read_bytes()), file


@pytest.mark.parametrize("picture", ["out", "folder", "nowhere/cohort.png", "cohort.xyz"])
def test_a_picture_that_cannot_be_written_is_refused_before_a_volume_is_read(
    picture: str, tiny_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("benchmark.data.inspection.inspect", lambda *_, **__: pytest.fail("read"))
    refused = bench("data", "inspect", "cohort", "--picture", picture, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"bench: --picture {picture}: ")


def test_a_memory_limit_costs_the_pictures_and_not_the_table(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    asked = ["run", "--generator", "simulator", "--data", "cohort", "--no-bookends", "--jobs", "0"]
    asked += [*UNTRAINED, *UNTRACKED]
    limit = 6 << 30
    done = subprocess.run(
        [*COMMAND, *asked],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "simulator *" in done.stdout
    assert "does not suffice for charts" in done.stdout + done.stderr
    assert (tmp_path / "runs" / "summary.csv").is_file()
    assert not (tmp_path / "runs" / "trade-off.png").exists()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_greek_letters_gets_words(encoding: str, tmp_path: Path) -> None:
    asked = ["plan", "--patients", "20", "--generator", "dp-simulator", "--epsilon", "2"]
    done = subprocess.run(
        [*COMMAND, *asked],
        cwd=tmp_path,
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "epsilon asked" in done.stdout.decode(encoding)


def test_a_full_disk_is_named_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    file, whole = tmp_path / "result.json", '{"whole": 1}\n'
    file.write_text(whole)
    wide = 1 << 20

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (wide, wide))

    code = (
        "from pathlib import Path; from benchmark.core.files import write_text\n"
        f"write_text(Path({str(file)!r}), 'x' * {2 * wide})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=limited,
        check=False,
    )
    assert done.returncode == 1
    assert str(file) in done.stderr.strip().splitlines()[-1]
    assert file.read_text() == whole
    assert [one.name for one in tmp_path.iterdir()] == ["result.json"]


def test_a_folder_that_cannot_be_written_names_the_variables_that_move_it(
    tiny_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "file" / "state"))
    refused = bench("run", "--generator", "simulator", "--data", "cohort", cwd=tmp_path)
    assert refused.returncode == 2
    assert "ANGIOBENCH_CACHE" in refused.stderr
    assert "ANGIOBENCH_STATE" in refused.stderr
