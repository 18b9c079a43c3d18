"""The real commands, from a cohort to a verified release, and everything that stops one."""

import json
import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import UNTRACKED, UNTRAINED, bench, plug_in
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from statements import guarantee, statement

from benchmark.audit.own_fit import Attempted, FitAudit, FitTest, planted_audit
from benchmark.core.errors import UsageError
from benchmark.core.files import read_json, write_json
from benchmark.core.folders import state_folder
from benchmark.core.patches import Patches
from benchmark.core.sums import SUMS, sum_of, sum_of_folder
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.release.cohort import Cohort, Group
from benchmark.release.findings import audited
from benchmark.release.making import _host
from benchmark.release.refusals import not_private, of_the_run
from benchmark.release.source import Source, source_of
from benchmark.release.statement import Statement
from benchmark.results.spec_parts import OwnPatients, PlugIn, TunedBy
from benchmark.results.store import AUDIT, CANARIES, GENERATOR, read_result, write_result
from leaderboard.board import tables_of
from leaderboard.entries import entries_of
from leaderboard.rows import AUDITED
from leaderboard.sharing import shared

SPLITS = ("train",) * 10 + ("val",) * 2 + ("test",) * 6
RUN = ["--epsilon", "5", "--unit", "patient", "--data", "cohort", "--no-bookends"]
RUN += [*UNTRAINED, *UNTRACKED]
SMALL = ["--licence", "CC-BY-4.0", "--n", "40", "--per-volume", "20"]
Writer = Callable[[Path, Sequence[str]], Path]
DOCS = Path(__file__).parents[2] / "docs" / "release.md"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, write_cohort: Writer) -> Path:
    folder = tmp_path_factory.mktemp("release")
    write_cohort(folder / "cohort", SPLITS)
    return folder


@pytest.fixture(scope="module")
def fitted(home: Path) -> Path:
    """The folder of a run on patients, a patient protected at ε = 5."""
    done = bench("run", "--generator", "dp-simulator", *RUN, cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (home / "runs" / "dp-simulator").iterdir()
    return found


@pytest.fixture(scope="module")
def released(home: Path, fitted: Path) -> Path:
    done = released_to("first", home)
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "first"


def released_to(name: str, home: Path, *more: str, run: str = "dp-simulator") -> object:
    return bench("release", run, "--data", "cohort", *SMALL, "--out", name, *more, cwd=home)


def refused(home: Path, *arguments: str) -> str:
    """What a refusal says; it leaves nothing behind."""
    before = sorted(file.name for file in home.iterdir())
    done = bench("release", *arguments, "--out", "refused", cwd=home)
    if (home / "refused").exists():
        shutil.rmtree(home / "refused")  # no other test should stumble over it
    assert done.returncode == 2, done.stdout + done.stderr
    assert sorted(file.name for file in home.iterdir()) == before
    assert "Traceback" not in done.stderr
    return done.stderr


def said_in(folder: Path) -> Statement:
    return Statement.read(read_json(folder / "privacy.json"))


def test_the_commands_of_the_docs_lead_to_a_verified_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_cohort: Writer
) -> None:
    """As they stand in the docs, but for the smaller sizes that a test can wait for."""
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    write_cohort(tmp_path / "COHORT", SPLITS)
    block = re.search(r"```console\n(.+?)```", DOCS.read_text(), re.DOTALL)
    assert block
    lines = [line.removeprefix("$ bench ") for line in block[1].strip().splitlines()]
    assert len(lines) == 4
    smaller = {"run": [*UNTRAINED, *UNTRACKED], "release": ["--n", "40"]}
    for line in lines:
        words = shlex.split(line)
        done = bench(*words, *smaller.get(words[0], []), cwd=tmp_path)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert "every law that could be checked" in done.stdout


def test_a_release_says_what_the_run_gave(released: Path, fitted: Path) -> None:
    said, result = said_in(released), read_result(fitted)
    assert result is not None
    assert said.guarantee == result.guarantee
    assert said.spec == result.spec
    assert said.is_private
    assert (said.samples.n, said.samples.volumes) == (40, 2)
    assert said.samples.generator == sum_of_folder(fitted / GENERATOR)
    assert said.nearest_real
    assert said.nearest_real.disclosed is None
    assert said.audit
    assert said.audit.proven is None
    assert said.replay
    assert said.replay.held


