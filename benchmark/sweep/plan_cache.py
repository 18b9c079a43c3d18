"""A cache of plans, because calibrating noise takes seconds and always has the same result.

A plan is kept under everything that decides it, including the source text of the accounting. So no
ε outlives a change of the rules that it was computed by. The digest of a kept plan is not secret,
so a plan is checked before it is used. Its ε are recomputed from its mechanism's numbers.
Everything but the noise is compared with the plan of the same settings without privacy, which is
quick to make. A plan that fails is made anew.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import benchmark.privacy
from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.core.files import write_json
from benchmark.core.generator import Generator
from benchmark.core.mixture import Mixture
from benchmark.core.parsers import json_in
from benchmark.core.segmenter import FreeSegmenter, PrivateSegmenter
from benchmark.privacy.mechanisms.poisson_gaussian import provable_epsilon, recomputed
from benchmark.results.spec import canonical
from benchmark.results.spec_parts import PlugIn

LIBRARIES = ("opacus", "dp-accounting", "numpy", "scipy")
EPSILONS = ("epsilon", "epsilon_patch", "epsilon_patient")
OF_NOISE = {
    *EPSILONS,
    *("target_epsilon", "noise_multiplier", "clip_norm", "accountant"),
    *("grid", "sensitivity", "distance"),
}
"""The fields in which a private plan differs from that of the same fit without privacy."""

LEAST_OF_TARGET, TOLERANCE = 0.97, 1e-6
"""The least share of the target that calibrated noise spends, and how far libraries may differ by
rounding."""


def planned(
    plug_in: PlugIn,
    generator: Generator | PrivateSegmenter | FreeSegmenter,
    public: PublicNumbers,
    budget: Budget,
    cache: Path,
    plan: Callable[[Budget], Guarantee] | None = None,
) -> Guarantee:
    """Return the plan of a fit. A plan with calibrated noise is remembered in the cache.

    Args:
        plug_in: The generator or segmenter with all settings that decide the plan.
        generator: An instance of it.
        public: The public numbers.
        budget: What may be spent.
        cache: The cache folder.
        plan: Plans for a budget; the generator's own ``plan`` if ``None``.

    Raises:
        UsageError: As the plan does.
    """
    make = plan or (lambda asked: generator.plan(public, asked))
    if math.isinf(budget.epsilon) or not generator.is_private:
        return make(budget)  # nothing is calibrated
    decides = {
        "plug_in": asdict(plug_in),
        "public": asdict(public),
        "budget": asdict(budget),
        "rules": _rules(type(generator)),
    }
    key = hashlib.sha256(canonical(decides).encode()).hexdigest()[:24]
    file = cache / "plans" / f"{key}.json"
    kept = _read(file, key)
    if kept is not None and _is_what_is_asked(kept, generator, budget, make):
        return kept
    made = make(budget)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"plan": made.as_dict(), "digest": _digest(key, made)})
    return made


def _read(file: Path, key: str) -> Guarantee | None:
    """A kept plan, as it was written under this key."""
    try:
        said = json_in(file)
        kept = Guarantee.from_dict(said["plan"])
        return kept if said["digest"] == _digest(key, kept) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _is_what_is_asked(
    kept: Guarantee,
    generator: Generator | PrivateSegmenter | FreeSegmenter,
    budget: Budget,
    make: Callable[[Budget], Guarantee],
) -> bool:
    """Whether a kept plan is that of these settings and this budget, and gives what it claims."""
    try:
        plain = make(replace(budget, epsilon=math.inf))
        public = {field.name for field in fields(kept)} - OF_NOISE
        clip_norm = getattr(getattr(generator, "params", None), "clip_norm", kept.clip_norm)
        return (
            all(getattr(kept, name) == getattr(plain, name) for name in public)
            and (kept.target_epsilon, kept.clip_norm) == (budget.epsilon, clip_norm)
            and _gives_what_it_claims(kept)
        )
    except (UsageError, TypeError, ValueError, ArithmeticError):  # a kept file may hold anything
        return False


def _gives_what_it_claims(kept: Guarantee) -> bool:
    """Whether its mechanism has the ε that it says, all but all of the target and no more."""
    again, target = recomputed_once(kept), kept.target_epsilon
    claimed = {name: getattr(kept, name) for name in EPSILONS}
    return (
        LEAST_OF_TARGET * min(target, provable_epsilon(kept)) <= again.epsilon <= target
        and kept.grid > 0
        and all(same(said, getattr(again, name)) for name, said in claimed.items())
        and replace(again, **claimed) == kept
    )


@lru_cache(maxsize=4096)
def recomputed_once(claimed: Guarantee) -> Guarantee:
    """Return ``recomputed`` of a guarantee, and remember the result in this process.

    Seeds and settings share plans, and accountants take seconds.

    Raises:
        ValueError: As that does.
    """
    return recomputed(claimed)


def same(claimed: float | None, found: float | None) -> bool:
    """Tell whether two numbers are the same up to rounding; ``None`` equals only itself."""
    if claimed is None or found is None:
        return claimed is found
    return claimed == found or math.isclose(claimed, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _digest(key: str, plan: Guarantee) -> str:
    return hashlib.sha256(f"{key} {canonical(plan.as_dict())}".encode()).hexdigest()


@lru_cache
def _rules(kind: type) -> str:
    """A digest of the accounting's source, of the plug-in's, and of the libraries' versions."""
    ours = [file for folder in benchmark.privacy.__path__ for file in Path(folder).rglob("*.py")]
    bases = [*kind.__mro__, *(kind.alone.__mro__ if issubclass(kind, Mixture) else ())]
    theirs = [Path(inspect.getfile(b)) for b in bases if b.__module__ not in ("abc", "builtins")]
    digest = hashlib.sha256(",".join(version(name) for name in LIBRARIES).encode())
    for file in sorted({*ours, *theirs}):
        digest.update(file.read_bytes())
    return digest.hexdigest()
