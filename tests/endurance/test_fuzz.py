"""Whatever is read from elsewhere is used or refused by one sentence: never a crash, nothing else.

``make fuzz`` tries thousands of inputs a class; the gate a few dozen. Inputs repeat with FUZZ_SEED.
"""

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cells import SPEC
from command import in_process
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st
from scored import result_of

from benchmark.core.addresses import folder_name, masked
from benchmark.core.errors import BenchError
from benchmark.core.files import plain
from benchmark.data.layouts import read_cohort
from benchmark.data.volume import read_volume
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.results.spec import spec_from
from benchmark.results.store import read_result, write_result
from benchmark.results.tuned_settings import Found
from benchmark.sweep.plan_cache import _read as read_plan
from benchmark.sweep.saved_generator import released
from federation import messages
from federation.job import Job
from generators.checks import PUBLIC
from leaderboard.published import Published

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
LONGEST = 2000
"""Characters of a sentence that somebody shall read."""

MANY = settings(
    max_examples=EXAMPLES,
    deadline=20_000,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["../../x", "/abs", "[/]", "\ud800", "\x00", "ε", "NaN", "9" * 400, "", " "]),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -1, 0, 2**63, 1e308, float("inf"), float("nan")]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)
DEPTHS = st.sampled_from(["[" * 5_000, '{"a":' * 5_000, "a = " + "[" * 5_000, "[[" * 3_000 + "a"])


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """A file with bytes changed, lost or put in, or another one altogether."""

    def change(draws: tuple[str, int, bytes]) -> bytes:
        how, place, other = draws
        at = place % (len(whole) + 1)
        return {
            "replace": whole[:at] + other + whole[at + len(other) :],
            "insert": whole[:at] + other + whole[at:],
            "cut": whole[:at],
            "lose": whole[:at] + whole[at + 1 + len(other) :],
            "other": other,
        }[how]

    how = st.sampled_from(["replace", "insert", "cut", "lose", "other"])
    bytewise = st.tuples(how, st.integers(0, 2**31), st.binary(max_size=12)).map(change)
    deep = DEPTHS.map(str.encode)
    marked = st.just(b"\xef\xbb\xbf" + whole)
    return st.one_of(bytewise, bytewise, deep, marked)


def edited(whole: Any) -> st.SearchStrategy[Any]:
    """JSON with one value, somewhere, another one."""
    places = list(_places(whole))

    def change(draws: tuple[int, Any]) -> Any:
        made = json.loads(json.dumps(whole))
        *way, last = places[draws[0] % len(places)]
        below = made
        for step in way:
            below = below[step]
        below[last] = draws[1]
        return made

    return st.tuples(st.integers(0, 10_000), VALUES).map(change)


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    names = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for name in names:
        yield (*way, name)
        yield from _places(value[name], (*way, name))


