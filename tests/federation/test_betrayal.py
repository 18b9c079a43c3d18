"""What a server that keeps no rule finds out beside the noised sums: nothing about a patient."""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from benchmark.core.budget import Unit
from benchmark.core.coarse import coarse
from benchmark.core.errors import DataError, PlugInError, UsageError
from benchmark.core.federation import Arrays, FederatedGenerator
from benchmark.core.files import held
from benchmark.core.folders import LEDGER, machine_secret
from benchmark.core.generator import FitContext
from benchmark.core.identity import Identity
from benchmark.core.registry import generators
from benchmark.privacy.dpsgd import compiled
from benchmark.privacy.ledger.ledger import Ledger, OverCapError
from benchmark.privacy.randomness import SystemNoise
from benchmark.sweep.watching.rounds import RoundWatch
from benchmark.sweep.watching.stages import Watch
from federation import messages
from federation.backend import OneProcess
from federation.client_app import client_app
from federation.departure import DEFAULT_SLOT_S, Departure
from federation.deployment import post_of, slot_of
from federation.job import Job
from federation.post import Post
from federation.sites import BusyError, Site
from federation.strategy import Round
from generators.nets.one_mean import MeanSite

NODE = 2


class Hospital:
    """A deployed site of private patients, and whoever asks it."""

    def __init__(self, cohort: Path, root: Path, **config: Any) -> None:
        self.state = root / "state"
        self.config = {
            "site": "hill",
            "partition-id": 0,
            "data": str(cohort),
            "state": str(self.state),
            "cache": str(root / "cache"),
            "slot": 0.001,
            **config,
        }
        self.ledger = Ledger(self.state / LEDGER, machine_secret(self.state))
        self.ledger.set_cap(8.0)
        OneProcess(ClientApp(), 1)  # tells Flower who sends

    def post(self, run: str = "") -> Post:
        return post_of(self._context(), run)

    def answer(self, kind: str, content: RecordDict) -> Message:
        message = Message(content, NODE, kind, ttl=60.0)
        return client_app(post_of, slot_of)(message, self._context())

    def transcript(self, job: Job) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """All that it answers in one run, but for the values of the noised tensors."""
        asked = [
            (messages.HELLO, messages.hello()),
            (messages.JOIN, messages.join(job, 1.0)),
            (messages.ROUND, messages.order(job, 1.0, 1, begin(job))),
        ]
        return [looks(self.answer(kind, content).content) for kind, content in asked]

    def _context(self) -> Context:
        return Context(
            run_id=1, node_id=NODE, node_config=self.config, state=RecordDict(), run_config={}
        )


def begin(job: Job) -> Arrays:
    context = FitContext(seed=0, noise=SystemNoise(), charge=lambda charged: None)
    side = job.made().server_side(job.patch_size, job.schedule, context)
    return side.sent(side.begin())


def looks(content: RecordDict) -> tuple[dict[str, Any], dict[str, Any]]:
    tensors = content.array_records.get("state", {})
    return (
        {name: dict(record) for name, record in content.config_records.items()},
        {name: (array.dtype, array.shape, len(array.data)) for name, array in tensors.items()},
    )


def job_for(generator: str, unit: Unit = "patient", size: int = 16) -> Job:
    kind = generators.get(generator)
    made = kind(kind.smoke)
    return Job.of(
        generator=generator,
        version=kind.version,
        settings=made.params.as_dict(),
        patch_size=size,
        patches_per_patient=20,
        epsilon=1.0,
        delta=1e-5,
        unit=unit,
        seed=0,
        noise="system",
        schedule=made.schedule(design=next(iter(made.designs))),
    )


def image_of(cohort: Path, patient: str) -> Path:
    return cohort / patient / "anat" / f"{patient}_angio.nii.gz"


def mask_of(cohort: Path, patient: str, kind: str) -> Path:
    folder = cohort / "derivatives" / f"{kind}s" / patient / "anat"
    return folder / f"{patient}_desc-{kind}_mask.nii.gz"


