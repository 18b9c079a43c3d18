"""DP-MERF: a generator network trained against one noised mean embedding of the patches.

A single vector m is released about the patients: the mean over units of clipped random features φ
(``generators/nets/embedding.py``). A network G is then trained, on nothing else, to lower

    ‖ mean_j clip(φ(G(z_j))) - m ‖²,

estimated without the bias that comes from the spread of a batch's fakes. The paper's features are
those of whole images times their class. A patch has a mask in place of a class, so image and mask
enter the features together. The features are those of small windows, which are similar in all
patches.

Where it does not help: with the patch as unit the noise is negligible, so the embedding itself is
the limit, which no larger ε lifts. With sixteen patients as units at ε = 2 it reached 0.645 Dice on
the embedded cohort (``simulator``: 0.436; ``dp-simulator``: 0.834). On another cohort it reached
less than its own control that uses no patient (``evidence=mean``). With fewer features and a
smaller clip norm the mask vanished. docs/experiments.md has the numbers.

Reference: Harder, Adamczewski and Park (2021), arXiv:2002.11603, there with random features of
whole images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch

from benchmark.core.budget import Guarantee, PublicNumbers, Unit
from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays, Schedule
from benchmark.core.generator import RELEASE, FitContext, Progress, silent
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.settings import Settings
from benchmark.privacy.mechanisms.kept_releases import KeptReleases
from benchmark.privacy.mechanisms.release import Features, Release
from generators.nets.convolutional import PatchGenerator, initialise
from generators.nets.drawing import DrawingGenerator
from generators.nets.embedding import Embedding, scales
from generators.nets.matching import Target, train
from generators.nets.merf_settings import DpMerfParams
from generators.nets.one_mean import DESIGNS, UNITS, MeanServer, MeanSite
from generators.nets.releasing import ReleasingGenerator


class DpMerf(DrawingGenerator, ReleasingGenerator):
    """Draws labelled patches from a network that fits a noised mean embedding.

    Guarantees:
        * ``fit`` is (ε, δ)-DP for zeroing out one ``budget.unit``: one Gaussian release.
        * Training the network and ``sample`` are post-processing and spend nothing.
    """

    name: ClassVar[str] = "dp-merf"
    version: ClassVar[int] = 2
    is_private: ClassVar[bool] = True
    designs: ClassVar[Mapping[str, str]] = DESIGNS
    summing_designs: ClassVar[frozenset[str]] = frozenset(DESIGNS)
    citation: ClassVar[str] = "Harder, Adamczewski and Park (2021), arXiv:2002.11603"
    Params: ClassVar[type[Settings]] = DpMerfParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": DpMerfParams(),
        "standard": DpMerfParams(levels=4, steps=600),
        "paper": DpMerfParams(levels=5, width=32, frequencies=256, looked_at=64, steps=2000),
    }
    smoke: ClassVar[Settings] = DpMerfParams(
        frequencies=4, populations=8, latent=4, width=4, fakes=8, steps=2
    )

    params: DpMerfParams

    def __init__(self, params: DpMerfParams) -> None:
        self.params = params

    @property
    def clip_norm(self) -> float:
        """C, the largest norm of a unit's vector."""
        return self.params.clip_norm

    def noised_numbers(self, public: PublicNumbers) -> int:
        """Count the features."""
        return self.params.frequencies * len(scales(public.patch_size))

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        """Release one noised mean, and train the network against it."""
        spent = replace(guarantee, seeded=context.noise.seeded)
        kept = KeptReleases(context, spent)
        size = patches.size
        embedding = self._embedding(context.seed, size, spent.unit)
        release, features = Release(spent), self._features(embedding)
        context.inspect(release)
        target = Target(
            mean=kept.release(lambda noise: release.mean(patches, features, noise)),
            deviation=release.deviation,
            clip_norm=spent.clip_norm if release.deviation else math.inf,
            unit=spent.unit,
            size=size,
            seed=context.seed,
        )
        self._learn(embedding, target, device=context.device, progress=context.progress)
        return spent

    def site_side(self, patches: Patches, guarantee: Guarantee, schedule: Schedule) -> MeanSite:
        """Return what releases noised means of the site's patients."""

        def features(seed: int, size: int, unit: Unit) -> Features:
            return self._features(self._embedding(seed, size, unit))

        return MeanSite(features, patches, guarantee)

    def server_side(self, size: int, schedule: Schedule, context: FitContext) -> MeanServer:
        """Return what averages the sites' means."""
        return MeanServer(self.params.frequencies * len(scales(size)), context.seed)

    def close(self, state: Arrays, size: int) -> None:
        """Train the network against the average."""
        deviation = float(np.sqrt(state["variance"][0]))
        target = Target(
            mean=state["mean"],
            deviation=deviation,
            clip_norm=self.params.clip_norm if deviation else math.inf,
            unit=UNITS[int(state["unit"][0])],
            size=size,
            seed=int(state["seed"][0]),
        )
        self._learn(self._embedding(target.seed, size, target.unit), target)

    def _embedding(self, seed: int, size: int, unit: Unit) -> Embedding:
        return Embedding(
            frequencies=self.params.frequencies,
            populations=self.params.populations,
            size=size,
            unit=unit,
            rng=np.random.default_rng(stream(seed, "random features")),
        )

    def _features(self, embedding: Embedding) -> Features:
        """The embedding's; in a control the simulator's mean, which is zero."""
        if self.params.evidence == RELEASE:
            return embedding.features
        return lambda patches: np.zeros((len(patches), embedding.length))

    def _network(self, size: int) -> PatchGenerator:
        return PatchGenerator(
            latent=self.params.latent,
            size=size,
            levels=self.params.levels,
            width=self.params.width,
            upsampling="nearest",
            head="compositional",
        )

    def _learn(
        self,
        embedding: Embedding,
        target: Target,
        *,
        device: str = "cpu",
        progress: Progress = silent,
    ) -> None:
        """Trains a new network against all that is known of the patients."""
        net = self._network(target.size)
        initialise(net, torch.Generator().manual_seed(stream(target.seed, "initial weights")))
        embedding.to(device)
        if self.params.evidence == "mean":
            target = replace(target, mean=np.zeros(embedding.length))
        self._net = train(net.to(device), embedding, target, self.params, progress)

    def check_size(self, size: int) -> None:
        """Refuse a side that doubling cannot reach.

        Raises:
            UsageError: With the sides that can be made.
        """
        least = 2 ** (self.params.levels + 1)
        if size % 2**self.params.levels or size < least:
            raise UsageError(
                f"{self.name} with levels={self.params.levels} makes patches whose side is a "
                f"multiple of {2**self.params.levels}, at least {least}; got {size}."
            )
