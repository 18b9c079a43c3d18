"""DP-segmenter: a U-Net trained by DP-SGD on patients' own patches, without synthetic ones.

It is the bookend that shows whether synthesis is worth it: what the same ε achieves if it is spent
on the segmenter itself. Its gradient is that of ``dpsgd.step``. Its threshold is one half, and its
logits start at a public guess. So nothing is read from patients beside the noised sums.

Reference: Abadi et al. (2016), arXiv:1607.00133, Algorithm 1; Ronneberger et al. (2015),
arXiv:1505.04597.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.segmenter import PrivateSegmenter, Reach, TrainContext
from benchmark.core.settings import Settings
from benchmark.privacy.dpsgd.engines import DEFAULT_ENGINE, ENGINES
from benchmark.privacy.dpsgd.step import grid_of
from benchmark.privacy.mechanisms.poisson_gaussian import plan_poisson_gaussian
from benchmark.privacy.randomness import SeededNoise
from segmenters.nets.private import SegmenterTraining, SmallUnet, TrainingSettings
from segmenters.nets.slices import LEAST_WIDTH, SlicePredictor

COVERS = "fit of the segmenter"
NO_DELTA = 0.5
"""A valid δ for a fit without privacy, where it has no meaning."""


@dataclass(frozen=True, kw_only=True)
class DpSegmenterParams(Settings):
    """Settings of the network and of its private training.

    Attributes:
        width: Channels of the first level; each further one has twice as many.
        levels: How many sides there are, each half of the one before.
        vessel_fraction: A public guess of the vessel share of a patch, at which the logits start.
        learning_rate: Adam's, falling to 0 as a cosine.
        averaging: The decay of the running average of the weights.
        batch: The expected patches in a step.
        patients_per_step: The expected patients in a step, where the patient is the unit.
        steps: T, the private steps.
        clip_norm: C, the largest norm of a unit's gradient.
        accountant: The accountant whose upper bound on ε is reported.
        dp_engine: How the clipped sum is computed; it affects the speed alone.
    """

    width: Annotated[int, IntDistribution(2, 64)] = 8
    levels: Annotated[int, IntDistribution(2, 6)] = 3
    vessel_fraction: Annotated[float, FloatDistribution(1e-3, 0.5, log=True)] = 0.1
    learning_rate: Annotated[float, FloatDistribution(1e-5, 1e-1, log=True)] = 2e-2
    averaging: Annotated[float, FloatDistribution(0.0, 0.9999)] = 0.95
    batch: Annotated[int, IntDistribution(1, 4096, log=True)] = 256
    patients_per_step: Annotated[int, IntDistribution(1, 4096, log=True)] = 8
    steps: Annotated[int, IntDistribution(1, 1_000_000, log=True)] = 200
    clip_norm: Annotated[float, FloatDistribution(1e-3, 100.0, log=True)] = 0.25
    accountant: Annotated[str, CategoricalDistribution(["prv", "rdp", "pld"])] = "prv"
    dp_engine: Annotated[str, CategoricalDistribution([*ENGINES])] = DEFAULT_ENGINE


class DpSegmenter(SlicePredictor, PrivateSegmenter):
    """Marks vessels with a U-Net that learnt from patients only through clipped, noised gradients.

    Guarantees:
        * ``fit_privately`` is (ε, δ)-DP for zeroing out one ``budget.unit``.
        * ``predict`` is post-processing and spends nothing.
        * At ε = inf it is the same code without noise and clipping.
    """

    name: ClassVar[str] = "dp-segmenter"
    version: ClassVar[int] = 2
    citation: ClassVar[str] = "Abadi et al. (2016), arXiv:1607.00133"
    Params: ClassVar[type[Settings]] = DpSegmenterParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": DpSegmenterParams(),
        "standard": DpSegmenterParams(width=12, levels=4, steps=600),
        "paper": DpSegmenterParams(width=16, levels=5, steps=2000),
    }
    smoke: ClassVar[Settings] = DpSegmenterParams(width=2, batch=8, patients_per_step=2, steps=3)

    params: DpSegmenterParams

    def __init__(self, params: Settings) -> None:
        super().__init__()
        if not isinstance(params, DpSegmenterParams):
            raise TypeError(f"{self.name} takes DpSegmenterParams, got {type(params).__name__}.")
        self.params = params

    @property
    def multiple(self) -> int:
        """2^(levels - 1), because the slice is halved ``levels`` - 1 times."""
        return int(2 ** (self.params.levels - 1))

    @property
    def reach(self) -> Reach | None:
        """At least that of its 3x3 convolutions and of the halvings between."""
        p = self.params
        if p.width < LEAST_WIDTH:
            return None
        return Reach(pixels=4 * 2**p.levels, multiple=self.multiple)

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """Calibrate the noise for a budget, and recompute from it what is spent, for both units.

        Raises:
            UsageError: If the budget cannot be honoured, or for a patch that cannot be halved so
                often.
        """
        self._check_size(public.patch_size)
        units = public.units(budget.unit)
        plain = replace(
            Guarantee.of(public, budget, epsilon=math.inf),
            sampling_rate=min(1.0, self._expected(budget) / units),
            steps=self.params.steps,
            covers=COVERS,
        )
        if math.isinf(budget.epsilon):
            return plain
        return plan_poisson_gaussian(
            plain,
            epsilon=budget.epsilon,
            clip_norm=self.params.clip_norm,
            accountant=self.params.accountant,
            numbers=self._noised_numbers(),
            grid_of=grid_of,
        )

    def fit_privately(
        self, patches: Patches, guarantee: Guarantee, context: FitContext
    ) -> Guarantee:
        """Take the planned private steps."""
        spent = replace(guarantee, seeded=context.noise.seeded)
        context.charge(spent)
        rng = torch.Generator().manual_seed(stream(context.seed, "segmenter weights"))
        p = self.params
        net = self._network()
        net.initialise(rng)
        settings = TrainingSettings(
            learning_rate=p.learning_rate,
            averaging=p.averaging,
            patches_per_draw=max(1, p.batch // p.patients_per_step),
            engine=p.dp_engine,
        )
        training = SegmenterTraining(net, settings, patches, spent, context)
        tally = training.run()
        self._net = training.averaged.eval()
        self._device = context.device
        return replace(spent, interruptions=tally.interruptions, lost_steps=tally.lost)

    def fit(self, patches: Patches, context: TrainContext) -> None:
        """Train without noise and clipping, on patches that need no privacy.

        Each patch is a unit of its own.
        """
        n = len(patches)
        public = PublicNumbers(patients=n, patches_per_patient=1, patch_size=patches.size)
        budget = Budget(epsilon=math.inf, delta=NO_DELTA, unit="patch")
        alone = replace(
            patches, patient=np.arange(n, dtype=np.int64), patients=n, patches_per_patient=1
        )
        plain = FitContext(
            seed=context.seed,
            noise=SeededNoise(context.seed, "segmenter batches"),
            charge=lambda guarantee: None,
            progress=context.progress,
            device=context.device,
        )
        self.fit_privately(alone, self.plan(public, budget), plain)

    def _network(self) -> SmallUnet:
        """Not yet initialised."""
        p = self.params
        return SmallUnet(width=p.width, levels=p.levels, vessel_fraction=p.vessel_fraction)

    def _noised_numbers(self) -> int:
        """The network's weights, counted without memory for any."""
        with torch.device("meta"):
            return sum(weight.numel() for weight in self._network().parameters())

    def _expected(self, budget: Budget) -> int:
        return self.params.patients_per_step if budget.unit == "patient" else self.params.batch

    def _check_size(self, size: int) -> None:
        if size % self.multiple:
            raise UsageError(
                f"{self.name} with levels={self.params.levels} learns from patches whose side is a "
                f"multiple of {self.multiple}; got {size}."
            )