def redraw(file: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    found = nib.load(file)
    nib.save(nib.Nifti1Image(change(np.asarray(found.dataobj).copy()), found.affine), file)


def small(mask: np.ndarray) -> np.ndarray:
    mask[:, 12:] = 0
    return mask


CHANGES: dict[str, Callable[[Path], Any]] = {
    "a small brain": lambda cohort: redraw(mask_of(cohort, "sub-02", "brain"), small),
    "no vessel": lambda cohort: redraw(mask_of(cohort, "sub-02", "vessel"), np.zeros_like),
    "a constant image": lambda cohort: redraw(image_of(cohort, "sub-02"), np.ones_like),
    "one dot": lambda cohort: redraw(image_of(cohort, "sub-02"), lambda i: i[:1, :1, :1]),
    "torn": lambda cohort: image_of(cohort, "sub-02").write_bytes(b"torn"),
    "empty": lambda cohort: mask_of(cohort, "sub-02", "vessel").write_bytes(b""),
    "another patient's volume": lambda cohort: shutil.copy(
        image_of(cohort, "sub-01"), image_of(cohort, "sub-02")
    ),
}


@pytest.fixture
def alike(module_cohort: Path) -> Path:
    return module_cohort


@pytest.fixture(scope="module")
def transcripts(
    module_cohort: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, list[Any]]:
    """What a hospital of usable patients answers, by the size of a patch."""
    return {
        size: Hospital(module_cohort, tmp_path_factory.mktemp(str(size))).transcript(
            job_for("dp-simulator", size=size)
        )
        for size in (16, 32, 64)
    }


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("change", CHANGES)
def test_a_server_that_chooses_the_patch_size_sees_the_same_of_neighbouring_cohorts(
    change: str, size: int, alike: Path, transcripts: dict[int, list[Any]], tmp_path: Path
) -> None:
    """Hello, consent and round: every field, and every tensor's name, type, shape and length."""
    other = tmp_path / "other"
    shutil.copytree(alike, other)
    CHANGES[change](other)
    said = Hospital(other, tmp_path / "site").transcript(job_for("dp-simulator", size=size))
    assert said == transcripts[size]
    assert said[0][0]["about"]["patients"] == 3
    assert all("fault" not in fields for fields, _ in said)


def test_who_has_no_patch_is_named_at_the_site_alone(alike: Path, tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    shutil.copytree(alike, cohort)
    CHANGES["a small brain"](cohort)
    CHANGES["another patient's volume"](cohort)
    image_of(cohort, "sub-03").write_bytes(b"torn")
    hospital, job = Hospital(cohort, tmp_path / "site"), job_for("dp-simulator")
    hospital.transcript(job)
    (noted,) = hospital.state.rglob("without-patches.txt")
    said = noted.read_text().splitlines()
    assert [line.split()[0] for line in said] == ["sub-03", "sub-01", "sub-02"]
    assert noted.parent.stat().st_mode & 0o077 == 0


FEDERATED = [n for n in generators.names() if issubclass(generators.get(n), FederatedGenerator)]


@pytest.mark.parametrize("unit", ["patch", "patient"])
@pytest.mark.parametrize("generator", [n for n in FEDERATED if n != "wgan"])
def test_a_patient_without_a_patch_stays_in_n_and_the_plan_is_unchanged(
    generator: str, unit: Unit, posts: list[Post]
) -> None:
    job, (post, _) = job_for(generator, unit), posts
    first = Site(replace(post, data="whole", folder=post.folder / "w"), job, 1.0)
    plain = first.compute(1, begin(job))
    for gaps in ((post.patients[0], None), (None, None)):
        lacking = replace(post, patients=gaps, data=str(gaps), folder=post.folder / str(gaps)[-8:])
        site = Site(lacking, job, 1.0)
        assert site.guarantee == first.guarantee
        reply = site.compute(1, begin(job))
        assert {n: a.shape for n, a in reply.items()} == {n: a.shape for n, a in plain.items()}
        assert all(np.isfinite(array).all() for array in reply.values())


ERRORS = [
    DataError("sub-02: no patch fits"),
    UsageError("sub-02"),
    OverCapError("sub-02"),
    BusyError("sub-02"),
    PlugInError("sub-02"),
    MemoryError("sub-02"),
    OSError("sub-02"),
    ZeroDivisionError("sub-02"),
    UnicodeDecodeError("utf-8", b"sub-02", 0, 1, "sub-02"),
]


@pytest.mark.parametrize("where", ["patches_of", "Answered.keep", "Site.context", "Ledger.charge"])
def test_every_error_of_a_round_gives_the_same_bytes(
    where: str, alike: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital, answers = Hospital(alike, tmp_path), set()
    for number, error in enumerate(ERRORS):
        job = replace(job_for("dp-simulator"), seed=number, epsilon=0.1)

        def fails(*asked: Any, error: Exception = error, **how: Any) -> Any:
            raise error

        monkeypatch.setattr(f"federation.sites.{where}", fails)
        answer = hospital.answer(messages.ROUND, messages.order(job, 1.0, 1, begin(job)))
        answers.add(answer.content.deflate())
        assert answer.content == messages.fault("error", "hill")
        assert "sub-02" in next(hospital.state.rglob("error.txt")).read_text()
    assert len(answers) == 1


def test_a_round_tells_no_more_of_rules_and_budget_either(alike: Path, tmp_path: Path) -> None:
    hospital, job = Hospital(alike, tmp_path), job_for("dp-simulator")
    asked = {
        "another round": messages.order(job, 1.0, 9, begin(job)),
        "another version": messages.order(replace(job, version=9), 1.0, 1, begin(job)),
        "not finite": messages.order(job, 1.0, 1, {"seed": np.array([np.nan])}),
        "no state": messages.order(job, 1.0, 1, {}),
        "over the cap": messages.order(replace(job, epsilon=50.0), 1.0, 1, begin(job)),
        "no job": RecordDict({messages.ABOUT: ConfigRecord({"round": 1})}),
        "nothing": RecordDict({}),
    }
    for why, content in asked.items():
        answer = hospital.answer(messages.ROUND, content)
        assert answer.content == messages.fault("error", "hill"), why


def test_numbers_that_are_not_finite_are_refused_before_anything_is_paid(
    alike: Path, tmp_path: Path
) -> None:
    hospital, job = Hospital(alike, tmp_path), job_for("dp-wgan")
    state = {name: np.full_like(array, np.inf) for name, array in begin(job).items()}
    hospital.answer(messages.ROUND, messages.order(job, 1.0, 1, state))
    assert not [entry for entry in hospital.ledger.entries() if entry.said["kind"] == "fit"]


def test_before_the_charge_a_site_says_what_its_rules_decide(alike: Path, tmp_path: Path) -> None:
    hospital, job = Hospital(alike, tmp_path), job_for("dp-simulator")

    def code(job: Job) -> str:
        return str(hospital.answer(messages.JOIN, messages.join(job, 1.0)).content["fault"]["code"])

    assert code(replace(job, epsilon=50.0)) == "budget"
    assert code(replace(job, noise="seeded")) == "refused"
    with held(hospital.post(job.run).folder):
        assert code(job) == "busy"


def test_a_listing_that_cannot_be_used_gives_the_code_without_content(
    alike: Path, tmp_path: Path
) -> None:
    cohort = tmp_path / "cohort"
    shutil.copytree(alike, cohort)
    mask_of(cohort, "sub-02", "vessel").unlink()
    hospital = Hospital(cohort, tmp_path / "site")
    answer = hospital.answer(messages.HELLO, messages.hello())
    assert answer.content == messages.fault("error", "hill")


def test_no_exception_gets_out_even_where_its_reason_cannot_be_kept(
    alike: Path, tmp_path: Path
) -> None:
    """Flower would send the exception's own words, and so the folder's."""
    hospital, job = Hospital(alike, tmp_path), job_for("dp-simulator")
    (hospital.state / "federation").write_text("a file where folders should be")
    answer = hospital.answer(messages.JOIN, messages.join(job, 1.0))
    assert answer.content == messages.fault("error", "hill")


def test_a_remote_server_cannot_find_out_who_was_in_a_run_before(
    alike: Path, tmp_path: Path
) -> None:
    """Whether the one patient who paid is here or not, the same ε is refused."""
    hospital, job = Hospital(alike, tmp_path), job_for("dp-simulator")
    post = hospital.post(job.run)
    paid = Site(replace(post, voxels=post.voxels[:1]), replace(job, epsilon=5.0), 1.0)
    hospital.ledger.charge(paid._spending)
    with_him, without = post, replace(post, voxels=post.voxels[1:])
    for epsilon in (1.0, 2.0, 4.0, 6.0, 7.9):
        asked = replace(job, epsilon=epsilon)
        said = {_consents(there, asked) for there in (with_him, without)}
        assert said == {epsilon < 5}, epsilon
    assert _consents(replace(without, remote=False), replace(job, epsilon=7.9))


@pytest.mark.parametrize("linked", [True, False])
def test_a_round_ends_the_same_whether_or_not_two_patients_were_called_one_before(
    linked: bool, alike: Path, tmp_path: Path
) -> None:
    """They would pay together, above the cap, if the answer were theirs."""
    hospital, job = Hospital(alike, tmp_path), job_for("dp-simulator")
    hospital.ledger.set_cap(1.5)
    post = hospital.post(job.run)
    first, second = (Identity(one).voxels for one in post.voxels[:2])
    for voxels in (first, second if linked else "a stranger"):
        before = Site(
            replace(post, voxels=(Identity.of(voxels, "one id"),)), replace(job, epsilon=0.1), 1.0
        )
        hospital.ledger.charge(before._spending)
    site = Site(post, job, 1.0)
    assert site.consent()
    assert site.compute(1, begin(job))


def _consents(post: Post, job: Job) -> bool:
    try:
        return bool(Site(post, job, 1.0).consent())
    except OverCapError:
        return False


SLOT_S = 0.2


@pytest.mark.parametrize(("work_s", "slots"), [(0.0, 1), (0.15, 1), (0.21, 2), (0.5, 4)])
def test_an_answer_leaves_a_power_of_two_of_slots_after_the_question(
    work_s: float, slots: int
) -> None:
    start, departure = time.monotonic(), Departure(SLOT_S)
    time.sleep(work_s)
    departure.wait()
    departure.wait()
    assert SLOT_S * slots <= time.monotonic() - start < SLOT_S * slots + 0.1


@pytest.mark.parametrize("fails", [False, True])
def test_neither_an_answer_nor_its_time_stamp_says_how_long_a_round_took(
    fails: bool, alike: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, compute = job_for("dp-simulator"), Site._computed
    hospital = Hospital(alike, tmp_path, slot=5.0)

    def works(site: Site, *asked: Any) -> Arrays:
        return compute(site, *asked) if not fails else {}["sub-02"]

    monkeypatch.setattr(Site, "_computed", works)
    start, stamp = time.monotonic(), time.time()
    answer = hospital.answer(messages.ROUND, messages.order(job, 1.0, 1, begin(job)))
    assert ("fault" in answer.content) is fails
    assert 5.0 <= time.monotonic() - start < 6.0
    assert answer.metadata.created_at - stamp >= 5.0


def test_a_second_question_does_not_say_when_the_first_was_done(
    posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is held until the answer leaves."""
    job, leaves = job_for("dp-simulator"), threading.Event()
    site, worked = Site(posts[0], job, 1.0), threading.Event()

    def leave() -> None:
        worked.set()
        leaves.wait(60)

    first = threading.Thread(
        target=lambda: site.compute(1, begin(job), before_release=leave), daemon=True
    )
    first.start()
    assert worked.wait(60)
    with pytest.raises(BusyError):
        Site(posts[0], job, 1.0).compute(1, begin(job))
    leaves.set()
    first.join()
    assert Site(posts[0], job, 1.0).compute(1, begin(job))


@pytest.mark.parametrize(
    ("config", "slot"),
    [
        ({}, DEFAULT_SLOT_S),
        ({"slot": 3}, 3.0),
        ({"slot": 0.5, "phantom": True}, 0.5),
        ({"phantom": True}, 0.0),
        ({"phantom": "true"}, DEFAULT_SLOT_S),
        ({"slot": "3"}, DEFAULT_SLOT_S),
        ({"slot": -1.0}, DEFAULT_SLOT_S),
    ],
)
def test_patients_always_have_a_slot(config: dict[str, Any], slot: float) -> None:
    context = Context(run_id=1, node_id=2, node_config=config, state=RecordDict(), run_config={})
    assert slot_of(context) == slot


@pytest.mark.parametrize("slot", [0, 0.0, -1, "10", True, float("nan")])
def test_a_slot_that_is_none_is_refused_where_there_are_patients(
    slot: Any, alike: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="Expected slot to be a number of seconds above 0"):
        Hospital(alike, tmp_path, slot=slot).post()


def test_a_coarse_number_is_a_power_of_two_and_never_smaller() -> None:
    for value in (0.0, 0.2, 1.0, 1.01, 3.0, 4.0, 1000.0):
        assert value <= coarse(value) in {2.0**k for k in range(11)}
        assert coarse(value) < 2 * max(value, 1.0)


@pytest.mark.parametrize(("private", "shown"), [(True, [1.0, 2.0]), (False, [0.3, 1.4])])
def test_the_seconds_of_rounds_on_patients_are_coarse(
    private: bool, shown: list[float], tmp_path: Path
) -> None:
    heard = Watch(lambda stage, step, total: None)
    watch = RoundWatch(
        tmp_path,
        heard,
        seed=0,
        private=private,
        may_be_seen=False,
    )
    for number, seconds in ((1, 0.3), (2, 1.4)):
        took = {"seconds": seconds, "sent": 1, "received": 1, "state": {}}
        watch(Round(number=number, total=2, **took), lambda: pytest.fail("looked at"))
    assert [value for name, _, value in heard.curves if name == "round_seconds"] == shown
    assert watch.totals()["seconds"] == (2.0 if private else 1.7)


def is_quick_with_denormals() -> bool:
    """Whether torch, NumPy and compiled loops count a number below 2^-126 as zero."""
    small = np.full((1, 300), 2.0**-126, np.float32) * np.float32(0.5)
    kinds = (small, torch.from_numpy(small).mul(2.0**20), compiled.summed(np.ones(1), small))
    found = {bool(kind.any()) for kind in kinds}
    assert len(found) == 1
    return not found.pop()


def test_a_round_takes_no_longer_with_numbers_that_are_too_small(
    posts: list[Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else a server's weights make the rounds slow in which some patient is drawn."""
    job, compute, seen = job_for("dp-simulator"), MeanSite.compute, []

    def watched(side: MeanSite, *asked: Any) -> Arrays:
        seen.append(is_quick_with_denormals())
        return compute(side, *asked)

    monkeypatch.setattr(MeanSite, "compute", watched)
    Site(posts[0], job, 1.0).compute(1, begin(job))
    assert seen == [True]
    assert not is_quick_with_denormals()