def test_what_left_is_in_the_ledger_and_costs_nothing(released: Path, fitted: Path) -> None:
    ledger, said = ledger_in(state_folder()), said_in(released)
    (left,) = (entry for entry in ledger.entries() if entry.said["kind"] == "release")
    assert left.said["sums"] == sum_of(released / SUMS)
    assert (left.said["run"], left.said["patches"]) == (said.run, 40)
    assert said.ledger
    (paid,) = said.ledger.entries
    assert paid.hash == ledger.entries()[paid.number - 1].hash
    assert said.ledger.before == 0
    assert said.ledger.after == pytest.approx(ledger.totals()[0].epsilon)
    assert ledger.totals()[0].entries == (paid.number,)
    shown = bench("ledger", "show", cwd=released)
    assert re.search(r"release +40 patches", shown.stdout)


def test_the_same_release_again_is_the_same_bytes_and_the_same_entry(
    released: Path, home: Path
) -> None:
    entries = len(ledger_in(state_folder()).entries())
    done = released_to("again", home)
    assert done.returncode == 0, done.stderr
    assert (home / "again" / SUMS).read_bytes() == (released / SUMS).read_bytes()
    assert len(ledger_in(state_folder()).entries()) == entries
    shutil.rmtree(home / "again")


def test_figures_on_patients_are_said_only_if_they_are_disclosed(
    released: Path, home: Path
) -> None:
    assert released_to("open", home, "--disclose").returncode == 0
    said = said_in(home / "open")
    assert said.nearest_real
    assert said.nearest_real.disclosed
    assert said.audit
    assert said.audit.proven is not None
    for name in ("privacy.json", "dossier.html"):
        assert "share beyond strangers" in (home / "open" / name).read_text()
        assert "share beyond strangers" not in (released / name).read_text()
    shutil.rmtree(home / "open")


