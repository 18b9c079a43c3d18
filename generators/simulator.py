"""The lower bookend: simulated arteries as a scanner might show them, without any data.

Trees of arteries are grown in millimetres by Murray's law with published calibres (``trees.py``),
and cut into axial patches (``blocks.py``, ``raster.py``). They are shown with tissue, contrast,
blur, noise and windows drawn anew for each patch (``appearance.py``). Ranges are published ones or
wide guesses; none was chosen by a score. What a segmenter learns from them costs no privacy.

Reference: domain randomisation after Billot et al. (2023), SynthSeg, Medical Image Analysis 86,
102789; simulated vessels as training sets in VesselSim (arXiv:2605.26277) and VessShape
(arXiv:2510.27646).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import NotFittedError
from benchmark.core.generator import FitContext, Generator
from benchmark.core.parsers import json_in
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.settings import Settings
from generators.simulation import appearance, arcs, blocks
from generators.simulation.labels import levels

DESIGNS = ("trees", "arcs")
BLOCKS = 20
"""How many blocks of brain are simulated at a time and cut into patches."""


@dataclass(frozen=True, kw_only=True)
class SimulatorParams(Settings):
    """Settings of the drawn patches.

    Attributes:
        pixel_mm: A pixel's nominal side in mm; each patch's differs from it by up to a quarter.
        design: Branching ``trees``, or version 1's ``arcs``, for which a pixel has no millimetres.
    """

    pixel_mm: Annotated[float, FloatDistribution(0.2, 5.0)] = 0.8
    design: Annotated[str, CategoricalDistribution([*DESIGNS])] = "trees"


class Simulator(Generator):
    """Draws labelled patches of simulated arteries, which do not depend on any patient.

    Set ``pixel_mm`` to the side of the patches' pixels, because arteries have millimetres.
    ``design=arcs`` draws what version 1 drew.

    Guarantees:
        * ε = 0: nothing here depends on any patient.
    """

    name: ClassVar[str] = "simulator"
    version: ClassVar[int] = 2
    is_private: ClassVar[bool] = True
    needs_data: ClassVar[bool] = False
    citation: ClassVar[str] = "This suite; after Billot et al. (2023), SynthSeg"
    Params: ClassVar[type[Settings]] = SimulatorParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": SimulatorParams(),
        "standard": SimulatorParams(pixel_mm=0.6),
        "paper": SimulatorParams(pixel_mm=0.4),
    }
    smoke: ClassVar[Settings] = SimulatorParams()

    def __init__(self, params: SimulatorParams) -> None:
        self.params = params
        self._size: int | None = None

    @classmethod
    def of_size(cls, params: SimulatorParams, size: int) -> Self:
        """Return a simulator that is ready to draw patches of a side; there is nothing to fit."""
        made = cls(params)
        made._size = size
        return made

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """Return a guarantee of ε = 0, whatever the budget."""
        return Guarantee.of(public, budget, epsilon=0.0)

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        """Take the patches' side, a public number, and nothing else."""
        context.charge(guarantee)
        self._size = patches.size
        return guarantee

    def sample(self, n: int, *, seed: int) -> Patches:
        """Draw ``n`` labelled patches.

        Raises:
            NotFittedError: Before ``fit`` or ``load``.
        """
        size, rng = self._side(), np.random.default_rng(stream(seed, "samples"))
        if self.params.design == "arcs":
            images, masks = arcs.draw(n, size, rng)
        else:
            images, masks = self._trees(n, size, rng)
        return Patches(images=images, masks=masks)

    def levels(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Return the images of ``sample`` and how far each pixel is from being marked.

        Returns:
            ``(n, 2, H, W)``. The second channel is the share of a pixel that is vessel, or that one
            touches, less the share from which it is marked. It is above 0 in the mask alone.

        Raises:
            NotFittedError: Before ``fit`` or ``load``.
        """
        size, rng = self._side(), np.random.default_rng(stream(seed, "samples"))
        parts = [
            np.concatenate([image, levels(cut, mask)[:, None]], axis=1)
            for cut, image, mask in self._cuts(n, size, rng)
        ]
        return np.concatenate(parts)[:n]

    def _trees(
        self, n: int, size: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Patches of as many blocks as it takes; fewer of them are the first of more."""
        images = np.empty((n, 1, size, size), np.float32)
        masks, start = np.empty(images.shape, np.uint8), 0
        for _, image, mask in self._cuts(n, size, rng):
            now = slice(start, start + len(mask))
            images[now], masks[now] = image[: n - start], mask[: n - start]
            start += len(mask)
        return images, masks

    def _cuts(
        self, n: int, size: int, rng: np.random.Generator
    ) -> Iterator[tuple[blocks.Cut, NDArray[np.float32], NDArray[np.uint8]]]:
        for _ in range(0, n, BLOCKS * blocks.CUT):
            cut = blocks.cut(BLOCKS, size, self.params.pixel_mm, rng)
            yield cut, *appearance.photographed(cut.drawn, rng)

    def _side(self) -> int:
        if self._size is None:
            raise NotFittedError("simulator must be fitted before it can sample.")
        return self._size

    def save(self, folder: Path) -> None:
        """Write ``settings.json``; there are no weights."""
        settings = {"size": self._size, "params": self.params.as_dict()}
        (folder / "settings.json").write_text(json.dumps(settings, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The generator that ``save`` wrote."""
        settings = json_in(folder / "settings.json")
        return cls.of_size(SimulatorParams(**settings["params"]), settings["size"])
