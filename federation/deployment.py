"""The post of a site that Flower started, in a deployment or in Flower's own simulation.

Whoever starts a deployed site's SuperNode tells it where its patients are; the server does not. In
Flower's simulation all sites are on one machine, so the run's configuration names the cohort.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from flwr.app import Context

from benchmark.core.addresses import folder_name
from benchmark.core.errors import UsageError
from benchmark.core.folders import cache_folder, machine_secret, state_folder
from benchmark.core.identity import Identity
from benchmark.data.cohort import Patient
from benchmark.data.digest import Digests
from benchmark.data.layouts import read_cohort
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.privacy.mechanisms.shared_noise import Sharing
from federation.departure import DEFAULT_SLOT_S
from federation.partition import Partition, check_disjoint
from federation.post import Post
from federation.secure_site import Agreed, fingerprints_of, simulated, simulated_states

NAME = re.compile(r"[^\W_][\w .-]{0,63}")
KEYS = ("site", "partition-id", "data")
"""What ``--node-config`` must have. It may also have the folders ``state`` and ``cache``, the
``slot`` of its answers (seconds), ``phantom=true`` and ``seeded-noise=true``; and, for secure sums,
``secure-sum`` (t) with the fingerprints ``trusted``."""

CURIOUS = "secure-sum"
NO_SUMS = -1
"""The value of ``secure-sum`` for local noise."""


def post_of(context: Context, run: str) -> Post:
    """Return the site's post in one run.

    Args:
        context: Flower's context of the node.
        run: The run's key; empty before one is known.

    Raises:
        UsageError: If something is missing, or the site's own rules forbid the run.
        DataError: If the cohort cannot be used.
    """
    return _simulated(context, run) if _in_a_simulation() else _deployed(context, run)


def slot_of(context: Context) -> float:
    """Return the site's slot in seconds.

    It is 0 in a simulation, and for phantoms unless one is named. This never raises: ``post_of``
    refuses a wrong slot, and that answer leaves by the default one.
    """
    config = context.node_config
    if _in_a_simulation():
        return 0.0
    slot = config.get("slot", 0.0 if config.get("phantom") is True else DEFAULT_SLOT_S)
    return float(slot) if _is_slot(slot) else DEFAULT_SLOT_S


def _is_slot(value: object) -> bool:
    """Whether it is a number of seconds; 0 is for phantoms."""
    return type(value) in (int, float) and 0 <= value < math.inf  # type: ignore[operator]


def _in_a_simulation() -> bool:
    """Whether Flower runs this site in a Ray worker; a server cannot bring that about."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _deployed(context: Context, run: str) -> Post:
    config = context.node_config
    missing = [key for key in KEYS if key not in config]
    if missing:
        raise UsageError(
            f"--node-config lacks {', '.join(missing)}; expected "
            """'site="NAME" partition-id=0 data="FOLDER"'."""
        )
    state = _absolute(config, "state", state_folder())
    cache = _absolute(config, "cache", cache_folder())
    if not _flag(config, "phantom"):
        _check_cap(state)
    index, name = config["partition-id"], str(config["site"])
    if type(index) is not int or index < 0:
        raise UsageError(f"Expected partition-id to be a whole number from 0, got {index!r}.")
    _check_slot(config)
    if not NAME.fullmatch(name):
        raise UsageError(
            f"site={name!r}: expected up to 64 letters, digits, spaces, dots and dashes, the first "
            "a letter or digit; it names a folder too."
        )
    patients = _fitted(_absolute(config, "data"), cache)
    post = _post(index, name, patients, run, state, cache, config)
    return replace(post, remote=True, agreed=_agreed(config, state))


def post_at(name: str, data: Path, run: str, *, state: Path, cache: Path) -> Post:
    """Return the post of a site with patients, for what it does by itself after a run.

    Args:
        name: The site's name.
        data: Its cohort's folder.
        run: The run's key.
        state: The folder of its ledger.
        cache: The folder of what can be made again.

    Raises:
        DataError: If the cohort cannot be used.
    """
    return _post(0, name, _fitted(data, cache), run, state, cache, {})


def _fitted(data: Path, cache: Path) -> tuple[Patient, ...]:
    """The patients whom a site is fitted on."""
    return tuple(replace(patient, cache=cache) for patient in read_cohort(data).split("train"))


def _simulated(context: Context, run: str) -> Post:
    config, node = context.run_config, context.node_config
    cohort = read_cohort(_absolute(config, "data")).split("train")
    partition = Partition(text=str(config["partition"]), sites=int(node["num-partitions"]))
    sites = partition.split(cohort)
    index, state, cache = int(node["partition-id"]), state_folder(), cache_folder()
    digests = Digests(state, machine_secret(state))
    phantom = _flag(config, "phantom")
    known = {name: _known(mine, digests, phantom=phantom) for name, mine in sites.items()}
    check_disjoint({name: site.voxels for name, site in known.items()})
    name, patients = list(sites.items())[index]
    states = simulated_states(state, run, [*sites])
    agreed = simulated(states, curious_of(config)) if run else [None] * len(sites)
    post = _post(index, name, patients, run, state, cache, config)
    return replace(post, agreed=agreed[index])


