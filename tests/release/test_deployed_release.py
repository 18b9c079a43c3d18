"""A deployment's run, from the folder at its server to a release that holds, and what stops one."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command import bench
from deployments import (
    ASKED,
    NAMES,
    SEED,
    Consortium,
    N,
    consented,
    consortium,
    hospitals,
    released_by,
    sent,
)
from loopback import Loopback
from releases import put
from safetensors.numpy import load_file, save_file

from benchmark.core.budget import Guarantee
from benchmark.core.files import read_json, write_json
from benchmark.core.protocol import Recipe
from benchmark.core.sums import sum_of
from benchmark.data.layouts import read_cohort
from benchmark.data.patching import extract
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.release.candidate import CANDIDATE, IMAGES, MASKS
from benchmark.release.checks.evidence import claim_of
from benchmark.release.consent import read_consent
from benchmark.release.contents.volumes import stored
from benchmark.release.records import AuditRecord
from benchmark.release.refusals import not_private, of_the_run
from benchmark.release.seals import fingerprint, private_key_in, seal
from benchmark.release.source import Source, source_of
from benchmark.release.statement import STATEMENT, Statement
from benchmark.release.verification import verify_release
from benchmark.sweep.site_plans import job_of
from federation.finished import RESULT, Finished
from federation.job import Job

Writer = Callable[..., Path]
Said = dict[str, Any]
DOCS = Path(__file__).parents[2] / "docs" / "release.md"
PATIENT = "sub-01"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, write_cohort: Writer) -> Consortium:
    """A deployment of three hospitals, whose patches are drawn."""
    return consortium(tmp_path_factory.mktemp("consortium"), write_cohort)


@pytest.fixture(scope="module")
def agreed(made: Consortium) -> Consortium:
    return consented(made)


@pytest.fixture(scope="module")
def released(agreed: Consortium) -> Path:
    return released_by(agreed)


@pytest.fixture
def consents(agreed: Consortium, tmp_path: Path) -> Path:
    """A copy of the sites' files."""
    return Path(shutil.copytree(agreed.root / "consents", tmp_path / "consents"))


@pytest.fixture
def run(made: Consortium, tmp_path: Path) -> Path:
    """A copy of the server's folder, as it was sent to a site."""
    return sent(made, tmp_path)


def said_in(folder: Path) -> Statement:
    return Statement.read(read_json(folder / STATEMENT))


def refused(agreed: Consortium, *more: str, **where: Any) -> str:
    """What a refusal of the server says; it leaves nothing."""
    done = agreed.release("refused", *more, **where)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not (agreed.root / "refused").exists()
    return str(done.stderr)


def refused_at(made: Consortium, site: str, *more: str, **where: Any) -> str:
    """What a refusal of a site says; it leaves no consent, and the ledger notes nothing."""
    before = ledger_in(made.state(site)).entries()
    done = made.consent(site, *more, out="no", **where)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not (made.root / "no").exists()
    assert ledger_in(made.state(site)).entries() == before
    return str(done.stderr)


def changed(file: Path, change: Callable[[Said], object]) -> None:
    said = json.loads(file.read_text())
    change(said)
    write_json(file, said)


