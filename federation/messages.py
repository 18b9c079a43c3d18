"""All messages between server and sites. Every message is made and checked here.

A reply holds public numbers, and tensors that are functions of noised sums. It holds no loss,
score, count, time or size that depends on real patients. Every field has a name and a type, and the
server knows its value beforehand. The exceptions are a site's name, its number of patients, the
noise and its cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from io import BytesIO
from typing import Any, get_type_hints

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from benchmark.core.budget import PERMUTE_AND_FLIP, Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays
from benchmark.privacy.accounting.subsampled_gaussian import ACCOUNTANTS
from federation.job import VERSIONED, Job

HELLO, JOIN, ROUND = "query.hello", "query.join", "train.round"
ABOUT, STATE, FAULT = "about", "state", "fault"

_HINTS = get_type_hints(Guarantee)
_OF_GUARANTEE: Mapping[str, type] = {
    field.name: _HINTS[field.name] if _HINTS[field.name] in (int, bool, float) else str
    for field in fields(Guarantee)
} | {"epsilon_patch": float, "epsilon_patient": float}
"""The types of a guarantee's fields in a message. NaN stands for an ε that is unknown."""

REPLIES: Mapping[str, Mapping[str, type]] = {
    HELLO: {"index": int, "site": str, "patients": int} | dict.fromkeys(VERSIONED, str),
    JOIN: _OF_GUARANTEE,
    ROUND: {"round": int},
}
"""The fields of each kind of reply. A round's has tensors beside them."""

HEADER = 4096
"""Bytes that a tensor may have beside its numbers."""

LONGEST = 64
"""The most characters of a text in a reply: a name, a version, or a word of the guarantee."""

FAULTS: Mapping[str, str] = {
    "busy": "is still at work on this run in another process",
    "refused": "refuses the run by its own rules",
    "budget": "has no privacy budget left for the run",
    "error": "failed",
}
"""The only words of a site about a fault. The reason stays at the site, as it may reveal patients.

A round has one code, ``error``, whatever fails: patients are drawn in it. The others are for
``hello`` and ``join``, and tell what the site's own rules, its list of runs and public numbers
decide. Whatever goes wrong with patients' files is an ``error`` there, too.
"""

FAILED = "error"

UNLISTED = "answered with something that no reply may hold"
KNOWN = (*ACCOUNTANTS, PERMUTE_AND_FLIP)
"""The accountants whose claims a server can recompute."""

CALIBRATED = (
    *("noise_multiplier", "epsilon", "epsilon_patch", "epsilon_patient", "accountant"),
    *("sensitivity", "grid", "distance"),
)
"""The fields that a site decides when it calibrates its noise."""


class ReplyError(Exception):
    """A reply is not as it should be.

    Args:
        what: What is wrong, as words that follow the site's name.
        site: The site's name, if the reply says it.
    """

    def __init__(self, what: str, site: str = "") -> None:
        super().__init__(what)
        self.site = site


@dataclass(frozen=True)
class Hello:
    """The public facts of a site.

    Attributes:
        index: The site's number, from 0.
        site: Its name.
        patients: Its number of patients.
        versions: The versions of its packages.
    """

    index: int
    site: str
    patients: int
    versions: Mapping[str, str]


def hello() -> RecordDict:
    """Make the first message to a site."""
    return RecordDict({ABOUT: ConfigRecord({})})


def hello_reply(said: Hello) -> RecordDict:
    """Make a site's reply to the first message: its public facts."""
    facts: dict[str, Any] = {"index": said.index, "site": said.site, "patients": said.patients}
    return RecordDict({ABOUT: ConfigRecord({**facts, **said.versions})})


def join(job: Job, share: float) -> RecordDict:
    """Make the message with the job and the site's share of all patients."""
    return RecordDict({ABOUT: ConfigRecord({"job": job.text(), "share": share})})


def join_reply(guarantee: Guarantee) -> RecordDict:
    """Make a site's reply to the job: the guarantee of the whole run, from public numbers."""
    said: dict[str, Any] = {
        name: _OF_GUARANTEE[name](math.nan if value is None else value)
        for name, value in guarantee.as_dict().items()
    }
    return RecordDict({ABOUT: ConfigRecord(said)})


def order(job: Job, share: float, number: int, state: Arrays | ArrayRecord) -> RecordDict:
    """Make a round's message with the state.

    It repeats the job, as a site may have restarted.

    Args:
        job: What server and sites agree on.
        share: The site's share of all patients.
        number: The round, from 1.
        state: The part of the state that sites need; packed, if many sites get the same.
    """
    about = ConfigRecord({"job": job.text(), "share": share, "round": number})
    tensors = state if isinstance(state, ArrayRecord) else packed(state)
    return RecordDict({ABOUT: about, STATE: tensors})


def order_reply(number: int, reply: Arrays) -> RecordDict:
    """Make a site's reply to a round."""
    return RecordDict({ABOUT: ConfigRecord({"round": number}), STATE: packed(reply)})


def fault(code: str, site: str) -> RecordDict:
    """Make a fault, with its code among ``FAULTS`` and the site's name as far as it is known."""
    return RecordDict({FAULT: ConfigRecord({"code": code, "site": site})})


def packed(state: Arrays) -> ArrayRecord:
    """Convert tensors to Flower's form."""
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in state.items()})


def unpacked(record: ArrayRecord) -> Arrays:
    """Convert tensors from Flower's form."""
    return {name: array.numpy() for name, array in record.items()}


def fields_of(message: Message) -> Mapping[str, Any]:
    """Read the fields of a question to a site."""
    return dict(message.content.config_records[ABOUT])


