"""Plans that were made before: calibrating noise takes seconds, and its answer never changes.

A plan is kept under everything that decides it, the source of the accounting included, so that no ε
outlives a change of the rules it was computed by.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import benchmark.privacy
from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.files import write_json
from benchmark.core.generator import Generator
from benchmark.core.segmenter import PrivateSegmenter
from benchmark.sweep.spec import PlugIn, canonical

LIBRARIES = ("opacus", "dp-accounting", "numpy", "scipy")


def planned(
    plug_in: PlugIn,
    generator: Generator | PrivateSegmenter,
    public: PublicNumbers,
    budget: Budget,
    cache: Path,
    plan: Callable[[], Guarantee] | None = None,
) -> Guarantee:
    """What ``plan`` answers, or another plan that its settings decide, remembered in the cache.

    Raises:
        UsageError: As the plan does.
    """
    decides = {
        "plug_in": asdict(plug_in),
        "public": asdict(public),
        "budget": asdict(budget),
        "rules": _rules(type(generator)),
    }
    key = hashlib.sha256(canonical(decides).encode()).hexdigest()[:24]
    file = cache / "plans" / f"{key}.json"
    kept = _read(file, key)
    if kept is not None:
        return kept
    made = plan() if plan else generator.plan(public, budget)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"plan": made.as_dict(), "digest": _digest(key, made)})
    return made


def _read(file: Path, key: str) -> Guarantee | None:
    """A kept plan, as it was written under this key."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        kept = Guarantee.from_dict(said["plan"])
        return kept if said["digest"] == _digest(key, kept) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _digest(key: str, plan: Guarantee) -> str:
    return hashlib.sha256(f"{key} {canonical(plan.as_dict())}".encode()).hexdigest()


@lru_cache
def _rules(kind: type) -> str:
    """A digest of the accounting's source, of the plug-in's, and of the libraries' versions."""
    ours = [file for folder in benchmark.privacy.__path__ for file in Path(folder).glob("*.py")]
    theirs = [Path(inspect.getfile(base)) for base in kind.__mro__[:-1] if base.__module__ != "abc"]
    digest = hashlib.sha256(",".join(version(name) for name in LIBRARIES).encode())
    for file in sorted({*ours, *theirs}):
        digest.update(file.read_bytes())
    return digest.hexdigest()
