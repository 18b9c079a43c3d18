"""All settings of a plug-in in a spec: those that it leaves out at their default included.

A setting that was added later is left out where it has the value of before, so that earlier cells
keep their keys. A preset may have another value by now, so whoever compares settings needs all.
"""

from __future__ import annotations

from typing import Any

from benchmark.core.errors import UsageError
from benchmark.core.registry import Registry
from benchmark.results.spec_parts import PlugIn


def all_settings(registry: Registry, plug_in: PlugIn) -> dict[str, Any]:
    """Return a plug-in's settings by name.

    Args:
        registry: Where the plug-in is looked up. If it is not installed, the spec's settings are
            returned.
        plug_in: The plug-in of a spec.
    """
    try:
        kind = registry.get(plug_in.name)
    except UsageError:
        return dict(plug_in.settings)
    return dict(kind.Params.completed(plug_in.settings))