def _post(
    index: int,
    name: str,
    patients: tuple[Patient, ...],
    run: str,
    state: Path,
    cache: Path,
    config: Mapping[str, object],
) -> Post:
    phantom, seeded = _flag(config, "phantom"), _flag(config, "seeded-noise")
    if seeded and not phantom:
        raise UsageError(
            "seeded-noise=true is for phantoms: whoever knows the seed undoes the noise of "
            "patients; leave it out, or say phantom=true if they are none."
        )
    digests = Digests(state, machine_secret(state))
    known = _known(patients, digests, phantom=phantom)
    there = [patient for patient in known.patients if patient]
    digest, _ = digests.of(there, private=not phantom)
    gaps = [number for number, patient in enumerate(known.patients) if patient is None]
    return Post(
        index=index,
        name=name,
        patients=known.patients,
        voxels=known.voxels,
        data=f"{digest} without {gaps}" if gaps else digest,
        private=not phantom,
        folder=state / "federation" / folder_name(name) / folder_name(run),
        cache=cache,
        state=state,
        seeded_allowed=seeded,
        faults=known.faults,
    )


class Known(NamedTuple):
    """The patients that a site lists, with what their files hold.

    Attributes:
        patients: All of them; ``None`` for one whose files cannot be used.
        voxels: Keyed digests of the others' voxels.
        faults: Why files cannot be used.
    """

    patients: tuple[Patient | None, ...]
    voxels: tuple[str, ...]
    faults: tuple[str, ...] = ()


def _known(listed: Sequence[Patient], digests: Digests, *, phantom: bool) -> Known:
    """Phantoms must all be usable; of patients, what one's files hold must not stop the site.

    Of a volume that is listed more than once no copy is used: were one kept, blanking it would
    bring in the next, and so change what two patients contribute.
    """
    if phantom:
        admitted = digests.admit(listed)
        return Known(admitted, digests.identities(admitted, private=False))
    voxels, images, faults = dict[Patient, Identity](), dict[Patient, str](), list[str]()
    for patient in listed:
        try:
            (voxels[patient],) = digests.identities((patient,), private=True)
            images[patient] = digests.likeness(patient).unordered
        except Exception as error:  # whatever reading one patient's files ends in
            faults.append(f"{patient.id} has no patch: {error}")
    copies = Counter(images.values())
    for patient in [one for one, image in images.items() if copies[image] > 1]:
        faults.append(f"{patient.id} has no patch: another listed patient has the same volume.")
        del voxels[patient]
    return Known(
        tuple(patient if patient in voxels else None for patient in listed),
        tuple(voxels.values()),
        tuple(faults),
    )


def curious_of(config: Mapping[str, object]) -> int | None:
    """Read ``secure-sum`` of a configuration.

    Args:
        config: The server's, or a site's.

    Returns:
        t; ``None`` for local noise.

    Raises:
        UsageError: If it is no number of curious sites.
    """
    said = config.get(CURIOUS, NO_SUMS)
    if type(said) is not int or said < NO_SUMS:
        raise UsageError(
            f"Expected {CURIOUS} to be t, a whole number of curious sites from 0, or {NO_SUMS} for "
            f"local noise; got {said!r}."
        )
    return None if said == NO_SUMS else said


def _agreed(config: Mapping[str, object], state: Path) -> Agreed | None:
    """What the site's people agreed on, by its own configuration."""
    curious, trusted = curious_of(config), config.get("trusted")
    if curious is None and trusted is None:
        return None
    if curious is None or trusted is None:
        raise UsageError(
            f"--node-config needs {CURIOUS} and trusted together: how many sites may be curious, "
            "and the fingerprints of all others, as `bench fingerprint` prints them there."
        )
    agreed = Agreed(curious=curious, trusted=fingerprints_of(str(trusted)), folder=state)
    Sharing(sites=agreed.sites, curious=curious)
    return agreed


def _flag(config: Mapping[str, object], key: str) -> bool:
    value = config.get(key, False)
    if not isinstance(value, bool):
        raise UsageError(f"Expected {key} to be true or false, without quotes; got {value!r}.")
    return value


def _check_slot(config: Mapping[str, object]) -> None:
    slot, phantom = config.get("slot", DEFAULT_SLOT_S), _flag(config, "phantom")
    if not (_is_slot(slot) and (slot or phantom)):
        raise UsageError(
            f"Expected slot to be a number of seconds above 0, got {slot!r}; a site answers at "
            "multiples of it, so that times tell nothing about patients."
        )


def _absolute(config: Mapping[str, object], key: str, default: Path | None = None) -> Path:
    path = Path(str(config.get(key) or default or "")).expanduser()
    if not path.is_absolute():
        raise UsageError(
            f"{key}={str(path)!r}: expected an absolute folder, as Flower runs the app elsewhere."
        )
    return path


def _check_cap(state: Path) -> None:
    """A site with patients says itself how much may be spent: no server can be asked that."""
    if math.isinf(ledger_in(state).cap()):
        raise UsageError(
            f"The ledger in {state} has no cap, so a server could spend any ε on these patients; "
            "say how much a patient may pay: `bench ledger cap 8`."
        )
