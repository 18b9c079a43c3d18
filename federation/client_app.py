"""The site's side of the Flower app.

``app`` is for a deployment: the SuperNode's ``--node-config`` says where the site's data are. In a
simulation ``client_app`` is given the posts of all sites.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from benchmark.core.errors import DataError, UsageError
from benchmark.privacy.ledger import OverCapError
from federation import messages
from federation.deployment import post_of
from federation.job import Job, versions
from federation.sites import BusyError, Post, Site

OPEN_AT_ONCE = 32
ERROR = "error.txt"
LOG = logging.getLogger("federation")
PostAt = Callable[[Context, str], Post]
"""Where a node works, in the run of that key; the key is empty before there is one."""

_opened: dict[tuple[str, float, Post], Site] = {}


def client_app(post_at: PostAt) -> ClientApp:
    """An app that works at the post which a node's context leads to."""
    app = ClientApp()

    @app.query("hello")
    def hello(message: Message, context: Context) -> Message:
        return _answer(message, context, post_at, lambda post: _hello(post))

    @app.query("join")
    def join(message: Message, context: Context) -> Message:
        return _answer(message, context, post_at, lambda post: _join(post, message))

    @app.train("round")
    def turn(message: Message, context: Context) -> Message:
        return _answer(message, context, post_at, lambda post: _turn(post, message))

    return app


def _hello(post: Post) -> RecordDict:
    facts = messages.Hello(post.index, post.name, len(post.patients), versions())
    return messages.hello_reply(facts)


def _join(post: Post, message: Message) -> RecordDict:
    return messages.join_reply(_site(post, message).consent())


def _turn(post: Post, message: Message) -> RecordDict:
    fields, state = messages.asked(message)
    number = int(fields["round"])
    return messages.order_reply(number, _site(post, message).compute(number, state))


def _site(post: Post, message: Message) -> Site:
    """The site that the message is for, opened once in a process."""
    fields, _ = messages.asked(message)
    key = (fields["job"], fields["share"], post)
    if key not in _opened:
        while len(_opened) >= OPEN_AT_ONCE:
            _opened.pop(next(iter(_opened)))
        _opened[key] = Site(post, Job.read(fields["job"]), float(fields["share"]))
    return _opened[key]


def _answer(
    message: Message, context: Context, post_at: PostAt, act: Callable[[Post], RecordDict]
) -> Message:
    """The reply, or a fault that says no more than its kind; the reason stays here."""
    post = None
    try:
        post = post_at(context, _run_of(message))
        return Message(act(post), reply_to=message)
    except Exception as error:
        _note(post, error)
        return Message(messages.fault(_code(error), _name(post, context)), reply_to=message)


def _run_of(message: Message) -> str:
    fields, _ = messages.asked(message)
    return Job.read(fields["job"]).run if "job" in fields else ""


def _code(error: Exception) -> str:
    kinds = {OverCapError: "budget", BusyError: "busy", DataError: "data", UsageError: "refused"}
    return next((code for kind, code in kinds.items() if isinstance(error, kind)), "error")


def _name(post: Post | None, context: Context) -> str:
    """The site's name: its post's, or what its SuperNode was told if it comes to none."""
    name = post.name if post else str(context.node_config.get("site", ""))
    return name if messages.is_short(name) else ""


def _note(post: Post | None, error: Exception) -> None:
    """Leaves the reason where the site can read it, and nobody else."""
    known = isinstance(error, UsageError | DataError)
    text = str(error) if known else "".join(traceback.format_exception(error))
    LOG.error("%s", text)
    if post is not None:
        post.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (post.folder / ERROR).write_text(text + "\n", encoding="utf-8")


app = client_app(post_of)
