"""Detection of results whose generator has another version than the installed one.

A plug-in's version is raised when the same settings come to mean something else. So results of two
versions are not ranked against each other. Results of a plug-in that is not installed are ranked.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from benchmark.core.errors import BenchError
from benchmark.core.registry import Registry
from benchmark.results.spec import RunSpec


@lru_cache
def class_of(registry: Registry, name: str) -> Any:
    """Return a plug-in's class, remembered because the registry searches all installed packages.

    Raises:
        BenchError: If no such plug-in is installed.
    """
    return registry.get(name)


def why_unranked(spec: RunSpec) -> str:
    """Say why a cell is not ranked, if another version is installed; empty otherwise."""
    said = spec.generator
    try:
        installed = int(class_of(spec.registry, said.name).version)
    except BenchError:
        return ""
    if said.version == installed:
        return ""
    order = "before" if said.version < installed else "after"
    return f"version {said.version}, {order} the installed version {installed}: not ranked"
