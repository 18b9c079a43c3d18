"""What a site has masked, on its disk: no mask ever hides two different vectors.

Two vectors under one mask would give away their difference, and with it the noise. So a site notes
the digest of a vector, durably, before the masked one is returned. It also notes every nonce.

The log belongs to the ledger's state folder. A folder that is restored from an old copy forgets
what was masked since; so a site must never go on from one.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from benchmark.core.errors import UsageError
from benchmark.core.files import locked, sync_folder
from federation.secure_identity import shown

FOLDER, NONCES, LOCK = "secure-sums", "nonces.log", ".lock"
NONCE_BYTES = 16

Line = list[str]


class MaskLog:
    """The nonces and the masked vectors that a site knows of.

    Args:
        state: The site's state folder.
    """

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER
        self._nonces = _Journal(self._folder / NONCES)

    def nonce_of(self, own: str, run: str, entry: str) -> bytes:
        """Return the nonce of a ledger entry: a fresh one, kept for whoever asks again.

        Args:
            own: The site's own fingerprint.
            run: The run's key.
            entry: What tells the entry from all others of this site's ledger.

        Returns:
            16 random bytes.
        """
        with locked(self._folder / LOCK, wait=True):
            for nonce, *what in self._nonces.lines():
                if what == [own, run, entry]:
                    return bytes.fromhex(nonce)
            made = secrets.token_bytes(NONCE_BYTES)
            self._nonces.append([made.hex(), own, run, entry])
            return made

    def note_nonces(self, run: str, nonces: Mapping[str, bytes]) -> None:
        """Note the other sites' nonces of a run.

        Args:
            run: The run's key.
            nonces: By fingerprint.

        Raises:
            UsageError: If one was seen before, as another site's or for another run.
        """
        with locked(self._folder / LOCK, wait=True):
            known = {nonce: what for nonce, *what in self._nonces.lines()}
            for fingerprint, nonce in nonces.items():
                before = known.get(nonce.hex())
                if before is None:
                    known[nonce.hex()] = [fingerprint, run, ""]
                    self._nonces.append([nonce.hex(), fingerprint, run, ""])
                elif before != [fingerprint, run, ""]:
                    raise UsageError(
                        f"The site {shown(fingerprint)} sent a nonce that was used before, for "
                        f"run {before[1]}; a nonce is fresh for each entry, so begin the run anew."
                    )

    def note_vector(self, session: str, number: int, order: str, vector: str) -> None:
        """Note that a vector is about to be masked.

        Args:
            session: The session's digest.
            number: The round.
            order: The digest of the state that the server sent, and of the arrays' shapes.
            vector: The digest of the vector. The same one may be noted again.

        Raises:
            UsageError: If the session masked another vector in this round.
        """
        path = self._folder / f"{session}.log"
        with locked(self._folder / LOCK, wait=True):
            journal, line = _Journal(path), [str(number), order, vector]
            known = {one[0]: one for one in journal.lines()}
            if line[0] not in known:
                journal.append(line)
            elif known[line[0]] != line:
                what = "state" if known[line[0]][1] != order else "vector"
                raise UsageError(
                    f"This site masked another {what} in round {number}, and a mask never hides "
                    "two; begin anew, under a new entry of the ledger."
                )


class _Journal:
    """Lines of texts, each on the disk before ``append`` returns.

    A line that a kill tore is dropped: whoever appended it was never told that it is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def lines(self) -> list[Line]:
        """All whole lines.

        Raises:
            UsageError: If one cannot be read.
        """
        whole = self._whole()
        try:
            found = [json.loads(line) for line in whole.decode().splitlines()]
        except ValueError:
            found = [None]
        if all(isinstance(one, list) and all(isinstance(x, str) for x in one) for one in found):
            return found
        raise UsageError(
            f"{self._path} is damaged, so this site cannot know what it has masked; keep the file, "
            "and begin with a new key and new fingerprints."
        )

    def append(self, line: Line) -> None:
        """Add a line and sync it; sync the folder too when the file is new."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = not self._path.exists()
        end = len(self._whole())
        opened = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.truncate(end)
            file.seek(end)
            file.write((json.dumps(line) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self._path.parent)

    def _whole(self) -> bytes:
        """All up to the last line's end."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return b""
        return content[: content.rfind(b"\n") + 1]
