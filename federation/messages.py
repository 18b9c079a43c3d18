"""What crosses between server and sites, and nothing else: every message is made and checked here.

A reply holds public numbers, and tensors that are functions of noised sums. No loss, score, count,
time or size that real patients decided is in any.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from benchmark.core.budget import Guarantee
from benchmark.core.federation import Arrays
from benchmark.core.files import plain
from federation.job import Job

HELLO, JOIN, ROUND = "query.hello", "query.join", "train.round"
ABOUT, STATE, FAULT = "about", "state", "fault"

REPLIES: Mapping[str, Mapping[str, type]] = {
    HELLO: {"index": int, "site": str, "patients": int, "versions": str},
    JOIN: {"guarantee": str},
    ROUND: {"round": int},
}
"""The fields of each kind of reply; a round's has tensors beside it."""

FAULTS: Mapping[str, str] = {
    "versions": "runs other versions than the server",
    "refused": "refuses the run by its own rules",
    "budget": "has no privacy budget left for the run",
    "data": "cannot use its data",
    "error": "failed",
}
"""All that a site says of a fault; the reason stays at the site, as it may betray patients."""


class ReplyError(Exception):
    """A reply that is not what it should be."""


@dataclass(frozen=True)
class Hello:
    """A site's public facts."""

    index: int
    site: str
    patients: int
    versions: Mapping[str, str]


def hello() -> RecordDict:
    """The first message."""
    return RecordDict({ABOUT: ConfigRecord({})})


def hello_reply(said: Hello) -> RecordDict:
    """The site's public facts."""
    facts = {**said.__dict__, "versions": json.dumps(dict(said.versions), sort_keys=True)}
    return RecordDict({ABOUT: ConfigRecord(facts)})


def join(job: Job, share: float) -> RecordDict:
    """The job, and the site's share of all patients."""
    return RecordDict({ABOUT: ConfigRecord({"job": job.text(), "share": share})})


def join_reply(guarantee: Guarantee) -> RecordDict:
    """What the whole run is for the site's patients, from public numbers."""
    text = json.dumps(plain(guarantee.as_dict()), sort_keys=True)
    return RecordDict({ABOUT: ConfigRecord({"guarantee": text})})


def order(job: Job, share: float, number: int, state: Arrays) -> RecordDict:
    """A round's state; the job again, as a site may have started anew."""
    about = ConfigRecord({"job": job.text(), "share": share, "round": number})
    return RecordDict({ABOUT: about, STATE: packed(state)})


def order_reply(number: int, reply: Arrays) -> RecordDict:
    """A round's reply."""
    return RecordDict({ABOUT: ConfigRecord({"round": number}), STATE: packed(reply)})


def fault(code: str) -> RecordDict:
    """A fault, by its code among ``FAULTS``."""
    return RecordDict({FAULT: ConfigRecord({"code": code})})


def packed(state: Arrays) -> ArrayRecord:
    """Tensors as Flower sends them."""
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in state.items()})


def unpacked(record: ArrayRecord) -> Arrays:
    """Tensors as Flower sent them."""
    return {name: array.numpy() for name, array in record.items()}


def asked(message: Message) -> tuple[Mapping[str, Any], Arrays]:
    """What a site was asked: the fields, and a round's tensors."""
    content = message.content
    arrays = content.array_records.get(STATE, ArrayRecord())
    return dict(content.config_records[ABOUT]), unpacked(arrays)


def checked(kind: str, message: Message) -> Mapping[str, Any]:
    """The fields of a reply.

    Raises:
        ReplyError: If it is a fault, or holds anything else than its kind may.
    """
    if message.has_error():
        raise ReplyError(FAULTS["error"])
    content = message.content
    if FAULT in content:
        code = str(content.config_records[FAULT].get("code"))
        raise ReplyError(FAULTS.get(code, FAULTS["error"]))
    records = {ABOUT, STATE} if kind == ROUND else {ABOUT}
    fields = dict(content.config_records.get(ABOUT, ConfigRecord()))
    kinds = {name: type(value) for name, value in fields.items()}
    if set(content) != records or kinds != dict(REPLIES[kind]):
        raise ReplyError("answered with something that no reply may hold")
    return fields


def hello_of(fields: Mapping[str, Any]) -> Hello:
    """Reads what ``hello_reply`` wrote."""
    return Hello(**{**fields, "versions": json.loads(fields["versions"])})


def guarantee_of(fields: Mapping[str, Any]) -> Guarantee:
    """Reads what ``join_reply`` wrote."""
    return Guarantee.from_dict(json.loads(fields["guarantee"]))


def reply_of(message: Message, number: int, expected: Arrays) -> Arrays:
    """A round's tensors.

    Args:
        message: The checked reply.
        number: Of the round.
        expected: Tensors of the names, shapes and types that the reply must have.

    Raises:
        ReplyError: For another round, for anything unexpected, and for values that are not finite.
    """
    if message.content.config_records[ABOUT]["round"] != number:
        raise ReplyError("answered for another round")
    found = unpacked(message.content.array_records[STATE])
    if _looks(found) != _looks(expected):
        raise ReplyError("answered with other tensors than the round's")
    if not all(np.isfinite(array).all() for array in found.values()):
        raise ReplyError("answered with numbers that are not finite")
    return found


def _looks(state: Arrays) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (array.shape, array.dtype.str) for name, array in state.items()}


def size(messages: Sequence[Message]) -> int:
    """Bytes of the tensors in some messages."""
    records = [r for m in messages if m.has_content() for r in m.content.array_records.values()]
    return sum(len(array.data) for record in records for array in record.values())