def state_of(message: Message) -> Arrays:
    """Read the tensors of a round's question to a site; none in another question."""
    return unpacked(message.content.array_records.get(STATE, ArrayRecord()))


def check_finite(state: Arrays) -> None:
    """Refuse values that can make a computation fail depending on patients' data.

    Raises:
        UsageError: For numbers that are not finite.
    """
    for name, array in state.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise UsageError(f"The server sent {name!r} with values that are no finite numbers.")


def check_like(state: Arrays, before: Arrays) -> None:
    """Refuses a combined state that no site could go on from.

    Raises:
        ValueError: For other names, shapes or types than before, or numbers that are not finite.
    """
    if _looks(state) != _looks(before):
        raise ValueError("its state has other names, shapes or types than before")
    for name, array in state.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are not finite")


def checked(
    kind: str, message: Message, more: Mapping[str, type] | None = None
) -> Mapping[str, Any]:
    """Return the fields of a reply.

    Args:
        kind: The kind of the reply.
        message: The reply.
        more: Fields that it must have beside those of its kind, with their types.

    Raises:
        ReplyError: If it is a fault, or has anything else than its kind may.
    """
    if message.has_error():
        raise ReplyError(FAULTS[FAILED])
    content = message.content
    if set(content) == {FAULT}:
        said = _fields(content.config_records[FAULT], {"code": str, "site": str})
        raise ReplyError(FAULTS.get(said["code"], FAULTS[FAILED]), said["site"])
    if set(content) != ({ABOUT, STATE} if kind == ROUND else {ABOUT}):
        raise ReplyError(UNLISTED)
    record = content.config_records.get(ABOUT, ConfigRecord())
    return _fields(record, {**REPLIES[kind], **(more or {})})


def _fields(record: ConfigRecord, kinds: Mapping[str, type]) -> dict[str, Any]:
    found = dict(record)
    if {name: type(value) for name, value in found.items()} != dict(kinds):
        raise ReplyError(UNLISTED)
    if not all(is_short(text) for text in found.values() if isinstance(text, str)):
        raise ReplyError(UNLISTED)
    return found


def hello_of(fields: Mapping[str, Any]) -> Hello:
    """Read what ``hello_reply`` wrote."""
    said = {name: fields[name] for name in ("index", "site", "patients")}
    return Hello(**said, versions={name: fields[name] for name in VERSIONED})


def consented(fields: Mapping[str, Any]) -> Guarantee:
    """Read the guarantee that ``join_reply`` wrote, whatever it says."""
    unknown = {n: None for n in ("epsilon_patch", "epsilon_patient") if math.isnan(fields[n])}
    return Guarantee(**{**fields, **unknown})


def guarantee_of(fields: Mapping[str, Any], expected: Guarantee) -> Guarantee:
    """Read what ``join_reply`` wrote.

    Args:
        fields: The fields of the checked reply.
        expected: The guarantee before the noise is calibrated, from the job and the site's public
            numbers. A site decides its noise and its cost, and nothing else.

    Raises:
        ReplyError: If the site consents to something else, or would spend more than the target.
    """
    said = consented(fields)
    private = math.isfinite(expected.target_epsilon)
    free = {*CALIBRATED} if private else set()
    if private and math.isinf(expected.clip_norm):  # no setting says it
        free.add("clip_norm")
    if replace(expected, **{name: getattr(said, name) for name in free}) != said:
        raise ReplyError("consents to another fit than the one that was asked for")
    own = said.epsilon_patch if said.unit == "patch" else said.epsilon_patient
    if not 0 <= said.epsilon <= said.target_epsilon or own != said.epsilon:
        raise ReplyError(f"would spend ε = {said.epsilon:g}, not {said.target_epsilon:g} or less")
    if private and not (said.noise_multiplier > 0 and said.accountant in KNOWN):
        raise ReplyError(UNLISTED)
    return said


def reply_of(message: Message, number: int, expected: Arrays) -> Arrays:
    """Read a round's tensors.

    Args:
        message: The checked reply.
        number: The round's number.
        expected: Tensors of the names, shapes and types that the reply must have.

    Raises:
        ReplyError: For another round, for anything unexpected, and for values that are not finite.
    """
    if message.content.config_records[ABOUT]["round"] != number:
        raise ReplyError("answered for another round")
    record = message.content.array_records[STATE]
    try:
        _check_headers(record, expected)
        found = unpacked(record)
    except ReplyError:
        raise
    except Exception as error:  # whatever bytes were sent
        raise ReplyError("answered with tensors that cannot be read") from error
    if _looks(found) != _looks(expected):
        raise ReplyError("answered with other tensors than the round's")
    if not all(np.isfinite(array).all() for array in found.values()):
        raise ReplyError("answered with numbers that are not finite")
    return found


def _check_headers(record: ArrayRecord, expected: Arrays) -> None:
    """Refuses tensors by what they say of their size, before any is made.

    Raises:
        ReplyError: For more bytes or numbers than expected, or other names.
    """
    other = ReplyError("answered with other tensors than the round's")
    if set(record) != set(expected):
        raise other
    for name, array in record.items():
        if len(array.data) > expected[name].nbytes + HEADER:
            raise other
        stream = BytesIO(array.data)
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(version)
        if read is None or read(stream)[0] != expected[name].shape:
            raise other


def is_short(text: str) -> bool:
    """Tell whether a text may be in a reply."""
    return len(text) <= LONGEST and (not text or text.isprintable())


def _looks(state: Arrays) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (array.shape, array.dtype.str) for name, array in state.items()}


def size(messages: Sequence[Message]) -> int:
    """Return the bytes of the tensors in some messages."""
    records = [r for m in messages if m.has_content() for r in m.content.array_records.values()]
    return sum(len(array.data) for record in records for array in record.values())