def test_the_commands_of_the_docs_lead_from_a_deployment_to_a_verified_release(
    made: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they stand in the docs, each at its place, but for smaller sizes and their folders."""
    for folder in (*NAMES, "out"):
        shutil.copytree(made.root / folder, tmp_path / folder)
    found = tmp_path / made.run.relative_to(made.root)
    (found / CANDIDATE).unlink()
    section = DOCS.read_text().split("## A deployment")[1]
    block = re.search(r"```console\n(.+?)```", section, re.DOTALL)
    assert block
    typed = re.sub(r" *\\\n *", " ", block[1].strip())
    lines = [re.sub(r" +#.*", "", line).removeprefix("$ ") for line in typed.splitlines()]
    assert [line.split()[1] for line in lines] == [
        "candidate",
        "consent",
        "release",
        "verify-release",
    ]
    smaller = {"candidate": ["--n", "40"], "release": ["--n", "40"]}
    for line in lines:
        words = shlex.split(line.replace("RUN", str(found)))[1:]
        sites = NAMES if words[0] == "consent" else ("",)
        for site in sites:
            monkeypatch.setenv("ANGIOBENCH_STATE", str(tmp_path / (site or "server") / "state"))
            told = [f"{site}/cohort" if word == "/data/tof" else word for word in words]
            told = [site if word == "hill" else word for word in told]
            done = bench(*told, *smaller.get(words[0], []), cwd=tmp_path)
            assert done.returncode == 0, (told, done.stdout, done.stderr)
    assert "every law that could be checked" in done.stdout


def test_a_release_of_a_deployment_names_what_every_site_found(
    agreed: Consortium, released: Path
) -> None:
    said, finished = said_in(released), Finished.read(agreed.run)
    assert said.is_private
    assert said.is_deployed
    assert (said.run, said.spec, said.guarantees) == (
        finished.run,
        finished.spec,
        finished.guarantees,
    )
    assert said.guarantee.epsilon == max(one.epsilon for one in finished.guarantees.values())
    assert [one.site for one in said.sites] == [*NAMES]
    assert said.replay
    assert said.replay.held
    for one in said.sites:
        assert one.consent == sum_of(agreed.root / "consents" / f"{one.site}.json")
        entries = ledger_in(agreed.state(one.site)).entries()
        (paid,) = (entry for entry in entries if entry.said["kind"] == "fit")
        assert one.evidence
        assert one.evidence.ledger
        assert [entry.hash for entry in one.evidence.ledger.entries] == [paid.hash]
        assert one.evidence.ledger.after == pytest.approx(one.guarantee.epsilon, abs=1e-3)
        assert one.evidence.nearest_real
        assert one.evidence.nearest_real.passed
        assert one.evidence.nearest_real.disclosed is None
        assert one.evidence.audit
        assert one.evidence.audit.proven is None


def test_what_left_is_in_every_sites_own_ledger(agreed: Consortium, released: Path) -> None:
    voxels = said_in(released).samples.voxels
    for site in NAMES:
        ledger = ledger_in(agreed.state(site))
        (left,) = (one for one in ledger.entries() if one.said["kind"] == "release")
        assert (left.said["sums"], left.said["patches"]) == (voxels, int(N))
        ledger.verify()
    assert agreed.consent("hill").returncode == 0
    entries = ledger_in(agreed.state("hill")).entries()
    assert sum(one.said["kind"] == "release" for one in entries) == 1, "noted once"


def test_numbers_of_pairs_say_nothing_of_patients(agreed: Consortium) -> None:
    for site in NAMES:
        consent = read_consent(agreed.root / "consents" / f"{site}.json")
        assert consent.examined
        audit = consent.examined.evidence.audit
        assert audit
        counts = [one.candidates for one in (audit, *audit.further)]
        assert all(count & (count - 1) == 0 for count in counts)


def test_a_consent_holds_no_figure_that_was_measured_on_patients(agreed: Consortium) -> None:
    text = (agreed.root / "consents" / "hill.json").read_text()
    assert PATIENT not in text
    assert '"disclosed": null' in text
    assert set(re.findall(r'"proven": (\S+)', text.replace(",", ""))) == {"null"}


def test_the_dossier_says_what_only_sites_can_know(released: Path) -> None:
    text = " ".join((released / "dossier.html").read_text().split())
    for words in (
        "The server has no patients to test on, and no score of a site left it",
        "Each site looked into its own ledger",
        "Each site attacked the fit at its own place",
        *NAMES,
    ):
        assert words in text
    assert "scores of section" not in text


def attacks(guarantee: Said, audit: Said) -> None:
    """As if the attack had tested what the guarantee now claims."""
    held, said = Guarantee.from_dict(guarantee), AuditRecord.model_validate(audit)
    for test, one in zip((audit, *audit["further"]), (said, *said.further), strict=True):
        test["claim"] = claim_of(held, said, one).epsilon


def test_the_receiver_computes_the_epsilon_of_every_site_again(
    agreed: Consortium, released: Path, tmp_path: Path
) -> None:
    """A site that claims less than its noise costs is found from the job and its public N."""
    assert verify_release(released).holds
    folder = Path(shutil.copytree(released, tmp_path / "forged"))

    def less(said: Said) -> None:
        said.update(epsilon=1.0, epsilon_patient=1.0)

    file = folder / "consents" / "hill.json"

    def consents(said: Said) -> None:
        less(said["guarantee"])
        attacks(said["guarantee"], said["examined"]["evidence"]["audit"])

    def forge(said: Said) -> None:
        less(said["sites"][2]["guarantee"])
        attacks(said["sites"][2]["guarantee"], said["sites"][2]["evidence"]["audit"])
        said["sites"][2]["consent"] = sum_of(file)

    changed(file, consents)

    changed(folder / STATEMENT, forge)
    seal(folder, private=True)
    faults = verify_release(folder).faults
    assert any("at hill is 1" in fault and "numbers give" in fault for fault in faults), faults


FORGED: dict[str, tuple[Callable[[Said], object], str]] = {
    "another job": (lambda said: said["spec"].update(seed=9), "its spec's key is"),
    "an assignment": (
        lambda said: said["spec"]["federation"].update(assignment="ab" * 8),
        "nobody knows that of a deployment",
    ),
    "a partition": (
        lambda said: said["spec"]["federation"].update(partition="size-skew:7,6,5"),
        "nobody knows that of a deployment",
    ),
    "fewer patients": (
        lambda said: said["sites"][0]["guarantee"].update(patients=5),
        "by other numbers than",
    ),
    "a figure": (
        lambda said: said["sites"][0]["evidence"]["audit"].update(proven=0.0),
        "it says something else than the statement",
    ),
    "other patches": (lambda said: said["samples"].update(voxels="ab" * 32), "other patches"),
    "another seed": (lambda said: said["samples"].update(seed=4), "patches of seed 3"),
    "a key": (
        lambda said: said["sites"][0].update(signer=" ".join(["abcd"] * 16)),
        "it says something else",
    ),
    "no evidence": (lambda said: said["sites"][0].pop("evidence"), "each site of a deployment"),
    "no voxels": (lambda said: said["samples"].pop("voxels"), "each site of a deployment"),
    "utility": (
        lambda said: said.update(
            utility=[
                {
                    "generator": "dp-simulator",
                    "epsilon": 5.0,
                    "test_set": "test",
                    "patients": 8,
                    "seeds": 1,
                    "dice": {"mean": 0.9, "low": 0.8, "high": 0.95},
                }
            ]
        ),
        "its sites alone can say something",
    ),
    "phantoms": (lambda said: said.update(phantoms=True), "its sites alone can say something"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_statement_of_a_deployment_is_found(
    name: str, released: Path, tmp_path: Path
) -> None:
    change, words = FORGED[name]
    folder = Path(shutil.copytree(released, tmp_path / "forged"))
    changed(folder / STATEMENT, change)
    seal(folder, private=True)
    faults = verify_release(folder).faults
    assert any(words in fault for fault in faults), faults


def test_patches_that_no_site_examined_are_found_by_the_receiver(
    released: Path, tmp_path: Path
) -> None:
    """Two volumes that change places are the generator's own draws, and not what was examined."""
    folder = Path(shutil.copytree(released, tmp_path / "forged"))
    first, second = (folder / "imagesTr" / f"synthetic-000{n}_0000.nii.gz" for n in (1, 2))
    one, two = first.read_bytes(), second.read_bytes()
    for number, content in ((1, two), (2, one)):
        put(folder, f"imagesTr/synthetic-000{number}_0000.nii.gz", content)
        put(folder, f"sub-000{number}/anat/sub-000{number}_desc-synthetic_angio.nii.gz", content)
    seal(folder, private=True)
    assert "its patches are not those that its sites examined" in verify_release(folder).faults


def of_examined(*way: str, **values: Any) -> Callable[[Said], None]:
    def change(said: Said) -> None:
        place = said["examined"]
        for step in way:
            place = place[step]
        place.update(values)

    return change


WRONG: dict[str, tuple[Callable[[Said], object], str]] = {
    "of another run": (lambda said: said.update(run="0123456789ab"), "consent to another fit"),
    "of other weights": (lambda said: said.update(generator="ab" * 32), "consent to another fit"),
    "of another ε": (lambda said: said["guarantee"].update(epsilon=1.0), "by other numbers"),
    "of other patches": (of_examined(voxels="ab" * 32), "it examined other patches"),
    "of another n": (of_examined(n=41), "it is to 41 patches of seed 3"),
    "of another seed": (of_examined(seed=4), "it is to 40 patches of seed 4"),
    "that was refuted": (of_examined("evidence", "audit", refuted=True), "The audit refutes"),
    "with copies": (of_examined("evidence", "nearest_real", passed=False), "they may be copies"),
    "without an attack": (
        lambda said: said["examined"]["evidence"].pop("audit"),
        "lacks the attack",
    ),
    "without a search": (
        lambda said: said["examined"]["evidence"].pop("nearest_real"),
        "lacks the attack",
    ),
    "without a ledger": (
        lambda said: said["examined"]["evidence"].pop("ledger"),
        "lacks the attack",
    ),
    "without an examination": (
        lambda said: said.pop("examined"),
        "each site of a deployment examines",
    ),
    "of another version": (of_examined("versions", angiobench="9.9"), "made by version 9.9"),
    "with a signature of nobody": (
        lambda said: said.update(signed={"key": "ab" * 32, "signature": "cd" * 64}),
        "its signature does not hold",
    ),
    "of nobody": (lambda said: said.update(site="valley"), "one of no site of this run"),
    "of a site twice": (lambda said: said.update(site="hill"), "a second consent of hill"),
    "with more": (lambda said: said.update(score=0.9), "this is no consent of a site"),
    "with a figure": (
        of_examined("evidence", "nearest_real", disclosed={"copies by images": 0.0}),
        "it has figures measured on patients",
    ),
    "by other limits": (
        of_examined("evidence", "nearest_real", laws=["Anything goes."]),
        "limits of its search for copies are not those",
    ),
    "that searched nobody": (
        of_examined("evidence", "nearest_real", fitted=0),
        "did not compare all patches with all fitted patients",
    ),
    "with an attack on less": (
        of_examined("evidence", "audit", claim=1.0),
        "which is not what it claims",
    ),
    "with a ledger of less": (
        of_examined("evidence", "ledger", after=0.5),
        "after a fit that spent",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_consent_to_anything_else_is_refused(
    name: str, agreed: Consortium, consents: Path
) -> None:
    change, words = WRONG[name]
    changed(consents / "north.json", change)
    assert words in refused(agreed, consents=str(consents))


@pytest.mark.parametrize("name", NAMES)
def test_a_release_without_the_consent_of_a_site_is_refused(
    name: str, agreed: Consortium, consents: Path
) -> None:
    (consents / f"{name}.json").unlink()
    assert f"{name} did not consent" in refused(agreed, consents=str(consents))


def test_no_consents_at_all_are_refused(agreed: Consortium, tmp_path: Path) -> None:
    assert "north, harbour, hill did not consent" in refused(agreed, consents=str(tmp_path))
    assert "its consents cannot be read" in refused(agreed, consents="nowhere")


def test_patches_that_were_changed_after_the_consents_are_refused(
    agreed: Consortium, run: Path
) -> None:
    arrays = load_file(run / CANDIDATE)
    arrays[IMAGES][0, 0, 0, 0] ^= 1
    save_file(arrays, run / CANDIDATE, metadata={"seed": SEED})
    assert "it examined other patches" in refused(agreed, run=run)


def test_weights_that_were_changed_after_the_consents_are_refused(
    agreed: Consortium, run: Path
) -> None:
    (run / "generator" / "more.json").write_text("{}")
    assert "consent to another fit" in refused(agreed, run=run)


def test_the_server_cannot_ask_for_what_only_sites_have(agreed: Consortium) -> None:
    assert "leave --data out" in refused(agreed, "--data", "hill/cohort")
    assert "leave --disclose out" in refused(agreed, "--disclose")
    assert "leave --not-private out" in refused(agreed, "--not-private")
    assert "were drawn for the sites" in refused(agreed, "--n", "41")
    assert "were drawn for the sites" in refused(agreed, "--seed", "4")


def test_nothing_is_released_before_its_patches_are_drawn(agreed: Consortium, run: Path) -> None:
    (run / CANDIDATE).unlink()
    assert "`bench candidate" in refused(agreed, run=run)
    assert "`bench candidate" in refused_at(agreed, "hill", run=run)


def test_a_signed_consent_names_its_key_and_breaks_when_it_is_changed(
    agreed: Consortium, consents: Path, key: Path
) -> None:
    done = agreed.consent("hill", "--sign", str(key), out=str(consents))
    assert done.returncode == 0, done.stderr
    consent = read_consent(consents / "hill.json")
    assert consent.signer == fingerprint(private_key_in(key).public_key())
    made = agreed.release("signed", consents=str(consents))
    assert made.returncode == 0, made.stderr
    said = said_in(agreed.root / "signed")
    assert [one.signer for one in said.sites] == [None, None, consent.signer]
    assert consent.signer
    assert consent.signer[:19] in (agreed.root / "signed" / "dossier.html").read_text()
    assert verify_release(agreed.root / "signed").holds
    changed(consents / "hill.json", lambda said: said.update(approved_by="Somebody else"))
    assert "its signature does not hold" in refused(agreed, consents=str(consents))


def test_a_site_needs_its_own_ledger_with_the_fit_of_its_own_patients(
    made: Consortium, tmp_path: Path
) -> None:
    valley = refused_at(made, "hill", "--site", "valley")
    assert "No site of this run is called 'valley'" in valley
    assert "has no entry for run" in refused_at(made, "hill", "--data", "north/cohort")
    elsewhere = Path(shutil.copytree(made.state("hill"), tmp_path / "state"))
    for file in elsewhere.glob("ledger*"):
        file.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANGIOBENCH_STATE", str(elsewhere))
        told = ["--site", "hill", "--by", "me", "--data", "hill/cohort", "--out", "no"]
        done = bench("consent", str(made.run), *told, cwd=made.root)
        assert (done.returncode, "has no entry for run" in done.stderr) == (2, True)


def test_a_ledger_that_was_changed_stops_a_consent(made: Consortium, tmp_path: Path) -> None:
    import sqlite3

    elsewhere = Path(shutil.copytree(made.state("hill"), tmp_path / "state"))
    with sqlite3.connect(elsewhere / "ledger.db") as file:
        file.execute("DROP TRIGGER no_change")
        file.execute("UPDATE entries SET entry = replace(entry, '1000', '2000') WHERE number = 1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANGIOBENCH_STATE", str(elsewhere))
        told = ["--site", "hill", "--by", "me", "--data", "hill/cohort", "--out", "no"]
        done = bench("consent", str(made.run), *told, cwd=made.root)
    assert done.returncode == 2
    assert re.search("was changed|were removed|put in", done.stderr)


def test_nothing_outside_of_a_run_is_read_through_a_link(made: Consortium, tmp_path: Path) -> None:
    run = Path(shutil.copytree(made.run, tmp_path / made.run.name))
    (run / "generator" / "more.json").symlink_to(made.root / "hill" / "cohort" / "participants.tsv")
    done = made.consent("hill", run=run, out="no")
    assert (done.returncode, "this is a link" in done.stderr) == (2, True)
    assert not (made.root / "no").exists()


def of_hill(**values: Any) -> Callable[[Said], None]:
    return lambda said: said["sites"][2]["guarantee"].update(values)


LIES: dict[str, tuple[Callable[[Said], object], str]] = {
    "more noise": (of_hill(noise_multiplier=9.0), "not what this site plans"),
    "less ε": (of_hill(epsilon=1.0, epsilon_patient=1.0), "not what this site plans"),
    "seeded": (of_hill(seeded=True), "The noise came from a seed"),
    "∞": (of_hill(epsilon="inf"), "without a finite ε"),
    "no grid": (of_hill(grid=0.0), "drawn without a grid"),
    "a second site": (lambda said: said["sites"][0].update(site="hill"), "it names a site twice"),
    "another N": (lambda said: said["sites"][2].update(patients=7), "another number of patients"),
    "another job": (lambda said: said["job"].update(seed=1), "its run is no digest of its job"),
    "another run": (lambda said: said.update(run="0123456789ab"), "no digest of its job"),
    "a job of nothing": (lambda said: said.update(job={}), "cannot be read"),
    "no sites": (lambda said: said.update(sites=[]), "not what a deployment leaves"),
    "a site less": (lambda said: said["sites"].pop(0), "a site is missing or was added"),
    "nobody to fear": (lambda said: said.update(holds_against="nobody"), "another adversary"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_site_believes_nothing_of_what_the_server_sends(
    name: str, made: Consortium, run: Path
) -> None:
    change, words = LIES[name]
    changed(run / RESULT, change)
    assert words in refused_at(made, "hill", run=run)


def test_a_site_whose_number_of_patients_is_another_does_not_consent(
    made: Consortium, run: Path
) -> None:
    def more(said: Said) -> None:
        said["sites"][2].update(patients=7)
        said["sites"][2]["guarantee"].update(patients=7)

    changed(run / RESULT, more)
    assert "is said to have 7 patients" in refused_at(made, "hill", run=run)


def with_arrays(run: Path, images: Any, masks: Any, **more: Any) -> None:
    save_file({IMAGES: images, MASKS: masks, **more}, run / CANDIDATE, metadata={"seed": SEED})


def test_patches_that_are_a_sites_patients_are_stopped_by_that_site(
    made: Consortium, run: Path
) -> None:
    """Whatever drew them: the very patches that are to leave are searched."""
    patients = read_cohort(made.root / "hill" / "cohort").split("train")
    mm = Finished.read(run).spec.protocol["spacing_mm"]
    own = extract(patients, Recipe(size=32, per_patient=40, spacing_mm=mm), seed=0)
    rows = np.arange(int(N)) % len(own)
    with_arrays(run, stored(own.images[rows]), np.array(own.masks[rows]))
    assert "they may be copies" in refused_at(made, "hill", run=run)


def test_a_file_of_patches_that_holds_anything_else_is_refused(made: Consortium, run: Path) -> None:
    arrays = load_file(run / CANDIDATE)
    images, masks = arrays[IMAGES], arrays[MASKS]
    wrong: list[Callable[[], object]] = [
        lambda: (run / CANDIDATE).write_bytes(b"no safetensors"),
        lambda: (run / CANDIDATE).write_bytes((run / CANDIDATE).read_bytes()[:-9]),
        lambda: with_arrays(run, images, masks, more=masks),
        lambda: with_arrays(run, images.astype(np.float32), masks),
        lambda: with_arrays(run, images[:, :, :16], masks[:, :, :16]),
        lambda: with_arrays(run, images | 0x8000, masks),
        lambda: with_arrays(run, images, masks + 2),
        lambda: with_arrays(run, images[:0], masks[:0]),
        lambda: with_arrays(run, images, masks[:-1]),
        lambda: save_file(arrays, run / CANDIDATE),
        lambda: save_file(arrays, run / CANDIDATE, metadata={"seed": "x"}),
    ]
    for write in wrong:
        write()
        assert "these are no patches that may leave" in refused_at(made, "hill", run=run)
        save_file(arrays, run / CANDIDATE, metadata={"seed": SEED})


def test_a_site_without_held_out_patients_cannot_consent(made: Consortium, tmp_path: Path) -> None:
    cohort = Path(shutil.copytree(made.root / "hill" / "cohort", tmp_path / "cohort"))
    file = cohort / "participants.tsv"
    rows = [row for row in file.read_text().splitlines() if not row.endswith(("val", "test"))]
    for row in file.read_text().splitlines():
        if row not in rows:
            for folder in cohort.rglob(row.split("\t")[0]):
                shutil.rmtree(folder)
    file.write_text("\n".join(rows) + "\n")
    assert "is in the split 'test'" in refused_at(made, "hill", "--data", str(cohort))


def test_a_generator_that_wants_all_memory_of_a_site_is_refused(
    made: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("benchmark.release.examination.nearest_record", too_much)
    assert "its generator wants more than 8 GiB here" in refused_at(made, "hill")


def test_a_site_with_nobody_to_guess_on_does_not_consent(
    made: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.release.examination.attacked", lambda *_: None)
    assert "hill: there is nobody to guess on" in refused_at(made, "hill")


def test_a_release_that_fails_its_own_check_is_not_put_in_its_place(
    agreed: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(faults=("a volume is damaged.",))
    monkeypatch.setattr("benchmark.release.making.verify_release", lambda *_, **__: found)
    assert "its own check fails. a volume is damaged." in refused(agreed)
    assert not [*agreed.root.glob(".*")]


def test_wrong_usage_of_a_consent_is_a_sentence(made: Consortium) -> None:
    told = ["consent", str(made.run), "--site", "hill", "--out", "no"]
    done = made.at("hill", *told, "--by", "me")
    assert (done.returncode, "name its cohort with --data" in done.stderr) == (2, True)
    done = made.at("hill", *told, "--by", " ", "--data", "hill/cohort")
    assert (done.returncode, "name who approves" in done.stderr) == (2, True)
    assert not (made.root / "no").exists()


def finished(made: Consortium, **changes: Any) -> Source:
    """The run, with something else in every site's guarantee."""
    source = source_of(str(made.run), made.root)
    assert isinstance(source.result, Finished)
    sites = tuple(
        one.but(guarantee=replace(one.guarantee, **changes)) for one in source.result.sites
    )
    return Source(folder=source.folder, result=source.result.but(sites=sites))


def test_what_stops_a_run_on_one_machine_stops_a_deployment(made: Consortium) -> None:
    source = finished(made)
    assert not [*not_private(source), *of_the_run(source)]
    assert "without a finite ε" in next(not_private(finished(made, epsilon=inf)))
    assert "--noise system" in next(not_private(finished(made, seeded=True)))
    few = [*of_the_run(finished(made, patients=4))]
    assert all(any(f"at {site}" in said for said in few) for site in NAMES)


def test_a_deployment_without_a_finite_epsilon_leaves_nothing(made: Consortium, run: Path) -> None:
    before = Finished.read(run)
    job = job_of(before.spec)
    asked = {name: value for name, value in vars(job).items() if name not in ("run", "epsilon")}
    nothing = dict.fromkeys(("target_epsilon", "epsilon", "epsilon_patch", "epsilon_patient"), inf)
    sites = [
        one.but(guarantee=replace(one.guarantee, **nothing, noise_multiplier=0.0))
        for one in before.sites
    ]
    said = Finished.of(Job.of(epsilon=inf, **asked), sites, before.rounds)
    write_json(run / RESULT, said.as_dict())
    done = bench("candidate", str(run), cwd=made.root)
    assert (done.returncode, "without a finite ε" in done.stderr) == (2, True)
    assert "without a finite ε" in refused(made, "--not-private", run=run)
    assert "without a finite ε" in refused_at(made, "hill", run=run)


@pytest.mark.slow
@pytest.mark.parametrize("curious", [None, 1], ids=["local noise", "secure sums"])
def test_a_real_deployment_over_the_loopback_ends_in_a_release_that_holds(
    curious: int | None, tmp_path: Path, write_cohort: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SuperLink and SuperNodes over TLS, patients, the system's noise, and every site's consent."""
    monkeypatch.setattr("loopback.ALLOWED", "slot=1.0")
    hospitals(tmp_path, write_cohort)
    cohorts = {name: tmp_path / name / "cohort" for name in NAMES}
    with Loopback(tmp_path, cohorts, tls=True) as running:
        asked = {name.replace("-", "_"): value for name, value in ASKED.items()}
        if curious is not None:
            running.agree(curious)
            asked["secure_sum"] = curious
        done = running.run(**asked)
        assert running.results(), done.stdout + done.stderr + running.log("superlink")
    (left,) = (file.parent for file in (tmp_path / "out").glob("*/federation.json"))
    made = Consortium(tmp_path, left)
    drawn = bench("candidate", str(left), "--n", N, "--seed", SEED, cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    for site in NAMES:
        agreed = made.consent(site)
        assert agreed.returncode == 0, agreed.stdout + agreed.stderr
    released = made.release("release")
    assert released.returncode == 0, released.stderr
    verdict = verify_release(tmp_path / "release")
    assert verdict.holds, verdict.faults
    assert [one.site for one in said_in(tmp_path / "release").sites] == [*NAMES]
