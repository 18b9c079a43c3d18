"""What messages hold for secure sums beside what ``messages`` lists. All of it is public.

The server tells every site how many patients there are at all sites, at which round it goes on,
and, with each round, the introductions of all sites. A site's reply to the job holds its
introduction. The masked sums of a round are tensors of random words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flwr.app import ConfigRecord, RecordDict

from benchmark.core.budget import Guarantee
from benchmark.core.errors import UsageError
from federation.job import LARGEST
from federation.messages import ABOUT, UNLISTED, ReplyError, consented
from federation.secure_sum import Introduction

INTRODUCED: Mapping[str, type] = {"public": str, "nonce": str}
"""The further fields of a site's reply to the job: its public key and its nonce."""

COMPUTED = ("epsilon", "epsilon_patch", "epsilon_patient", "distance")
ROUNDING = 1e-6
"""By how much these may differ between two machines, relatively."""


@dataclass(frozen=True, kw_only=True)
class Roster:
    """What a site must know of all sites.

    Attributes:
        patients: The number of patients of all sites.
        begins: The round at which the server goes on.
        introductions: Of all sites; none before all have joined.
    """

    patients: int
    begins: int = 1
    introductions: tuple[Introduction, ...] = ()


def with_roster(content: RecordDict, roster: Roster | None) -> RecordDict:
    """Add the roster to a message to a site; ``None`` adds nothing, for local noise."""
    if roster is not None:
        about = content.config_records[ABOUT]
        about["patients"], about["begins"] = roster.patients, roster.begins
        if roster.introductions:
            about["publics"] = [one.public.hex() for one in roster.introductions]
            about["nonces"] = [one.nonce.hex() for one in roster.introductions]
    return content


def roster_of(fields: Mapping[str, Any]) -> Roster | None:
    """Read the roster of a message to a site.

    Args:
        fields: The fields of the message.

    Returns:
        The roster; ``None`` if there is none.

    Raises:
        UsageError: If it cannot be read.
    """
    if "patients" not in fields:
        return None
    numbers = fields["patients"], fields.get("begins")
    if not all(type(one) is int and 1 <= one <= LARGEST + 1 for one in numbers):
        raise UsageError(f"Expected whole numbers of patients and rounds, got {numbers}.")
    return Roster(
        patients=fields["patients"],
        begins=fields["begins"],
        introductions=_introductions(fields.get("publics", []), fields.get("nonces", [])),
    )


def _introductions(publics: Any, nonces: Any) -> tuple[Introduction, ...]:
    both = (publics, nonces)
    texts = all(isinstance(one, list) and all(isinstance(x, str) for x in one) for one in both)
    if not texts or len(publics) != len(nonces):
        raise UsageError("Expected as many public keys of sites as nonces, in hexadecimal digits.")
    return tuple(map(Introduction.read, publics, nonces))


def introduced(content: RecordDict, mine: Introduction) -> RecordDict:
    """Add a site's introduction to its reply to the job."""
    about: ConfigRecord = content.config_records[ABOUT]
    about["public"], about["nonce"] = mine.public.hex(), mine.nonce.hex()
    return content


def introduction_of(fields: Mapping[str, Any]) -> Introduction:
    """Read what ``introduced`` wrote.

    Raises:
        ReplyError: If it is no introduction.
    """
    try:
        return Introduction.read(fields["public"], fields["nonce"])
    except UsageError:
        raise ReplyError(UNLISTED) from None


def check_same_plan(fields: Mapping[str, Any], plan: Guarantee) -> None:
    """Refuse a consent to anything but the plan of the whole fit, which every site has.

    Args:
        fields: The fields of the checked reply.
        plan: The server's own plan, from the same public numbers.

    Raises:
        ReplyError: If it differs in anything but the last digits of ε or of the noise's distance
            from its law.
    """
    said = consented({name: value for name, value in fields.items() if name not in INTRODUCED})
    spent: dict[str, Any] = {name: getattr(plan, name) for name in COMPUTED}
    pairs = [(getattr(said, name), value) for name, value in spent.items()]
    if replace(said, **spent) != plan or not all(_close(*pair) for pair in pairs):
        raise ReplyError("consents to another fit than the one that was asked for")


def _close(one: float | None, other: float | None) -> bool:
    both: Sequence[float | None] = (one, other)
    if one is None or other is None:
        return both == (None, None)
    return math.isclose(one, other, rel_tol=ROUNDING)
