"""What a site keeps of a run: its entry, how often it drew under that, and its last reply."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.core.budget import Guarantee
from benchmark.core.federation import Arrays
from benchmark.core.files import read_json, write_json
from benchmark.privacy.checkpoint import Checkpoint, State, Tally
from federation.job import Job
from federation.payment import CLAIM

REPLY, DRAWS = "reply.safetensors", "draws.json"
ENTRY, ORDER, SESSION, SHARE = "entry", "order", "session", "share"


class Answered:
    """The record of a site's answers in one run. It is read anew at each construction.

    Args:
        folder: What the site keeps of the run.
        guarantee: The guarantee of the whole run; a record of another one is ignored.
        job: What server and sites agree on; likewise.
        share: The site's public share of all patients, as the server says.

    Attributes:
        folder: What the site keeps of the run.
        kept: The last state that was kept; ``None`` without one.
    """

    def __init__(self, folder: Path, guarantee: Guarantee, job: Job, share: float) -> None:
        self.folder = folder
        self._file, self._rounds = Checkpoint(folder / REPLY, guarantee), job.schedule.rounds
        self._said = {"job": job.digest, SHARE: share}
        self._is_seeded = job.noise != "system"
        kept = self._file.state
        mine = kept is not None and kept.facts.get("job") == self._said["job"]
        self.kept: State | None = kept if mine else None

    @property
    def last(self) -> int:
        """The last round that the site knows to have answered; 0 for none."""
        return self.kept.tally.begun if self.kept else 0

    def fact(self, name: str) -> Any:
        """Return what was kept under a name; ``None`` if nothing was."""
        return self.kept.facts.get(name) if self.kept else None

    @property
    def claim(self) -> str:
        """The claim of the entry that pays; empty without one."""
        return str(self.fact(CLAIM) or "")

    def may_have_left(self, number: int) -> bool:
        """Tell whether a round's reply may be known, with noise that no seed gives again."""
        return not self._is_seeded and self.last == number and bool(self.fact(ORDER))

    @property
    def is_used_up(self) -> bool:
        """Whether the entry that pays has fewer draws left than there are rounds to answer.

        Where nobody knows how many were drawn, all were. Seeded noise is never used up.
        """
        drawn = read_json(self.folder / DRAWS).get(self.claim, self._rounds)
        return not self._is_seeded and drawn > self.last

    def count(self, claim: str, *, anew: bool = False) -> None:
        """Count a round durably before anything is drawn in it, whatever becomes of its answer.

        Args:
            claim: The claim of the entry that pays for it.
            anew: Begin to count, before the first one.
        """
        file = self.folder / DRAWS
        write_json(file, {claim: 0 if anew else read_json(file)[claim] + 1})

    def keep(self, number: int, reply: Arrays, facts: Mapping[str, Any]) -> None:
        """Keep a round's reply durably, before it is sent.

        Args:
            number: The round.
            reply: The reply; nothing before it is computed.
            facts: The entry with its claim, the digest of the state that was sent, and, for secure
                sums, the session that masked it.
        """
        rounds = Tally(total=self._rounds, begun=number, useful=number)
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in reply.items()}
        self._file.save(State(rounds, tensors, {**self._said, **facts}))

    def drop(self) -> None:
        """Forget the last reply and what pays for it, so that the round begins anew."""
        self.keep(self.last - 1, {}, {ENTRY: None, CLAIM: "", ORDER: ""})
