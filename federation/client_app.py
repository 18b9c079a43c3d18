"""The site's side of the Flower app.

``app`` is for a deployment: the SuperNode's ``--node-config`` says where the site's data are. A
simulation gives ``client_app`` the posts of all sites.
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Callable

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from benchmark.core.errors import DataError, UsageError
from benchmark.privacy.ledger.ledger import OverCapError
from federation import messages
from federation.departure import Departure
from federation.deployment import post_of, slot_of
from federation.job import Job, versions
from federation.post import Post
from federation.secure_messages import introduced, roster_of
from federation.sites import BusyError, Site

OPEN_AT_ONCE = 32
ERROR = "error.txt"
LOG = logging.getLogger("federation")
PostAt = Callable[[Context, str], Post]
"""A function from a node and a run's key to the node's post. The key is empty before a run is
known."""

SlotAt = Callable[[Context], float]
"""A function from a node to its slot in seconds, 0 for none; it never raises."""

Act = Callable[[Post, Departure], RecordDict]
Code = Callable[[Exception], str]

_opened: dict[tuple[str, float, int | None, Post], Site] = {}


def client_app(post_at: PostAt, slot_at: SlotAt = lambda context: 0.0) -> ClientApp:
    """Make an app that works at the post of its node.

    Args:
        post_at: Returns a node's post.
        slot_at: Returns a node's slot.
    """
    app = ClientApp()

    def answer(message: Message, context: Context, code: Code, act: Act) -> Message:
        """The reply, or a fault that says no more than its kind; the reason stays here.

        The message is made once it may leave: it bears the time at which it was made.
        """
        departure, post = Departure(slot_at(context)), None
        try:
            post = post_at(context, _run_of(message))
            content = act(post, departure)
        except Exception as error:
            _note(post, error)
            content = messages.fault(code(error), _name(post, context))
        departure.wait()
        return Message(content, reply_to=message)

    @app.query("hello")
    def hello(message: Message, context: Context) -> Message:
        return answer(message, context, _code, lambda post, _: _hello(post))

    @app.query("join")
    def join(message: Message, context: Context) -> Message:
        return answer(message, context, _code, lambda post, _: _join(post, message))

    @app.train("round")
    def turn(message: Message, context: Context) -> Message:
        return answer(
            message, context, _code_of_a_round, lambda post, leaves: _turn(post, message, leaves)
        )

    return app


def _hello(post: Post) -> RecordDict:
    facts = messages.Hello(post.index, post.name, len(post.patients), versions())
    return messages.hello_reply(facts)


def _join(post: Post, message: Message) -> RecordDict:
    site, fields = _site(post, message), messages.fields_of(message)
    content, roster = messages.join_reply(site.consent()), roster_of(fields)
    return content if roster is None else introduced(content, site.introduce(roster.begins))


def _turn(post: Post, message: Message, leaves: Departure) -> RecordDict:
    fields, state = messages.fields_of(message), messages.state_of(message)
    messages.check_finite(state)
    number, roster = int(fields["round"]), roster_of(fields)
    everybody = roster.introductions if roster else ()
    site = _site(post, message)
    reply = site.compute(number, state, everybody=everybody, before_release=leaves.wait)
    return messages.order_reply(number, reply)


def _site(post: Post, message: Message) -> Site:
    """The site that the message is for, opened once in a process."""
    fields = messages.fields_of(message)
    roster = roster_of(fields)
    patients = roster.patients if roster else None
    key = (fields["job"], fields["share"], patients, post)
    if key not in _opened:
        while len(_opened) >= OPEN_AT_ONCE:
            _opened.pop(next(iter(_opened)))
        _opened[key] = Site(post, Job.read(fields["job"]), float(fields["share"]), patients)
    return _opened[key]


def _run_of(message: Message) -> str:
    fields = messages.fields_of(message)
    return Job.read(fields["job"]).run if "job" in fields else ""


def _code(error: Exception) -> str:
    """The code of a fault where nothing is computed from patients."""
    kinds = {OverCapError: "budget", BusyError: "busy", UsageError: "refused"}
    return next((code for kind, code in kinds.items() if isinstance(error, kind)), messages.FAILED)


def _code_of_a_round(error: Exception) -> str:
    """The one code where patients are drawn, whatever the error."""
    return messages.FAILED


def _name(post: Post | None, context: Context) -> str:
    """The site's name: its post's, or what its SuperNode was told if it comes to none."""
    name = post.name if post else str(context.node_config.get("site", ""))
    return name if messages.is_short(name) else ""


def _note(post: Post | None, error: Exception) -> None:
    """Leaves the reason where the site can read it, and nobody else.

    Never raises: Flower would send the exception's own words.
    """
    known = isinstance(error, UsageError | DataError)
    text = str(error) if known else "".join(traceback.format_exception(error))
    LOG.error("%s", text)
    if post is not None:
        with contextlib.suppress(Exception):
            post.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (post.folder / ERROR).write_text(text + "\n", encoding="utf-8")


app = client_app(post_of, slot_of)
