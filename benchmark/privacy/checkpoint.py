"""Checkpoints: a killed fit continues without running more private steps than were planned.

A fit runs in strides of a public number of rounds. Before each stride a checkpoint is durable.
After a kill it is unknown how many rounds of the stride ran, and whether anything of them left the
process. So:

* Seeded noise: weights, batches and noise are the same again, and replaying them is free. The fit
  continues from the checkpoint and ends as if nothing had happened.
* Noise from the operating system: the stride is lost and stays counted. The fit continues from the
  checkpoint's weights with fewer rounds left. So at most T private steps are ever run. The fit is
  then another draw of the same mechanism.

The number of counted rounds is also kept beside the ledger, apart from the checkpoint. So an older
copy of the checkpoint does not bring counted rounds back.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from benchmark.core.budget import Guarantee
from benchmark.core.files import read_json, replacing, write_json
from benchmark.core.parsers import json_of
from benchmark.core.workings import STRIDES, State, Tally

__all__ = ["STRIDES", "Checkpoint", "State", "Tally"]


RELEASES = "releases"
"""The fact that says of a state that it holds releases, and not the weights of private steps."""


class Checkpoint:
    """A file with the state of one fit, replaced as a whole at each save.

    It belongs to one planned guarantee; a state of another guarantee is ignored.

    Args:
        path: The file.
        planned: The guarantee of the fit.
        counted: A second file for the number of counted rounds; ``None`` for none.

    Attributes:
        state: What an earlier process left under the same guarantee; ``None`` if nothing usable.
    """

    def __init__(self, path: Path, planned: Guarantee, counted: Path | None = None) -> None:
        self._path, self._counted = path, counted
        self._owner = json.dumps({n: str(v) for n, v in planned.as_dict().items()}, sort_keys=True)
        self.state = self._load()

    def save(self, state: State) -> None:
        """Keeps a state durably: a reader sees the old one or this."""
        said = {"owner": self._owner, "tally": asdict(state.tally), "facts": state.facts}
        tensors = {name: tensor.contiguous() for name, tensor in state.tensors.items()}
        with replacing(self._path) as temporary:
            temporary.touch(mode=0o600)  # it holds a critic that saw patients
            try:
                save_file(tensors, temporary, metadata={"said": json.dumps(said)})
            except SafetensorError as error:  # it hides what the disk said
                raise OSError(errno.EIO, str(error), str(self._path)) from error
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        self._count(state.tally.begun)  # afterwards: no kill makes the present state look old

    def counted(self) -> int:
        """Return the most rounds that any checkpoint of this fit counted, later ones included."""
        return int(read_json(self._counted).get("begun", 0)) if self._counted else 0

    @property
    def pays(self) -> bool:
        """Whether the fit goes on from it under its own entry of the ledger.

        Releases of a copy older than what was counted do not: later ones may have been seen.
        """
        if self.state is None:
            return False
        return not self.state.facts.get(RELEASES) or self.counted() <= self.state.tally.begun

    def _count(self, begun: int) -> None:
        if self._counted is not None:
            self._counted.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_json(self._counted, {"begun": begun and max(begun, self.counted())})

    def _load(self) -> State | None:
        try:
            with safe_open(self._path, framework="pt") as kept:
                said = json_of(kept.metadata()["said"])
                tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
            if said["owner"] != self._owner:
                return None
            return State(Tally(**said["tally"]), tensors, said["facts"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError):
            return None
