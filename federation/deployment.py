"""Where a deployed site works, from what its SuperNode was started with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flwr.app import Context

from benchmark.core.errors import UsageError
from benchmark.data.digest import Digests
from benchmark.data.folders import cache_folder, machine_secret, state_folder
from benchmark.data.layouts import read_cohort
from federation.sites import Post

KEYS = ("site", "partition-id", "data")
"""What ``--node-config`` must have; ``state``, ``cache`` and ``seeded-noise`` it may have."""


def post_of(context: Context, run: str) -> Post:
    """The post that a node's configuration describes, in one run.

    Raises:
        UsageError: If something is missing.
        DataError: If the cohort cannot be used.
    """
    config = context.node_config
    missing = [key for key in KEYS if key not in config]
    if missing:
        raise UsageError(
            f"--node-config lacks {', '.join(missing)}; expected "
            """'site="NAME" partition-id=0 data="FOLDER"'."""
        )
    state = _folder(config, "state", state_folder())
    cache = _folder(config, "cache", cache_folder())
    digests = Digests(cache, machine_secret(state))
    patients = digests.admit(read_cohort(Path(str(config["data"]))).split("train"))
    phantom = bool(config.get("phantom", False))
    digest, _ = digests.of(patients, private=not phantom)
    return Post(
        index=int(config["partition-id"]),
        name=str(config["site"]),
        patients=patients,
        voxels=digests.of_voxels(patients),
        data=digest,
        private=not phantom,
        folder=state / "federation" / str(config["site"]) / run,
        cache=cache,
        state=state,
        seeded_allowed=bool(config.get("seeded-noise", False)),
    )


def _folder(config: Mapping[str, object], key: str, default: Path) -> Path:
    return Path(str(config[key])).expanduser() if key in config else default
