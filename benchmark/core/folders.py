"""The folders in which the suite keeps its caches and its state.

A cache folder holds what can be made again. A state folder holds what must stay or must be trusted:
the ledger, how far fits have counted their steps, this machine's secret, and which file belongs to
which patient.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from benchmark.core.errors import UsageError

LEDGER, COUNTED = "ledger.db", "counted"
SECRET_CHARACTERS = 64


def cache_folder() -> Path:
    """Return the folder for what can be made again.

    It is ``$ANGIOBENCH_CACHE`` if that is set, otherwise ``angiobench`` in the user's cache folder
    (``$XDG_CACHE_HOME`` or ``~/.cache``).
    """
    named = os.environ.get("ANGIOBENCH_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "angiobench"


def state_folder() -> Path:
    """Return the folder for what must stay, such as the ledger.

    It is ``$ANGIOBENCH_STATE`` if that is set, otherwise ``angiobench`` in the user's state folder
    (``$XDG_STATE_HOME`` or ``~/.local/state``).
    """
    named = os.environ.get("ANGIOBENCH_STATE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "angiobench"


def machine_secret(state: Path) -> bytes:
    """Read the secret key of this machine, and make it on first use.

    It keys the digests of private data and the ledger's chain. Only its owner may read it.

    Args:
        state: The state folder.

    Returns:
        The key, 64 characters as bytes.

    Raises:
        UsageError: If the key is lost or damaged. A new key would hide what patients have already
            spent.
    """
    file = state / "secret"
    if not file.exists():
        if os.path.lexists(state / LEDGER):
            raise UsageError(
                f"{file} is gone, and without it the ledger beside it knows no patient; put it "
                f"back from a copy, or move {LEDGER} away to begin at 0."
            )
        _make_secret(file)
    secret = file.read_bytes()
    if len(secret) < SECRET_CHARACTERS:
        raise UsageError(
            f"{file} has {len(secret)} characters, expected {SECRET_CHARACTERS}; put it back from "
            "a copy."
        )
    return secret


def _make_secret(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = file.with_name(f".secret.{os.getpid()}")
    temporary.touch(mode=0o600)
    with temporary.open("w") as opened:
        opened.write(secrets.token_hex(SECRET_CHARACTERS // 2))
        opened.flush()
        os.fsync(opened.fileno())
    with contextlib.suppress(FileExistsError):  # another process was first
        os.link(temporary, file)
    temporary.unlink()


def check_places(cache: Path, state: Path) -> None:
    """Refuse a cache or a state folder that cannot be written to.

    Args:
        cache: Usually ``cache_folder()``.
        state: Usually ``state_folder()``.

    Raises:
        UsageError: Naming the variables that move both.
    """
    for folder in (cache, state):
        try:
            check_writable(folder)
        except UsageError as error:
            raise UsageError(
                f"{str(error).rstrip('.')}, by ANGIOBENCH_CACHE for what can be made again and "
                "ANGIOBENCH_STATE for the ledger."
            ) from error


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written to. Nothing is created.

    Args:
        folder: The folder, which may not exist yet.

    Raises:
        UsageError: If the nearest existing parent is a file or is not writable; it is named.
    """
    there = next(
        place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()
    )
    if not there.is_dir():
        raise UsageError(f"{folder}: {there} is a file, so nothing can be written there.")
    try:
        with tempfile.TemporaryFile(dir=there):  # a system's own folders say that one may
            pass
    except OSError as error:
        raise UsageError(
            f"{folder}: {there} cannot be written to ({error.strerror}); name another folder."
        ) from error
