"""The lower bookend: random bright tubes on a textured ground, from no data at all.

Each patch gets a few vessels, in-plane arcs or cross-sections, of random width and contrast, drawn
in two dimensions; the ranges are broad guesses about time-of-flight images at half a millimetre to
a millimetre, not fits to anything. What a segmenter learns from them costs no privacy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from scipy.ndimage import gaussian_filter

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import NotFittedError
from benchmark.core.generator import FitContext, Generator
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.settings import Settings

MOST_VESSELS = 5
CURVE_POINTS = 24

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SimulatorParams(Settings):
    """Upper and lower ends from which each patch or vessel draws uniformly; sides in pixels."""

    vessels: Annotated[float, FloatDistribution(0.0, MOST_VESSELS)] = 1.5
    in_plane: Annotated[float, FloatDistribution(0.0, 1.0)] = 0.5
    radius_low: Annotated[float, FloatDistribution(0.3, 3.0)] = 0.5
    radius_high: Annotated[float, FloatDistribution(0.5, 8.0)] = 3.0
    bend: Annotated[float, FloatDistribution(0.0, 1.0)] = 0.3
    ground_low: Annotated[float, FloatDistribution(-1.0, 1.0)] = -0.8
    ground_high: Annotated[float, FloatDistribution(-1.0, 1.0)] = 0.2
    contrast_low: Annotated[float, FloatDistribution(0.0, 2.0)] = 0.3
    contrast_high: Annotated[float, FloatDistribution(0.0, 2.0)] = 1.6
    texture: Annotated[float, FloatDistribution(0.0, 1.0)] = 0.2
    noise: Annotated[float, FloatDistribution(0.0, 1.0)] = 0.15


class Simulator(Generator):
    """Draws labelled patches from a fixed prior.

    Guarantees:
        * ε = 0: nothing here depends on any patient.
    """

    name: ClassVar[str] = "simulator"
    version: ClassVar[int] = 1
    is_private: ClassVar[bool] = True
    needs_data: ClassVar[bool] = False
    citation: ClassVar[str] = "A data-free baseline of this suite"
    Params: ClassVar[type[Settings]] = SimulatorParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": SimulatorParams(),
        "standard": SimulatorParams(),
        "paper": SimulatorParams(),
    }
    smoke: ClassVar[Settings] = SimulatorParams()

    def __init__(self, params: SimulatorParams) -> None:
        self.params = params
        self._size: int | None = None

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """ε = 0, whatever the budget."""
        return Guarantee.of(public, budget, epsilon=0.0)

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        """Learns the patches' side, a public number, and nothing else."""
        context.charge(guarantee)
        self._size = patches.size
        return guarantee

    def sample(self, n: int, *, seed: int) -> Patches:
        """Draws ``n`` labelled patches."""
        if self._size is None:
            raise NotFittedError("simulator must be fitted before it can sample.")
        rng = np.random.default_rng(stream(seed, "samples"))
        drawn = [self._patch(rng, self._size) for _ in range(n)]
        images = np.stack([image for image, _ in drawn])[:, None].astype(np.float32)
        masks = np.stack([mask for _, mask in drawn])[:, None].astype(np.uint8)
        return Patches(images=images, masks=masks)

    def save(self, folder: Path) -> None:
        """Writes ``settings.json``; there are no weights."""
        settings = {"size": self._size, "params": self.params.as_dict()}
        (folder / "settings.json").write_text(json.dumps(settings, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The generator that ``save`` wrote."""
        settings = json.loads((folder / "settings.json").read_text())
        made = cls(SimulatorParams(**settings["params"]))
        made._size = settings["size"]
        return made

    def _patch(self, rng: np.random.Generator, size: int) -> tuple[Array, NDArray[np.bool_]]:
        p = self.params
        image = _between(rng, p.ground_low, p.ground_high) + self._texture(rng, size)
        mask = np.zeros((size, size), bool)
        for _ in range(min(MOST_VESSELS, rng.poisson(p.vessels))):
            inside = self._vessel(rng, size)
            image = image + inside * _between(rng, p.contrast_low, p.contrast_high)
            mask |= inside >= 0.5
        image = image + rng.uniform(0, p.noise) * rng.standard_normal((size, size))
        return np.clip(image, -1, 1), mask

    def _vessel(self, rng: np.random.Generator, size: int) -> Array:
        """How much of each pixel lies in one vessel, in [0, 1], the wall one pixel wide."""
        p = self.params
        radius = _between(rng, p.radius_low, p.radius_high)
        middle = rng.uniform(0, size, 2)
        in_plane = rng.random() < p.in_plane
        curve = self._arc(rng, middle, size) if in_plane else middle[None]
        grid = np.stack(np.meshgrid(*2 * [np.arange(size) + 0.5], indexing="ij"), axis=-1)
        distance = np.linalg.norm(grid[:, :, None] - curve, axis=-1).min(-1)
        inside: Array = np.clip(radius - distance + 0.5, 0, 1)
        return inside

    def _arc(self, rng: np.random.Generator, middle: Array, size: int) -> Array:
        """Points ``(k, 2)`` of a parabola through ``middle``."""
        angle = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        t = np.linspace(-1, 1, CURVE_POINTS * max(1, size // 32))[:, None]
        bow = rng.uniform(-self.params.bend, self.params.bend)
        curve: Array = middle + size * (t * rng.uniform(0.2, 1.0) * along + bow * t**2 * across)
        return curve

    def _texture(self, rng: np.random.Generator, size: int) -> Array:
        white = rng.standard_normal((size, size))
        smooth = gaussian_filter(white, rng.uniform(1.0, size / 6), mode="wrap")
        field: Array = smooth / smooth.std() * rng.uniform(0, self.params.texture)
        return field


def _between(rng: np.random.Generator, one: float, other: float) -> float:
    return rng.uniform(min(one, other), max(one, other))
