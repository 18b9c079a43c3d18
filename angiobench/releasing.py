"""Functions for a data set that leaves: making it, and checking one that was received."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.folders import cache_folder, state_folder
from benchmark.data.reading import AS_FOUND, Reading

if TYPE_CHECKING:
    from benchmark.release.making import Released
    from benchmark.release.verdict import Verdict


def release(
    run: str | Path,
    *,
    out: str | Path,
    licence: str,
    data: str | Path | None = None,
    patches: int = 2000,
    store: str | Path = "runs",
    reading: Reading = AS_FOUND,
    consents: str | Path | None = None,
    sign: str | Path | None = None,
    **options: Any,
) -> Released:
    """Make a data set that may leave, with everything needed to sign for it.

    Args:
        run: A finished run's folder, its key, or the name of a generator that has one run; or the
            folder of a deployment's run.
        out: Where the release is put; nothing may be there.
        licence: An SPDX identifier, such as ``CC-BY-4.0``.
        data: The cohort that was fitted on; ``None`` for phantoms.
        patches: How many synthetic patches.
        store: The folder of results.
        reading: How the cohort is read.
        consents: The folder with the consents of a federated run's sites.
        sign: The owner's private Ed25519 key in PEM; ``None`` for no signature.
        options: ``seed``, ``weights``, ``disclose``, ``not_private``, ``per_volume``, as in
            ``bench release``.

    Returns:
        The folder, the statement, the ledger's entry and the key's fingerprint.

    Raises:
        BenchError: With every reason why nothing of the run may leave, or for wrong usage.
    """
    from benchmark.release import making
    from benchmark.release.request import ReleaseRequest
    from benchmark.sweep.executors.task import one_thread

    asked = ReleaseRequest(
        run=str(run),
        out=Path(out),
        store=Path(store),
        licence=licence,
        patches=patches,
        data=None if data is None else Path(data),
        reading=reading,
        consents=None if consents is None else Path(consents),
        sign=None if sign is None else Path(sign),
        jobs=os.cpu_count() or 1,
        **options,
    )
    with one_thread():
        return making.release(
            asked, cache=cache_folder(), state=state_folder(), progress=lambda *_: None
        )


def verify_release(folder: str | Path, *, key: str | Path | None = None) -> Verdict:
    """Check a released data set that you received. Nothing in it is trusted.

    Args:
        folder: The release.
        key: The owner's public Ed25519 key in PEM; ``None`` to take the one in the release.

    Returns:
        What does not hold (``faults``), what could not be checked, and whose signature holds.

    Raises:
        BenchError: If there is no such folder, it is no release, or the key is none.
    """
    from benchmark.release.verification import verify_release as verified

    return verified(Path(folder), key=None if key is None else Path(key))