def text_of(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def is_refused_or_read(read: Callable[[], object]) -> None:
    """The law of every reader."""
    try:
        read()
    except BenchError as error:
        said = str(error)
        assert said.strip()
        assert len(said) <= LONGEST, said[:200]
        assert "\n" not in said.strip(), said[:200]


RESULT = plain(result_of(SPEC).as_dict())


@MANY
@seed(SEED)
@given(st.one_of(edited(RESULT).map(text_of), damaged(text_of(RESULT))))
def test_result_files(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = _folder(tmp_path_factory) / SPEC.key
    folder.mkdir(exist_ok=True)
    (folder / "result.json").write_bytes(content)
    is_refused_or_read(lambda: read_result(folder))


@MANY
@seed(SEED)
@given(damaged(text_of(RESULT)))
def test_a_sealed_result_is_read_as_it_was_written_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = _folder(tmp_path_factory) / SPEC.key
    folder.mkdir(exist_ok=True)
    write_result(folder, result_of(SPEC))
    whole = (folder / "result.json").read_bytes()
    at = len(content) * 7919 % len(whole)
    (folder / "result.json").write_bytes(whole[:at] + content[:1] + whole[at + 1 :])
    try:
        found = read_result(folder)
    except BenchError:
        return
    assert found is not None
    assert plain(found.as_dict()) == RESULT


@MANY
@seed(SEED)
@given(edited(plain(SPEC.as_dict())))
def test_specs(said: Any) -> None:
    try:
        made = spec_from(said)
    except ValueError:
        return
    assert folder_name(made.generator.name)


PUBLISHED = sorted((Path(__file__).parents[2] / "leaderboard" / "results").glob("*.json"))[0]


@MANY
@seed(SEED)
@given(st.data())
def test_published_files(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    content = data.draw(st.one_of(edited(whole).map(text_of), damaged(PUBLISHED.read_bytes())))
    file = _folder(tmp_path_factory) / "one.json"
    file.write_bytes(content)
    is_refused_or_read(lambda: Published.read(file))


TUNED = next((Path(__file__).parents[2] / "benchmark" / "tuned").rglob("*.toml"))


@MANY
@seed(SEED)
@given(damaged(TUNED.read_bytes()))
def test_tuned_settings(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = _folder(tmp_path_factory) / "level.toml"
    file.write_bytes(content)
    is_refused_or_read(lambda: Found.read(file))


@MANY
@seed(SEED)
@given(st.one_of(damaged(b'{"plan": {}, "digest": ""}'), VALUES.map(text_of)))
def test_plans_that_are_kept(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = _folder(tmp_path_factory) / "plan.json"
    file.write_bytes(content)
    assert read_plan(file, "key") is None, "it is made anew"


@MANY
@seed(SEED)
@given(st.one_of(VALUES.map(text_of), damaged(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")))
def test_checkpoints(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    from benchmark.core.budget import Budget, Guarantee

    path = _folder(tmp_path_factory) / "checkpoint.safetensors"
    path.write_bytes(content)
    budget = Budget(epsilon=2.0, delta=1e-5, unit="patch")
    assert Checkpoint(path, Guarantee.of(PUBLIC, budget, epsilon=2.0)).state is None


TABLE = "participant_id\tsite\tsplit\nsub-01\ta\ttrain\nsub-02\tb\tval\nsub-03\ta\ttest\n"


@MANY
@seed(SEED)
@given(st.one_of(damaged(TABLE.encode()), st.text(max_size=200).map(lambda t: t.encode())))
def test_participants(
    tmp_path_factory: pytest.TempPathFactory, module_cohort: Path, content: bytes
) -> None:
    folder = _copied(tmp_path_factory, module_cohort)
    (folder / "participants.tsv").write_bytes(content)
    is_refused_or_read(lambda: read_cohort(folder))


DATASET = {
    "channel_names": {"0": "TOF"},
    "labels": {"background": 0, "vessel": 1},
    "numTraining": 1,
    "file_ending": ".nii.gz",
}


@MANY
@seed(SEED)
@given(st.one_of(edited(DATASET).map(text_of), damaged(text_of(DATASET)), VALUES.map(text_of)))
def test_descriptions(
    tmp_path_factory: pytest.TempPathFactory, module_cohort: Path, content: bytes
) -> None:
    folder = _folder(tmp_path_factory) / "nnunet"
    if not folder.exists():
        (folder / "imagesTr").mkdir(parents=True)
        (folder / "labelsTr").mkdir()
        image = next(module_cohort.rglob("sub-01_angio.nii.gz"))
        shutil.copy(image, folder / "imagesTr" / "case_0000.nii.gz")
        shutil.copy(
            next(module_cohort.rglob("sub-01_desc-vessel*")), folder / "labelsTr/case.nii.gz"
        )
    (folder / "dataset.json").write_bytes(content)
    is_refused_or_read(lambda: read_cohort(folder))


@MANY
@seed(SEED)
@given(st.data())
def test_volumes(
    tmp_path_factory: pytest.TempPathFactory, module_cohort: Path, data: st.DataObject
) -> None:
    import gzip

    whole = gzip.decompress(next(module_cohort.rglob("sub-01_angio.nii.gz")).read_bytes())
    header = data.draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
    changed = bytearray(whole)
    for place, value in header:
        changed[place] = value
    file = _folder(tmp_path_factory) / "volume.nii"
    file.write_bytes(bytes(changed[: data.draw(st.sampled_from([len(whole), 100, 352, 5000]))]))
    is_refused_or_read(lambda: read_volume(file))


SETTINGS = {"size": 32, "params": {}}


@MANY
@seed(SEED)
@given(
    st.sampled_from(["dp-simulator", "dp-merf", "wgan", "private-evolution", "simulator", "real"]),
    st.one_of(edited(SETTINGS).map(text_of), VALUES.map(text_of), DEPTHS.map(str.encode)),
    st.one_of(st.binary(max_size=64), st.just(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")),
)
def test_generators_of_others(
    tmp_path_factory: pytest.TempPathFactory, name: str, said: bytes, weights: bytes
) -> None:
    run = _folder(tmp_path_factory) / "received"
    (run / "generator").mkdir(parents=True, exist_ok=True)
    (run / "spec.json").write_text(json.dumps({"generator": {"name": name}}))
    (run / "generator" / "settings.json").write_bytes(said)
    (run / "generator" / "weights.safetensors").write_bytes(weights)
    is_refused_or_read(lambda: released(run))


EXPECTED = {"mean": np.zeros(4), "deviation": np.zeros(1)}
FIELDS = st.dictionaries(
    st.sampled_from(["round", "index", "site", "patients", "torch", "code", "x"]),
    st.one_of(st.integers(-(2**62), 2**62), st.floats(), st.text(max_size=70), st.booleans()),
    max_size=5,
)


@MANY
@seed(SEED)
@given(FIELDS, st.binary(max_size=200), st.sampled_from(["mean", "other"]), st.booleans())
def test_replies_of_sites(fields: dict[str, Any], data: bytes, name: str, whole: bool) -> None:
    array = Array(dtype="float64", shape=(4,), stype="numpy.ndarray", data=data)
    arrays = {"mean": Array(np.ones(4)), "deviation": Array(np.ones(1))} if whole else {}
    content = RecordDict(
        {
            messages.ABOUT: ConfigRecord(fields),
            messages.STATE: ArrayRecord({**arrays, name: array}),
        }
    )
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    message = Message(content, 1, messages.ROUND)
    with suppress(messages.ReplyError):
        messages.checked(messages.ROUND, message)
        messages.reply_of(message, 1, EXPECTED)


@MANY
@seed(SEED)
@given(st.one_of(VALUES.map(json.dumps), DEPTHS, st.text(max_size=50)))
def test_jobs_of_servers(text: str) -> None:
    is_refused_or_read(lambda: Job.read(text))


@MANY
@seed(SEED)
@given(st.one_of(WORDS, st.text()))
@example("../../x")
@example(".")
@example("con\n")
def test_every_name_becomes_one_folder_of_its_own(name: str) -> None:
    made = folder_name(name)
    assert made not in ("", ".", "..")
    assert Path(made).name == made
    assert len(made) <= 64
    assert all(c.isascii() and (c.isalnum() or c in "._-") for c in made)
    assert made[0].isalnum()
    other = unicodedata.normalize("NFKD", name) + "x"
    assert folder_name(other) != made


@MANY
@seed(SEED)
@given(
    st.sampled_from(["postgresql://u:{}@h/db", "http://u:{}@h:1/", "mysql://h/db?password={}"]),
    st.text("abcdefXYZ0123456789%+-_.!", min_size=4, max_size=20).filter(lambda s: "***" not in s),
)
def test_no_password_is_shown(form: str, secret: str) -> None:
    url = form.format(secret)
    around = f"cannot connect to {url} (user u, {secret})"
    shown = masked(around, url)
    assert secret not in shown.replace(form.split("{}")[0], "").replace(form.split("{}")[1], "")


COMMANDS = st.sampled_from(
    [
        ["plan", "--patients", "{}", "--generator", "dp-simulator"],
        ["plan", "--patients", "20", "--epsilon", "{}", "--generator", "dp-simulator"],
        ["plan", "--patients", "20", "--generator", "{}"],
        ["plan", "--patients", "20", "--generator", "dp-wgan", "--set", "dp-wgan.batch={}"],
        ["plan", "--patients", "20", "--delta", "{}"],
        ["show", "{}"],
        ["show", "dp-wgan", "--preset", "{}"],
        ["run", "--generator", "simulator", "--seeds", "{}", "--out", "runs", "--data", "{}"],
        ["run", "--generator", "simulator", "--jobs", "{}", "--data", "nowhere"],
        ["run", "--generator", "simulator", "--own-patients", "{}", "--data", "nowhere"],
        ["run", "--generator", "dp-wgan", "--sites", "{}", "--data", "nowhere"],
        ["run", "--config", "{}"],
        ["explain", "{}"],
        ["report", "{}"],
        ["compare", "{}", "{}"],
        ["data", "inspect", "{}"],
        ["ledger", "cap", "{}"],
        ["leaderboard", "build", "{}"],
        ["ui", "{}"],
        ["score", "{}", "--data", "nowhere"],
    ]
)


@MANY
@seed(SEED)
@given(COMMANDS, st.one_of(WORDS, NUMBERS.map(str)))
def test_options(tmp_path_factory: pytest.TempPathFactory, words: list[str], value: str) -> None:
    folder = _folder(tmp_path_factory) / "cwd"
    folder.mkdir(exist_ok=True)
    before = sorted(folder.parent.iterdir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANGIOBENCH_STATE", str(folder / "state"))
        done = in_process(*(word.replace("{}", value) for word in words), cwd=folder)
    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(folder.parent.iterdir()) == before, "written outside"


def _folder(factory: pytest.TempPathFactory) -> Path:
    """One folder for all inputs of a class."""
    name = sys._getframe(1).f_code.co_name
    base = factory.getbasetemp() / f"fuzz-{name}"
    base.mkdir(exist_ok=True)
    return base


def _copied(factory: pytest.TempPathFactory, cohort: Path) -> Path:
    target = factory.getbasetemp() / "fuzz-cohort"
    if not target.exists():
        shutil.copytree(cohort, target)
    return target
