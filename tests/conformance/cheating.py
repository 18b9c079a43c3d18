"""What tests of cheating plug-ins share."""

from __future__ import annotations

from typing import Any

import pytest

import generators.checks
import segmenters.checks
from benchmark.core.segmenter import Segmenter
from benchmark.privacy import conformance

UNITS = pytest.mark.parametrize("unit", ["patch", "patient"])


def law_on(law: str, kind: type[Any], unit: str) -> None:
    """Holds one law against all that a plug-in has for one unit."""
    checks = segmenters.checks if issubclass(kind, Segmenter) else generators.checks
    for subject in checks.subjects(kind):
        if subject.guarantee.unit == unit:
            conformance.LAWS[law](subject)


class Through:
    """A noise source that hands everything on to another."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
