"""Patients' files on the nodes of a cluster: by their paths, or as copies in the store.

By path, a node must find a file of the same size and time of change. A copy is checked by its
SHA-256 before any of it is used. Copies are readable by their owner alone, lie in the driver's own
folder of the store, and are removed with it.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.core.sums import sum_of
from benchmark.data.cohort import Patient
from benchmark.sweep.executors.ground import CACHE, DATA, Ground
from benchmark.sweep.executors.task import Task
from benchmark.sweep.inputs import Inputs

CHUNK = 1 << 20


@dataclass(frozen=True)
class DataFile:
    """A file that a node needs.

    Attributes:
        path: Where the node finds it.
        size: In bytes.
        changed_ns: Its time of change, where nothing was copied.
        sha256: Its digest, where it was copied; empty otherwise.
    """

    path: Path
    size: int
    changed_ns: int
    sha256: str = ""

    def fault(self) -> str:
        """Return what is wrong with the file on this node, in one sentence; empty if nothing."""
        node = socket.gethostname()
        try:
            found = self.path.stat()
            same = found.st_size == self.size and (
                sum_of(self.path) == self.sha256
                if self.sha256
                else found.st_mtime_ns == self.changed_ns
            )
        except OSError as error:
            return (
                f"Node {node} cannot read {self.path} ({error.strerror}); put the data where all "
                "nodes have them under this path, or pass --ship-data."
            )
        if same:
            return ""
        if self.sha256:
            return f"Node {node}: {self.path} is not what was copied for it; run the command again."
        return (
            f"Node {node} has another file as {self.path} (its size or time of change differs); "
            "use one copy for all nodes, or pass --ship-data."
        )


def fault_of(files: Iterable[DataFile]) -> str:
    """Return the first file's fault on this node, in one sentence; empty if there is none."""
    return next((fault for file in files if (fault := file.fault())), "")


class DataOnNodes:
    """Tells nodes where a sweep's files are, and copies them first if that is asked.

    Args:
        ground: What the driver shares with nodes.
        ships: Whether files are copied.
    """

    def __init__(self, ground: Ground, *, ships: bool) -> None:
        self._ground, self._ships = ground, ships
        self._known: dict[Path, DataFile] = {}
        self._of: dict[int, tuple[Inputs, Inputs, tuple[DataFile, ...]]] = {}

    def at_nodes(self, task: Task) -> tuple[Task, tuple[DataFile, ...]]:
        """Return a task as nodes run it, and the files that they must find.

        Args:
            task: As this machine would run it.

        Raises:
            DataError: For a file that cannot be read or copied.
        """
        if id(task.inputs) not in self._of:
            self._of[id(task.inputs)] = (task.inputs, *self._told(task.inputs))
        _, inputs, files = self._of[id(task.inputs)]
        machine, weights = task.machine, task.machine.fid_weights
        if weights is not None:
            files = (*files, self._file(weights))
            machine = replace(machine, fid_weights=self._file(weights).path)
        if self._ships:  # a node's own cache would keep patients' patches
            machine = replace(machine, cache=self._ground.folder(CACHE))
        return replace(task, inputs=inputs, machine=machine), files

    def _told(self, inputs: Inputs) -> tuple[Inputs, tuple[DataFile, ...]]:
        files: dict[Path, DataFile] = {}

        def moved(path: Path) -> Path:
            file = self._file(path)
            files[file.path] = file
            return file.path

        cache = self._ground.folder(CACHE) if self._ships else None
        return _moved(inputs, moved, cache), tuple(files.values())

    def _file(self, path: Path) -> DataFile:
        path = path.absolute()
        if path not in self._known:
            try:
                self._known[path] = self._copied(path) if self._ships else _stamped(path)
            except OSError as error:
                raise DataError(
                    f"{path}: the file cannot be brought to the nodes ({error.strerror}); is the "
                    "disk of the store full?"
                ) from error
        return self._known[path]

    def _copied(self, path: Path) -> DataFile:
        """A copy, named by a number and not by the patient; readers go by the name's end."""
        end = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
        copy, digest, size = (
            self._ground.folder(DATA) / f"{len(self._known)}{end}",
            hashlib.sha256(),
            0,
        )
        copy.touch(mode=0o600)
        with path.open("rb") as source, copy.open("wb") as target:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                size += target.write(chunk)
        return DataFile(copy, size, 0, digest.hexdigest())


def _stamped(path: Path) -> DataFile:
    found = path.stat()
    return DataFile(path, found.st_size, found.st_mtime_ns)


def _moved(inputs: Inputs, moved: Callable[[Path], Path], cache: Path | None) -> Inputs:
    """The inputs with every patient's files in other places."""

    def of(patients: Iterable[Patient]) -> tuple[Patient, ...]:
        return tuple(
            replace(
                patient,
                image=moved(patient.image),
                vessels=moved(patient.vessels),
                brain=None if patient.brain is None else moved(patient.brain),
                cache=cache or patient.cache,
            )
            for patient in patients
        )

    return replace(
        inputs,
        train=of(inputs.train),
        tests={name: of(group) for name, group in inputs.tests.items()},
        validation=of(inputs.validation),
        own=of(inputs.own),
    )
