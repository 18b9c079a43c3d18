"""AngioBench from Python: run a sweep, read its results, write a plug-in.

    import angiobench

    results = angiobench.run(["dp-simulator"], epsilon=[1, 2], unit="patient")
    results.to_frame()
    results.plot()
    print(results.best(epsilon=2))

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from angiobench.packages import check_packages

if TYPE_CHECKING:
    from angiobench.examining import audit, inspect, plan
    from angiobench.releasing import release, verify_release
    from angiobench.results import Answer, Results, load_results
    from angiobench.running import forecast, run
    from angiobench.sweep import Sweep
    from benchmark.core.budget import Budget, Guarantee, PublicNumbers
    from benchmark.core.errors import BenchError, DataError, PlugInError, UsageError
    from benchmark.core.federation import FederatedGenerator, Schedule
    from benchmark.core.generator import FitContext, Generator
    from benchmark.core.patches import Patches
    from benchmark.core.segmenter import PrivateSegmenter, Segmenter, TrainContext
    from benchmark.core.settings import Settings, Tuned

_HOMES = {
    "angiobench.examining": ("audit", "inspect", "plan"),
    "angiobench.releasing": ("release", "verify_release"),
    "angiobench.results": ("Answer", "Results", "load_results"),
    "angiobench.running": ("forecast", "run"),
    "angiobench.sweep": ("Sweep",),
    "benchmark.core.budget": ("Budget", "Guarantee", "PublicNumbers"),
    "benchmark.core.errors": ("BenchError", "DataError", "PlugInError", "UsageError"),
    "benchmark.core.federation": ("FederatedGenerator", "Schedule"),
    "benchmark.core.generator": ("FitContext", "Generator"),
    "benchmark.core.patches": ("Patches",),
    "benchmark.core.segmenter": ("PrivateSegmenter", "Segmenter", "TrainContext"),
    "benchmark.core.settings": ("Settings", "Tuned"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Answer",
    "BenchError",
    "Budget",
    "DataError",
    "FederatedGenerator",
    "FitContext",
    "Generator",
    "Guarantee",
    "Patches",
    "PlugInError",
    "PrivateSegmenter",
    "PublicNumbers",
    "Results",
    "Schedule",
    "Segmenter",
    "Settings",
    "Sweep",
    "TrainContext",
    "Tuned",
    "UsageError",
    "audit",
    "forecast",
    "inspect",
    "load_results",
    "plan",
    "release",
    "run",
    "verify_release",
]


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used."""
    if name not in _HOME_OF:
        raise AttributeError(f"angiobench has no {name!r}; it has: {', '.join(__all__)}.")
    check_packages()
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__]
