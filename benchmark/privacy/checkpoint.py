"""Going on after a kill, with a guarantee no better than the run deserves.

A fit runs in strides of a public number of rounds, and before each a checkpoint is durable. After a
kill nobody knows how many rounds of the stride were run, nor whether anything of them left the
process, so:

* Seeded noise: weights, batches and noise are the same again, and replaying them is free. The run
  goes on from the checkpoint and ends as if nothing had happened.
* Noise from the operating system: the stride is lost and stays counted. The run goes on from the
  checkpoint's weights with fewer rounds left, so that no more than T private steps are ever run,
  and is another draw of the same mechanism.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchmark.core.budget import Guarantee
from benchmark.core.files import put_in_place

STRIDES = 20
"""Of a fit; a kill loses one at most."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The rounds of a fit when a stride begins.

    Attributes:
        total: Rounds that the guarantee pays for.
        begun: Rounds counted so far, lost ones included.
        useful: Rounds whose result is in the weights.
        interruptions: How often a kill made it another draw.
    """

    total: int
    begun: int = 0
    useful: int = 0
    interruptions: int = 0

    @property
    def until(self) -> int:
        """Rounds counted when the stride ends, however it ends."""
        return min(self.total, self.begun + max(1, -(-self.total // STRIDES)))

    @property
    def lost(self) -> int:
        """Rounds counted that are in no weights."""
        return self.begun - self.useful

    def done(self) -> Tally:
        """After a whole stride."""
        return Tally(
            total=self.total,
            begun=self.until,
            useful=self.useful + self.until - self.begun,
            interruptions=self.interruptions,
        )

    def resumed(self, *, exact: bool) -> Tally:
        """After a kill within the stride: it begins again if it is exactly the same, or is lost."""
        if exact:
            return self
        return Tally(
            total=self.total,
            begun=self.until,
            useful=self.useful,
            interruptions=self.interruptions + 1,
        )


class State(NamedTuple):
    """What a checkpoint holds: the tally, tensors by name, and what else JSON can hold."""

    tally: Tally
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Checkpoint:
    """One file that is replaced as a whole; it belongs to one planned guarantee.

    Args:
        path: The file.
        planned: The guarantee of the fit.

    Attributes:
        state: What an earlier process left under the same guarantee; ``None`` if nothing usable.
    """

    def __init__(self, path: Path, planned: Guarantee) -> None:
        self._path = path
        self._owner = json.dumps({n: str(v) for n, v in planned.as_dict().items()}, sort_keys=True)
        self.state = self._load()

    def save(self, state: State) -> None:
        """Keeps a state durably: a reader sees the old one or this."""
        said = {"owner": self._owner, "tally": asdict(state.tally), "facts": state.facts}
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        tensors = {name: tensor.contiguous() for name, tensor in state.tensors.items()}
        temporary.touch(mode=0o600)  # it holds a critic that saw patients
        save_file(tensors, temporary, metadata={"said": json.dumps(said)})
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        put_in_place(temporary, self._path)

    def _load(self) -> State | None:
        try:
            with safe_open(self._path, framework="pt") as kept:
                said = json.loads(kept.metadata()["said"])
                tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
            if said["owner"] != self._owner:
                return None
            return State(Tally(**said["tally"]), tensors, said["facts"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None
