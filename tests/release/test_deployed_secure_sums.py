"""A deployment with secure sums, from its server's folder to a release, and what stops one.

Every site's guarantee is that of the whole fit, so each also says how many patients are its own.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deployments import NAMES, Consortium, consented, consortium, released_by, sent
from test_deployed_release import changed, refused, refused_at, said_in

from benchmark.core.files import read_json
from benchmark.core.sums import sum_of
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.release.consent import read_consent
from benchmark.release.refusals import of_the_run
from benchmark.release.seals import seal
from benchmark.release.source import Source, source_of
from benchmark.release.statement import STATEMENT
from benchmark.release.verification import verify_release
from benchmark.sweep.site_plans import job_of
from federation.deployment import post_at
from federation.finished import RESULT, Finished
from federation.past import Past

Said = dict[str, Any]
OWN, CURIOUS = 6, 1


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, write_cohort: Callable[..., Path]) -> Consortium:
    """A deployment of three hospitals whose sums were secure, and whose patches are drawn."""
    return consortium(tmp_path_factory.mktemp("consortium"), write_cohort, CURIOUS)


@pytest.fixture(scope="module")
def agreed(made: Consortium) -> Consortium:
    return consented(made)


@pytest.fixture(scope="module")
def released(agreed: Consortium) -> Path:
    return released_by(agreed)


@pytest.fixture
def run(made: Consortium, tmp_path: Path) -> Path:
    """A copy of the server's folder, as it was sent to a site."""
    return sent(made, tmp_path)


def test_a_release_holds_and_says_whom_it_is_for(agreed: Consortium, released: Path) -> None:
    verdict, said = verify_release(released), said_in(released)
    assert verdict.holds, verdict.faults
    assert said.spec.curious == CURIOUS
    assert {one.guarantee.patients for one in said.sites} == {OWN * len(NAMES)}
    assert [one.patients for one in said.sites] == [OWN] * len(NAMES)
    (told,) = [line for line in verdict.lines() if line.startswith("It promises")]
    assert told.endswith("also against the server and any 1 other site together.")
    text = " ".join((released / "dossier.html").read_text().split())
    assert "the server and any 1 of the other sites together" in text
    assert "simulated its sites" not in text
    assert "18 patients of 3 sites" in text


def test_every_consent_is_of_the_sites_own_entry(agreed: Consortium) -> None:
    finished = Finished.read(agreed.run)
    for site in NAMES:
        consent = read_consent(agreed.root / "consents" / f"{site}.json")
        assert consent.guarantee == finished.guarantees[site]
        assert consent.examined
        assert consent.examined.patients == OWN
        charged = consent.examined.evidence.ledger
        assert charged
        entries = ledger_in(agreed.state(site)).entries()
        (paid,) = (entry for entry in entries if entry.said["kind"] == "fit")
        assert [entry.hash for entry in charged.entries] == [paid.hash]


def planned_for(run: Path, patients: dict[str, int], guarantee: Said | None = None) -> None:
    """The server's folder, with these sites, and the guarantee that such a fit would have."""
    said = json.loads((run / RESULT).read_text())
    held = guarantee or said["sites"][0]["guarantee"]
    whole = sum(patients.values())
    said["sites"] = [
        {"site": site, "patients": many, "guarantee": {**held, "patients": whole}}
        for site, many in patients.items()
    ]
    (run / RESULT).write_text(json.dumps(said))


def test_a_site_that_is_left_out_is_missed_by_the_others(made: Consortium, run: Path) -> None:
    """Also if another site takes its patients upon itself, and N is as it was."""
    planned_for(run, {"north": OWN, "harbour": 2 * OWN})
    assert "not what this site plans" in refused_at(made, "north", run=run)
    finished = Finished.read(run)
    alone = finished.guarantees["north"]
    planned = source_of(str(run), made.root)
    assert isinstance(planned.result, Finished)
    of_two = _planned_by_two(planned)
    assert of_two != alone
    planned_for(run, {"north": OWN, "harbour": 2 * OWN}, of_two)
    assert "has no entry for run" in refused_at(made, "north", run=run)


def _planned_by_two(source: Source) -> Said:
    from benchmark.core.files import plain
    from benchmark.sweep.site_plans import job_of

    planned = job_of(source.result.spec).shared_plan(OWN * len(NAMES), 2).guarantee
    found: Said = json.loads(json.dumps(plain(planned.as_dict())))
    return found


@pytest.mark.parametrize(
    ("patients", "words"),
    [
        ({"north": OWN, "harbour": OWN, "hill": OWN + 1}, "is said to have 7 patients"),
        ({"north": OWN, "harbour": OWN + 1, "hill": OWN}, "has no entry for run"),
        ({"north": OWN, "hill": OWN}, "not what this site plans"),
    ],
)
def test_a_site_believes_no_number_of_the_servers(
    patients: dict[str, int], words: str, made: Consortium, run: Path
) -> None:
    planned_for(run, patients)
    assert words in refused_at(made, "hill", run=run)


def test_an_adversary_that_was_not_agreed_on_is_found(made: Consortium, run: Path) -> None:
    changed(run / RESULT, lambda said: said["job"].update(curious=0))
    assert "its run is no digest of its job" in refused_at(made, "hill", run=run)


