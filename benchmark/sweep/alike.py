"""The plans of cells that differ in their seed alone: made once, as no seed decides a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmark.core.budget import Guarantee
from benchmark.core.registry import segmenters
from benchmark.privacy.ledger.ledger import Spending
from benchmark.results.spec import RunSpec
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.payment import spendings_of
from benchmark.sweep.plan_cells import guarantee_of
from benchmark.sweep.request import make


class PlansOfSeeds:
    """Plans and spendings of a sweep's cells.

    Args:
        inputs: The sweep's data.
        cache: The cache folder, where plans are remembered.
    """

    def __init__(self, inputs: Inputs, cache: Path) -> None:
        self._inputs, self._cache = inputs, cache
        self._plans: dict[str, Guarantee] = {}
        self._spendings: dict[str, list[Spending]] = {}

    def guarantee(self, spec: RunSpec) -> Guarantee:
        """Plan a cell's fit, and make its segmenter, which may refuse its settings.

        Raises:
            Exception: Whatever a plug-in raises.
        """
        key = replace(spec, seed=0).key
        if key not in self._plans:
            plan = guarantee_of(spec, self._inputs, self._cache)
            make(segmenters, spec.segmenter)
            self._plans[key] = plan
        return self._plans[key]

    def spendings(self, spec: RunSpec, guarantee: Guarantee) -> list[Spending]:
        """Return the spendings of a cell's fit, as ``spendings_of`` does."""
        key = replace(spec, seed=0).key
        if key not in self._spendings:
            found = spendings_of(spec, guarantee, self._inputs, self._cache)
            self._spendings[key] = found
        return [replace(one, run=spec.key) for one in self._spendings[key]]
