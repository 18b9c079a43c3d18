"""DP-Simulator: a vessel simulator, fitted to one noised mean of a few statistics of the patients.

The simulator and its prior are made without data. A single vector of a few numbers is released
about the patients: the mean over units of bounded statistics. Finding the populations of the prior
that fit it is post-processing, and so is drawing from them. With tens of patients that vector
survives the noise, while gradients of a network do not.

``design`` chooses what to learn. Populations of ``tubes`` and ``trees`` differ in the look of
vessels and scanners. Those of ``labels`` differ only in where a label ends, which a simulator of
every scanner cannot teach. It is measured by two numbers, so there is little noise in them.

Reference: the Gaussian mechanism of Balle and Wang (2018), arXiv:1805.06530; fitting simulators to
private summaries as in Gong (2022), arXiv:1910.13049, there for inference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from safetensors.numpy import load_file, save_file

from benchmark.core.budget import Guarantee, PublicNumbers, Unit
from benchmark.core.errors import NotFittedError
from benchmark.core.federation import Arrays, Schedule
from benchmark.core.generator import RELEASE, FitContext
from benchmark.core.parsers import json_in
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.settings import Later, Settings, Tuned
from benchmark.privacy.mechanisms.kept_releases import KeptReleases
from benchmark.privacy.mechanisms.release import Features, Release
from generators.nets.one_mean import DESIGNS, UNITS, MeanServer, MeanSite
from generators.nets.releasing import ReleasingGenerator
from generators.simulation import families, tilting
from generators.simulation.family import Family
from generators.simulation.populations import (
    Mixture,
    Populations,
    Posterior,
    populations_of,
    tubes_of,
)

EVIDENCE = (RELEASE, "noise", "mean", "prior")
"""What the simulator is fitted to. All but the first are controls that use no patient."""

SAFE_SIDE = {
    "sqrt_fraction": -1.0,
    "thicker_than_2": -1.0,
    "thicker_than_4": -1.0,
    "brightness": 1.0,
    "rim": 1.0,
    "halo": 1.0,
    "median": 1.0,
}
"""The direction, by statistic, in which an error does little harm: to fewer and thinner vessels,
and all brighter than they are. Patches with the opposite error teach a segmenter to mark what is no
vessel (docs/experiments.md)."""


@dataclass(frozen=True, kw_only=True)
class DpSimulatorParams(Settings):
    """Settings of the fit.

    Attributes:
        clip_norm: C, the largest norm of a unit's vector.
        spread: The spread of patches, in standard deviations of what stays unknown, or of the prior
            of ``trees``.
        caution: By how many standard deviations of its noise the mean is moved to the safe side, in
            each number that has one. An estimate whose error costs more on one side is shifted so
            (Zellner 1986, JASA 81, p. 446). The shift uses public constants, so it is
            post-processing.
        populations: How many populations are simulated for the fit.
        patches: How many patches are simulated of each.
        evidence: The ``release``; or a control: its ``noise`` alone, the prior's own ``mean``, or
            nothing, so the ``prior``.
        design: In what populations differ (``families``).
        pixel_mm: A pixel's nominal side in mm; ``tubes`` have none.
    """

    clip_norm: Annotated[
        float, FloatDistribution(0.1, 100.0, log=True), Tuned(FloatDistribution(1.0, 6.0, log=True))
    ] = 3.0
    spread: Annotated[float, FloatDistribution(0.0, 3.0), Tuned(FloatDistribution(0.3, 1.5))] = 1.0
    caution: Annotated[float, FloatDistribution(0.0, 3.0), Tuned(FloatDistribution(0.0, 1.0))] = 0.5
    populations: Annotated[int, IntDistribution(50, 100_000, log=True)] = 1024
    patches: Annotated[int, IntDistribution(2, 10_000, log=True)] = 32
    evidence: Annotated[str, CategoricalDistribution([*EVIDENCE])] = RELEASE
    design: Annotated[str, CategoricalDistribution([*families.DESIGNS]), Later()] = "tubes"
    pixel_mm: Annotated[float, FloatDistribution(0.2, 5.0), Later()] = 0.8

    @property
    def family(self) -> Family:
        """The family of populations that is fitted."""
        return families.family(self.design, self.pixel_mm)


class DpSimulator(ReleasingGenerator):
    """Draws labelled patches from simulated populations that fit a noised mean.

    Guarantees:
        * ``fit`` is (ε, δ)-DP for zeroing out one ``budget.unit``: one Gaussian release.
        * Fitting the simulator and ``sample`` are post-processing and spend nothing.
    """

    name: ClassVar[str] = "dp-simulator"
    version: ClassVar[int] = 3
    is_private: ClassVar[bool] = True
    designs: ClassVar[Mapping[str, str]] = DESIGNS
    summing_designs: ClassVar[frozenset[str]] = frozenset(DESIGNS)
    citation: ClassVar[str] = "This suite; Balle and Wang (2018), arXiv:1805.06530"
    Params: ClassVar[type[Settings]] = DpSimulatorParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": DpSimulatorParams(),
        "standard": DpSimulatorParams(),
        "paper": DpSimulatorParams(),
    }
    smoke: ClassVar[Settings] = DpSimulatorParams(populations=60, patches=4)

    params: DpSimulatorParams

    def __init__(self, params: DpSimulatorParams) -> None:
        self.params = params
        self._known: Mixture | None = None
        self._size = 0

    @property
    def clip_norm(self) -> float:
        """C, the largest norm of a unit's vector."""
        return self.params.clip_norm

    def noised_numbers(self, public: PublicNumbers) -> int:
        """Count the statistics."""
        return len(self.params.family.statistics)

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        """Release one noised mean, and find the populations that fit it."""
        spent = replace(guarantee, seeded=context.noise.seeded)
        kept = KeptReleases(context, spent)
        populations = self._populations(context.seed, patches.size, spent.unit)
        release, features = Release(spent), self._features(populations)
        context.inspect(release)
        mean = kept.release(lambda noise: release.mean(patches, features, noise))
        self._learn(populations, mean, release.deviation, spent.clip_norm, patches.size)
        context.progress(1, 1, {})
        return spent

    def site_side(self, patches: Patches, guarantee: Guarantee, schedule: Schedule) -> MeanSite:
        """Return what releases noised means of the site's patients."""

        def features(seed: int, size: int, unit: Unit) -> Features:
            return self._features(self._populations(seed, size, unit))

        return MeanSite(features, patches, guarantee)

    def server_side(self, size: int, schedule: Schedule, context: FitContext) -> MeanServer:
        """Return what averages the sites' means."""
        return MeanServer(len(self.params.family.statistics), context.seed)

    def close(self, state: Arrays, size: int) -> None:
        """Find the populations that fit the average."""
        populations = self._populations(int(state["seed"][0]), size, UNITS[int(state["unit"][0])])
        deviation = float(np.sqrt(state["variance"][0]))
        clip_norm = self.params.clip_norm if deviation else math.inf
        self._learn(populations, state["mean"], deviation, clip_norm, size)

    def sample(self, n: int, *, seed: int) -> Patches:
        """Draw ``n`` labelled patches.

        Raises:
            NotFittedError: Before ``fit`` or ``load``.
        """
        if self._known is None:
            raise NotFittedError(f"{self.name} must be fitted before it can sample.")
        rng = np.random.default_rng(stream(seed, "samples"))
        p = self.params
        images, masks = self._known.patches(n, p.spread, p.family, self._size, rng)
        return Patches(images=images, masks=masks)

    def save(self, folder: Path) -> None:
        """Write ``settings.json`` and ``weights.safetensors``.

        The weights are the fitted distribution of the simulator's parameters.

        Raises:
            NotFittedError: Before ``fit`` or ``load``.
        """
        if self._known is None:
            raise NotFittedError(f"{self.name} must be fitted before it can be saved.")
        settings = {"size": self._size, "params": self.params.as_dict()}
        (folder / "settings.json").write_text(json.dumps(settings, indent=1))
        save_file(
            {k: np.ascontiguousarray(a) for k, a in self._known._asdict().items()},
            folder / "weights.safetensors",
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The generator that ``save`` wrote."""
        settings = json_in(folder / "settings.json")
        made = cls(DpSimulatorParams(**settings["params"]))
        made._size = settings["size"]
        weights = load_file(folder / "weights.safetensors")
        made._known = tilting.Tilted(**weights) if "tilt" in weights else Posterior(**weights)
        return made

    def _populations(self, seed: int, size: int, unit: Unit) -> Populations:
        p = self.params
        if p.design == "trees":
            return tilting.populations_of(p.pixel_mm, p.populations, p.patches, size, unit)
        if p.design == "labels":
            return populations_of(p.design, p.pixel_mm, p.populations, p.patches, size, unit)
        return tubes_of(seed, p.populations, p.patches, size, unit)

    def _features(self, populations: Populations) -> Features:
        """The patches' statistics; in a control the prior's own, which are zero."""
        if self.params.evidence == RELEASE:
            return populations.features
        return lambda patches: np.zeros((len(patches), len(self.params.family.statistics)))

    def _learn(
        self,
        populations: Populations,
        mean: NDArray[np.float64],
        deviation: float,
        clip_norm: float,
        size: int,
    ) -> None:
        self._size = size
        if self.params.evidence == "prior":
            self._known = populations.prior()
            return
        if self.params.evidence == "mean":
            mean = np.zeros_like(mean)
        safe = np.array([SAFE_SIDE.get(name, 0.0) for name in self.params.family.statistics])
        mean = mean + self.params.caution * deviation * safe
        self._known = populations.fitted(
            mean, clip_norm=clip_norm, deviation=deviation, spread=self.params.spread
        )
