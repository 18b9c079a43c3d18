"""A store of many finished cells: a few that really ran, and copies of them under other seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.core.files import plain
from benchmark.results.spec import RunSpec, spec_from
from benchmark.results.store import RESULT, SEAL, SPEC, Store, digest_of, read_result

GENERATORS, EPSILONS = "real,dp-simulator,dp-merf", "1,2,5,7.4,10"
SMALL = [
    *("--set", "protocol.patches_per_patient=40"),
    *("--set", "protocol.samples=64"),
    *("--set", "protocol.fid_n=16"),
    *("--set", "dp-merf.steps=20"),
    *("--segmenter", "frangi"),
]
SWEEP = ["run", "--generator", GENERATORS, "--epsilon", EPSILONS, "--data", "cohort", *SMALL]
SWEEP += ["--noise", "seeded"]


def copied(store: Path, seeds: Sequence[int]) -> list[RunSpec]:
    """Copies every finished cell of seed 0 under other seeds; each copy is a result by itself.

    Args:
        store: The folder of results.
        seeds: The seeds of the copies.

    Returns:
        The specs of the copies.
    """
    made = []
    for file in sorted(store.glob(f"*/*/{SPEC}")):
        first = spec_from(json.loads(file.read_text(encoding="utf-8")))
        if first.is_direct:
            continue
        said = json.loads((file.parent / RESULT).read_text(encoding="utf-8"))
        for seed in seeds:
            made.append(_copy(Store(store), replace(first, seed=seed), said))
    found = read_result(Store(store).folder(made[-1]))
    assert found is not None
    assert found.spec == made[-1]
    return made


def _copy(store: Store, spec: RunSpec, said: dict[str, object]) -> RunSpec:
    folder = store.folder(spec)
    folder.mkdir(parents=True, exist_ok=True)
    told = plain(spec.as_dict())
    of_copy = {**said, "run_key": spec.key, "spec": told}
    of_copy.pop(SEAL, None)
    sealed = {**of_copy, SEAL: {"result": digest_of(of_copy), "files": {}}}
    (folder / SPEC).write_text(json.dumps(told), encoding="utf-8")
    (folder / RESULT).write_text(json.dumps(sealed), encoding="utf-8")
    return spec
