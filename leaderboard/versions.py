"""Which results are of another version of their generator than the installed one.

A plug-in's version is raised when the same settings come to mean something else: results of two
versions are not ranked against each other. What is not installed here is of no other version.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from benchmark.core.errors import BenchError
from benchmark.core.registry import Registry
from benchmark.results.spec import RunSpec


@lru_cache
def class_of(registry: Registry, name: str) -> Any:
    """The plug-in's class, remembered, as the registry looks through all that is installed.

    Raises:
        BenchError: If no such plug-in is installed.
    """
    return registry.get(name)


def why_unranked(spec: RunSpec) -> str:
    """Why a cell is ranked against none of the present version; empty if it is of that one."""
    said = spec.generator
    try:
        installed = int(class_of(spec.registry, said.name).version)
    except BenchError:
        return ""
    if said.version == installed:
        return ""
    order = "before" if said.version < installed else "after"
    return f"version {said.version}, {order} the installed version {installed}: not ranked"