def test_a_job_for_another_adversary_under_the_same_key_is_found(made: Consortium) -> None:
    """A key has 48 bits, so a server can find two jobs with one key, and t decides no guarantee."""
    finished = Finished.read(made.run)
    job = job_of(finished.spec)
    post = post_at(
        "hill",
        made.root / "hill" / "cohort",
        job.run,
        state=made.state("hill"),
        cache=made.root / "hill" / "cache",
    )
    forged = replace(job, curious=CURIOUS + 1)
    assert forged.run == job.run
    honest, other = (Past(post, one, finished.patients) for one in (job, forged))
    assert honest.guarantee == other.guarantee
    assert [past.has_answered for past in (honest, other)] == [True, False]
    assert honest.paid_by()


def test_a_site_without_its_answers_does_not_consent(
    made: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger knows the job by its key alone."""
    state = Path(shutil.copytree(made.state("hill"), tmp_path / "state"))
    shutil.rmtree(state / "federation")
    monkeypatch.setattr(Consortium, "state", lambda self, site: state)
    assert "keeps no answer to this very job" in refused_at(made, "hill")


def test_a_consent_to_another_job_under_the_same_key_is_refused(
    agreed: Consortium, tmp_path: Path
) -> None:
    consents = Path(shutil.copytree(agreed.root / "consents", tmp_path / "consents"))
    changed(consents / "north.json", lambda said: said["examined"].update(job="ab" * 32))
    assert "answered another job" in refused(agreed, consents=str(consents))


def test_the_receiver_finds_a_consent_to_another_job_under_the_same_key(
    released: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(released, tmp_path / "forged"))
    file = folder / "consents" / "hill.json"
    changed(file, lambda said: said["examined"].update(job="ab" * 32))
    changed(folder / STATEMENT, lambda said: said["sites"][2].update(consent=sum_of(file)))
    seal(folder, private=True)
    faults = verify_release(folder).faults
    assert any("answered another job" in fault for fault in faults), faults


def test_a_site_with_too_few_patients_of_its_own_stops_it(made: Consortium, run: Path) -> None:
    planned_for(run, {"north": 13, "harbour": 2, "hill": 3})
    said = [*of_the_run(source_of(str(run), made.root))]
    assert [
        f"on {many} patients at {site}" in one
        for one, many, site in zip(said, (2, 3), ("harbour", "hill"), strict=True)
    ] == [True, True]


@pytest.mark.parametrize("own", [OWN - 1, None])
def test_a_consent_of_other_patients_is_refused(
    own: int | None, agreed: Consortium, tmp_path: Path
) -> None:
    consents = Path(shutil.copytree(agreed.root / "consents", tmp_path / "consents"))
    changed(consents / "north.json", lambda said: _counted(said["examined"], own))
    assert f"it is of {own} patients" in refused(agreed, consents=str(consents))


def _counted(said: Said, own: int | None) -> None:
    said.pop("patients") if own is None else said.update(patients=own)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (OWN - 1, "its sites have 17 patients, and N is 18"),
        (None, "each site of a deployed secure sum names its patients"),
    ],
)
def test_the_receiver_counts_the_patients_of_all_sites(
    own: int | None, words: str, released: Path, tmp_path: Path
) -> None:
    """Consent and statement agree with each other, and with no fit."""
    folder = Path(shutil.copytree(released, tmp_path / "forged"))
    file = folder / "consents" / "hill.json"
    changed(file, lambda said: _counted(said["examined"], own))

    def forge(said: Said) -> None:
        _counted(said["sites"][2], own)
        said["sites"][2]["consent"] = sum_of(file)

    changed(folder / STATEMENT, forge)
    seal(folder, private=True)
    faults = verify_release(folder).faults
    assert any(words in fault for fault in faults), faults


def test_the_receiver_refuses_a_site_of_too_few_patients(released: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(released, tmp_path / "forged"))

    def forge(said: Said) -> None:
        said["sites"][0].update(patients=2)
        said["sites"][1].update(patients=2 * OWN - 2)

    changed(folder / STATEMENT, forge)
    seal(folder, private=True)
    faults = verify_release(folder).faults
    assert any("fitted on 2 patients at one place" in fault for fault in faults), faults
    assert not any("and N is" in fault for fault in faults)


def test_consents_of_two_fits_of_one_job_are_no_consent(agreed: Consortium, tmp_path: Path) -> None:
    """A server may ask A, B and C, then A, B and D, and release the second fit as the first."""
    consents = Path(shutil.copytree(agreed.root / "consents", tmp_path / "consents"))
    sessions = {read_consent(file).examined.session for file in consents.glob("*.json")}  # type: ignore[union-attr]
    assert len(sessions) == 1
    assert None not in sessions
    changed(consents / "north.json", lambda said: said["examined"].update(session="ab" * 32))
    assert "took part in different fits of this job" in refused(agreed, consents=str(consents))


def test_the_receiver_finds_sites_of_two_fits(released: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(released, tmp_path / "forged"))
    file = folder / "consents" / "hill.json"
    changed(file, lambda said: said["examined"].update(session="ab" * 32))

    def forge(said: Said) -> None:
        said["sites"][2].update(session="ab" * 32, consent=sum_of(file))

    changed(folder / STATEMENT, forge)
    seal(folder, private=True)
    faults = verify_release(folder).faults
    assert any("did not take part in one secure sum" in fault for fault in faults), faults


def test_local_noise_names_no_patients_twice(released: Path, tmp_path: Path) -> None:
    """``patients`` of a site belongs to secure sums alone."""
    folder = Path(shutil.copytree(released, tmp_path / "forged"))
    changed(folder / STATEMENT, lambda said: said["spec"]["federation"].pop("curious"))
    seal(folder, private=True)
    faults = verify_release(folder).faults
    assert any("names its patients, and no other" in fault for fault in faults), faults
    assert read_json(folder / STATEMENT)["sites"][0]["patients"] == OWN