def test_weights_and_a_signature_leave_only_if_they_are_asked_for(
    released: Path, home: Path, fitted: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (home / "key.pem").write_bytes(pem)
    done = released_to("signed", home, "--weights", "--sign", "key.pem")
    assert done.returncode == 0, done.stderr
    (printed,) = re.findall(r"Signed by the key ([0-9a-f ]+);", done.stdout)
    checked = bench("verify-release", "signed", cwd=home)
    assert checked.returncode == 0, checked.stdout
    assert printed in checked.stdout
    assert sum_of_folder(home / "signed" / "generator") == sum_of_folder(fitted / GENERATOR)
    assert not {"generator", "SHA256SUMS.sig"} & {file.name for file in released.iterdir()}
    shutil.rmtree(home / "signed")
    (home / "key.pem").unlink()


def test_canaries_audit_the_very_fit_and_none_is_released(home: Path) -> None:
    run = ["run", "--generator", "dp-merf", "--canaries", "24", *RUN]
    assert bench(*run, cwd=home).returncode == 0
    (folder,) = (home / "runs" / "dp-merf").iterdir()
    counts = FitAudit.model_validate(read_json(folder / CANARIES))
    assert counts.tests[0].candidates == 24
    assert counts.laws
    assert not counts.broken
    done = released_to("audited", home, run="dp-merf")
    assert done.returncode == 0, done.stderr
    said = said_in(home / "audited")
    assert said.audit
    assert (said.audit.method, said.audit.candidates) == ("canaries", 24)
    assert said.audit.proven is not None, "canaries are nobody's data"
    (own,) = (one for one in entries_of([home / "runs"]) if one.spec.canaries)
    assert own.audit == (
        "This very fit was attacked by canaries planted in it and membership inference, which did "
        "not refute its claim."
    )
    assert not shared(own, phantoms=False).audit, "of patients it stays with their owner"
    assert AUDITED in [
        badge for t in tables_of([own], for_owner=True) for row in t.rows for badge in row.badges
    ]
    assert said.guarantee.patients == 10 + 24
    assert said.spec.canaries == 24
    shutil.rmtree(home / "audited")
    arguments = ["dp-merf", *SMALL, "--data", "cohort"]
    broken = counts.but(broken={"the_divisor_is_public": "it is not"})
    write_json(folder / CANARIES, broken.as_dict())
    assert "this is not what the run wrote" in refused(home, *arguments)
    write_result(folder, read_result(folder))
    assert "The audit refutes the claim" in refused(home, *arguments)
    (folder / CANARIES).unlink()
    assert "is gone, and the run wrote it" in refused(home, *arguments)
    write_result(folder, read_result(folder))
    assert "a kill kept the 24 canaries of this run from being seen" in refused(home, *arguments)
    shutil.rmtree(folder.parent)


@pytest.mark.parametrize("generator", ["dp-wgan", "dp-merf"])
def test_a_kill_after_the_fit_keeps_what_was_heard_of_its_canaries(
    generator: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "cohort", tmp_path / "cohort")
    run = ["run", "--generator", generator, "--canaries", "16", *RUN]
    run += ["--set", "dp-wgan.generator_steps=2"] if generator == "dp-wgan" else []
    monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
    with monkeypatch.context() as patch:
        patch.setattr(
            "benchmark.sweep.run_cell.train_segmenter",
            lambda *_: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        assert bench(*run, cwd=tmp_path).returncode == 130
    (counts,) = tmp_path.glob(f"runs/{generator}/*/canaries.json")
    heard = counts.read_bytes()
    done = bench(*run, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts.read_bytes() == heard
    assert planted_audit(counts.parent, 16) is not None
    paid = [one for one in ledger_in(tmp_path / "state").entries() if "guarantee" in one.said]
    assert len(paid) == 1, "the fit went on under its own entry"


def test_nothing_is_released_from_another_cohort_or_none(
    home: Path, fitted: Path, write_cohort: Writer
) -> None:
    write_cohort(home / "other", SPLITS[1:])
    said = refused(home, "dp-simulator", *SMALL, "--data", "other")
    assert "this is not the cohort of the run" in said
    assert "name the cohort that it was fitted on with --data" in refused(
        home, "dp-simulator", *SMALL
    )
    shutil.rmtree(home / "other")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--seed", value) for value in ("99999999999", "-1")),
        *(("--n", value) for value in ("0", "1000001")),
        *(("--per-volume", value) for value in ("0", "10001")),
    ],
)
def test_a_number_out_of_its_range_is_a_sentence(
    option: str, value: str, home: Path, fitted: Path
) -> None:
    said = refused(home, "dp-simulator", *SMALL, "--data", "cohort", option, value)
    assert said.startswith(f"bench: Expected {option} in [")


def test_wrong_usage_is_a_sentence(home: Path, fitted: Path, released: Path) -> None:
    cohort = ["--data", "cohort"]
    wrong = ["--n", "4", "--licence", "MINE"]
    assert "CC-BY-4.0" in refused(home, "dp-simulator", *cohort, *wrong)
    assert "there is no finished run" in refused(home, "nobody", *cohort, *SMALL)
    assert "leave --not-private out" in refused(
        home, "dp-simulator", *cohort, *SMALL, "--not-private"
    )
    again = bench("release", "dp-simulator", *cohort, *SMALL, "--out", "first", cwd=home)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_a_ledger_that_lacks_the_fit_or_was_changed_stops_a_release(
    home: Path, fitted: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arguments = ["dp-simulator", *SMALL, "--data", "cohort"]
    state = tmp_path / "state"
    shutil.copytree(state_folder(), state)
    monkeypatch.setenv("ANGIOBENCH_STATE", str(state))
    for file in state.glob("ledger*"):
        file.unlink()
    assert "ledger does not have what the fit" in refused(home, *arguments)
    monkeypatch.undo()
    shutil.rmtree(state)
    shutil.copytree(state_folder(), state)
    monkeypatch.setenv("ANGIOBENCH_STATE", str(state))
    damage(state / "ledger.db")
    assert re.search("was changed|were removed|put in", refused(home, *arguments))


def damage(ledger: Path) -> None:
    import sqlite3

    with sqlite3.connect(ledger) as file:
        file.execute("DROP TRIGGER no_change")
        (text,) = file.execute("SELECT entry FROM entries WHERE number = 1").fetchone()
        changed = text.replace('"patients":[', '"patients":["0123",')
        file.execute("UPDATE entries SET entry = ? WHERE number = 1", (changed,))


def test_nobody_can_write_an_audit_by_hand(home: Path, fitted: Path) -> None:
    """A file of canaries that were never planted, or of another generator, is not looked at."""
    made = FitAudit(
        format=1,
        run=fitted.name,
        method="canaries",
        tests=(
            FitTest(unit="patient", candidates=64, attempts=(Attempted(guesses=64, right=30),)),
        ),
    )
    for name in (CANARIES, AUDIT):
        write_json(fitted / name, made.as_dict())
    done = released_to("own", home)
    assert done.returncode == 0, done.stderr
    said = said_in(home / "own").audit
    assert said
    assert (said.method, said.candidates) == ("membership", 8)
    (fitted / CANARIES).unlink()
    shutil.rmtree(home / "own")


KEEPER = '''
"""Claims a noised mean, and keeps the patches that it was fitted on."""
import json
from pathlib import Path
import numpy as np
from safetensors.numpy import load_file, save_file
from benchmark.core.patches import Patches
from generators.dp_simulator import DpSimulator


class Keeper(DpSimulator):
    name = "keeper"

    def fit(self, patches, guarantee, context):
        spent = super().fit(patches, guarantee, context)
        self.kept = np.array(patches.images), np.array(patches.masks)
        return spent

    def sample(self, n, *, seed):
        rows = np.random.default_rng(seed).integers(0, len(self.kept[0]), n)
        return Patches(images=self.kept[0][rows], masks=self.kept[1][rows])

    def save(self, folder):
        save_file({"images": self.kept[0], "masks": self.kept[1]}, folder / "kept.safetensors")

    @classmethod
    def load(cls, folder):
        made, kept = cls(cls.smoke), load_file(Path(folder) / "kept.safetensors")
        made.kept = kept["images"], kept["masks"]
        return made
'''


def test_a_generator_that_keeps_patients_is_stopped_by_every_measure(
    home: Path, tmp_path: Path
) -> None:
    path = plug_in(tmp_path, "generators", "keeper", "Keeper", KEEPER)
    done = bench("run", "--generator", "keeper", *RUN, cwd=home, path=path)
    assert done.returncode == 0, done.stdout + done.stderr
    arguments = ["release", "keeper", "--data", "cohort", *SMALL, "--out", "refused"]
    stopped = bench(*arguments, cwd=home, path=path)
    assert stopped.returncode == 2, stopped.stdout
    assert "nearer to fitted patients than strangers do" in stopped.stderr
    assert "breaks a law of private fits" in stopped.stderr
    assert not (home / "refused").exists()
    shutil.rmtree(home / "runs" / "keeper")


def result_of(fitted: Path, **changes: object) -> Source:
    result = read_result(fitted)
    assert result is not None
    return Source(folder=fitted, result=result.but(**changes))


def test_what_has_no_finite_epsilon_is_refused(fitted: Path) -> None:
    source = result_of(fitted)
    assert not [*not_private(source), *of_the_run(source)]
    free = replace(source.result.guarantee, epsilon=float("inf"))
    (said,) = not_private(result_of(fitted, guarantee=free))
    assert "without a finite ε" in said


def test_seeded_noise_is_refused(fitted: Path) -> None:
    seeded = replace(result_of(fitted).result.guarantee, seeded=True)
    (said,) = not_private(result_of(fitted, guarantee=seeded))
    assert "--noise system" in said


def test_an_unaccounted_selection_is_refused(fitted: Path) -> None:
    tuned = TunedBy(epsilon=5.0, study="s1", on="private", selection="not accounted")
    spec = replace(result_of(fitted).result.spec, tuned=tuned)
    (said,) = not_private(result_of(fitted, spec=spec))
    assert "selection is not accounted for" in said


def test_noise_without_a_grid_is_refused(fitted: Path) -> None:
    floats = replace(result_of(fitted).result.guarantee, grid=0.0)
    (said,) = of_the_run(result_of(fitted, guarantee=floats))
    assert "without a grid" in said


def test_another_version_of_the_generator_is_refused(fitted: Path) -> None:
    spec = result_of(fitted).result.spec
    older = replace(spec, generator=replace(spec.generator, version=1))
    (said,) = of_the_run(result_of(fitted, spec=older))
    assert "was of version 1" in said


def test_of_patients_nothing_leaves_without_a_guarantee(
    home: Path, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in the way of an ε, ``--not-private`` is for phantoms alone."""
    tuned = TunedBy(epsilon=5.0, study="s1", on="private", selection="not accounted")
    source = result_of(fitted)
    spec = replace(source.result.spec, tuned=tuned)
    monkeypatch.setattr(
        "benchmark.release.making.source_of", lambda *_: result_of(fitted, spec=spec)
    )
    said = refused(home, "dp-simulator", *SMALL, "--data", "cohort", "--not-private")
    assert "selection is not accounted for" in said


def test_settings_that_were_tuned_on_phantoms_may_be_released(home: Path) -> None:
    run = ["run", "--generator", "dp-merf", *RUN, "--protocol", "2026-1", "--tuned"]
    run[run.index("--unit") + 1] = "patch"
    done = bench(*run, cwd=home)
    assert done.returncode == 0, done.stderr
    made = released_to("tuned", home, run="dp-merf")
    assert made.returncode == 0, made.stderr
    assert said_in(home / "tuned").spec.tuned
    for rest in (home / "tuned", home / "runs" / "dp-merf"):
        shutil.rmtree(rest)


def test_leaving_patients_out_is_said_where_it_is_promised(
    home: Path, tmp_path: Path, write_cohort: Writer
) -> None:
    cohort = write_cohort(tmp_path / "cohort", SPLITS)
    (cohort / "sub-03" / "anat" / "sub-03_angio.nii.gz").write_bytes(b"damaged")
    run = ["run", "--generator", "dp-simulator", *RUN, "--skip-bad"]
    done = bench(*run, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = released_to("skipped", tmp_path, "--skip-bad")
    assert made.returncode == 0, made.stderr
    for name in ("privacy.json", "README.md", "dossier.html"):
        text = " ".join((tmp_path / "skipped" / name).read_text().split())
        assert "it tells that somebody was left out: no ε covers that" in text


def test_a_fit_that_cannot_be_attacked_is_refused(fitted: Path, tmp_path: Path) -> None:
    source, shape = result_of(fitted), (0, 1, 32, 32)
    nobody = Patches(
        images=np.zeros(shape, np.float32),
        masks=np.zeros(shape, np.uint8),
        patient=np.zeros(0, np.int64),
    )
    spec, strangers = source.result.spec, Group((), "")
    cohort = Cohort(spec=spec, groups=(), strangers=strangers, cache=tmp_path, skip_bad=False)
    vars(cohort).update(fitted=nobody, unfitted=nobody, held_out=nobody)
    with pytest.raises(UsageError, match="there is nobody to guess on"):
        audited(source, cohort)


def test_only_generators_that_were_fitted_on_everybody_are_released(
    fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = result_of(fitted).result.spec
    own = OwnPatients(patients=(1,), mixture="together")
    for changes, words in (
        ({"generator": spec.segmenter}, "this run fitted a segmenter itself"),
        ({"own": own}, "own patients were withheld from this run's fit"),
    ):
        result = result_of(fitted, spec=replace(spec, **changes)).result
        monkeypatch.setattr("benchmark.release.source.found", lambda *_, it=result: (fitted, it))
        with pytest.raises(UsageError, match=words):
            source_of(fitted.name, fitted)


def test_of_one_place_no_site_consents_or_examines(home: Path, fitted: Path) -> None:
    consent = ["consent", "dp-simulator", "--site", "a", "--by", "Dr X", "--out", "none"]
    for command, words in (
        (consent, "there is no site to consent"),
        ([*consent, "--data", "cohort"], "leave --data out"),
        (["candidate", str(fitted), "--n", "40"], "its patients are at one place"),
    ):
        done = bench(*command, cwd=home)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
        assert not (home / "none").exists()


def test_too_few_patients_are_refused_and_canaries_count_for_nobody(fitted: Path) -> None:
    few = replace(result_of(fitted).result.guarantee, patients=4)
    (said,) = of_the_run(result_of(fitted, guarantee=few))
    assert "on 4 patients" in said
    spec = replace(result_of(fitted).result.spec, canaries=20)
    planted = replace(few, patients=24)
    (said,) = of_the_run(result_of(fitted, guarantee=planted, spec=spec))
    assert "on 4 patients" in said


def test_a_run_of_patients_without_a_guarantee_left_nothing_to_release(home: Path) -> None:
    run = ["run", "--generator", "wgan", *RUN, "--set", "wgan.generator_steps=2"]
    done = bench(*run, "--epsilon", "inf", cwd=home)
    assert done.returncode == 0, done.stderr
    said = refused(home, "wgan", *SMALL, "--data", "cohort", "--not-private")
    assert "kept no generator" in said


def test_phantoms_may_leave_without_a_guarantee_and_every_file_says_so(
    tmp_path: Path,
    write_tiny_phantoms: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_tiny_phantoms(tmp_path / "phantoms")
    monkeypatch.setattr("benchmark.sweep.inputs.embedded", lambda *_, **__: tmp_path / "phantoms")
    run = ["run", "--generator", "dp-simulator", *RUN]
    del run[run.index("--data") : run.index("--data") + 2]
    assert bench(*run, cwd=tmp_path).returncode == 0
    assert "--noise system" in refused(tmp_path, "dp-simulator", *SMALL)
    done = bench("release", "dp-simulator", *SMALL, "--not-private", "--out", "R", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    silent = [
        file.name
        for file in (tmp_path / "R").rglob("*")
        if file.is_file()
        and file.suffix not in (".gz", ".pdf")
        and file.name not in (".bidsignore",)
        and b"NOT PRIVATE" not in file.read_bytes().upper()
    ]
    assert not silent
    assert said_in(tmp_path / "R").claim == "not private"


def test_a_release_of_two_sites_needs_the_consent_of_both(home: Path) -> None:
    run = ["run", "--generator", "dp-wgan", *RUN, "--sites", "2", "--rounds", "2"]
    done = bench(*run, "--set", "dp-wgan.generator_steps=2", "--local-steps", "1", cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    arguments = ["dp-wgan", *SMALL, "--data", "cohort"]
    assert "a, b did not consent" in refused(home, *arguments)
    for site in "ab":
        made = bench("consent", "dp-wgan", "--site", site, "--by", "Dr X", "--out", "yes", cwd=home)
        assert made.returncode == 0, made.stderr
    both = ["--consents", "yes"]
    (home / "yes" / "b.json").rename(home / "yes" / "kept")
    assert "b did not consent" in refused(home, *arguments, *both)
    (home / "yes" / "kept").rename(home / "yes" / "b.json")
    done = bench("release", *arguments, "--out", "sites", *both, cwd=home)
    assert done.returncode == 0, done.stderr
    said = said_in(home / "sites")
    assert [one.site for one in said.sites] == ["a", "b"]
    assert [one.consent for one in said.sites] == [sum_of(home / f"yes/{s}.json") for s in "ab"]
    text = (home / "sites" / "dossier.html").read_text()
    assert all(one.guarantee.patients == 5 for one in said.sites)
    assert "Several sites" in text or "each site" in text.lower()
    other = json.loads((home / "yes/a.json").read_text())
    for change in (
        {"run": "0123456789ab"},
        {"generator": "ab" * 32},
        {"guarantee": {**other["guarantee"], "epsilon": 1.0}},
        {"format": 7},
    ):
        write_json(home / "yes" / "a.json", {**other, **change})
        assert re.search("consent", refused(home, *arguments, *both))
    write_json(home / "yes" / "a.json", other)
    write_json(home / "yes" / "again.json", other)
    assert "a second consent of a" in refused(home, *arguments, *both)
    for made in ("sites", "yes"):
        shutil.rmtree(home / made)


def test_a_killed_release_leaves_nothing_that_counts(home: Path, fitted: Path) -> None:
    dead, alive = 999999999, 1
    rest = home / f".partial-release-{_host()}-{dead}-abcdefgh"
    theirs = home / f".partial-release-{_host()}-{alive}-abcdefgh"
    others = [home / f".partial-release-{name}" for name in ("notes", f"ab-{dead}-abcdefgh")]
    for folder in (rest, theirs, *others):
        folder.mkdir()
        (folder / "privacy.json").write_text("{}")
    done = released_to("late", home)
    assert done.returncode == 0, done.stderr
    assert not rest.exists()
    assert theirs.exists(), "of a process that is at work"
    assert all(other.exists() for other in others), "of somebody else, or of another machine"
    for made in (home / "late", theirs, *others):
        shutil.rmtree(made)


def test_a_kill_between_the_ledger_and_the_folder_is_made_good_by_the_same_command(
    home: Path, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--seed", "5"]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert released_to("cut", home, *arguments).returncode == 130
    entries = ledger_in(state_folder()).entries()
    assert entries[-1].said["kind"] == "release"
    assert not (home / "cut").exists()
    assert not [*home.glob(".partial-release-*")]
    assert released_to("cut", home, *arguments).returncode == 0
    assert entries[-1].said["sums"] == sum_of(home / "cut" / SUMS)
    assert ledger_in(state_folder()).entries() == entries, "what left is noted once"
    shutil.rmtree(home / "cut")


def test_a_guarantee_of_a_statement_is_one(released: Path) -> None:
    """The stand-ins of other tests have the fields of real ones."""
    assert statement().as_dict().keys() <= said_in(released).as_dict().keys() | {"reasons"}
    assert guarantee().as_dict().keys() == said_in(released).guarantee.as_dict().keys()
    assert isinstance(said_in(released).spec.generator, PlugIn)
