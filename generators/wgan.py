"""WGAN: a Wasserstein GAN of labelled patches, trained without privacy.

Reference: Kossen et al. (2022), Frontiers in AI 5:813842; Arjovsky et al. (2017), arXiv:1701.07875.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Self

from benchmark.core.budget import Budget, Guarantee, PublicNumbers, Unit
from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays, FederatedGenerator, Schedule, ServerSide, SiteSide
from benchmark.core.generator import FitContext
from benchmark.core.names import unknown
from benchmark.core.patches import Patches
from benchmark.core.settings import Settings
from benchmark.privacy.dpsgd.engines import DEFAULT_ENGINE
from generators.nets.adversarial import Game
from generators.nets.drawing import Drawer, DrawingGenerator
from generators.nets.federated import (
    DESIGNS,
    GRADIENT_SUMS,
    WganServer,
    WganSite,
    schedule_of,
)
from generators.nets.gradient_sums import GradientServer, GradientSite
from generators.nets.players import patch_generator, trained_numbers
from generators.nets.pretraining import begin
from generators.nets.states import only, tensors
from generators.nets.wgan_settings import PAPER, STANDARD, WganParams


class Wgan(DrawingGenerator, FederatedGenerator):
    """Draws labelled patches from a WGAN that is trained without privacy.

    With ``begin=simulator`` the generator refines the data-free simulator's patches. It starts by
    changing nothing.
    """

    name: ClassVar[str] = "wgan"
    version: ClassVar[int] = 2
    is_private: ClassVar[bool] = False
    designs: ClassVar[Mapping[str, str]] = DESIGNS
    summing_designs: ClassVar[frozenset[str]] = frozenset({GRADIENT_SUMS})
    citation: ClassVar[str] = "Kossen et al. (2022), Frontiers in AI 5:813842"
    Params: ClassVar[type[Settings]] = WganParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": WganParams(),
        "standard": STANDARD,
        "paper": PAPER,
    }
    smoke: ClassVar[Settings] = WganParams(
        latent=4, generator_width=4, critic_width=4, batch=8, critic_steps=2, generator_steps=2
    )

    params: WganParams

    def __init__(self, params: Settings) -> None:
        if not isinstance(params, WganParams):
            raise TypeError(
                f"{self.name} takes {self.Params.__name__}, got {type(params).__name__}."
            )
        self.params = params
        self._share = 1.0  # of all patients, at a site

    @property
    def engine(self) -> str:
        """How a clipped sum is computed, where there is one."""
        return DEFAULT_ENGINE

    @property
    def clip_norm(self) -> float:
        """C, the largest norm of a unit's gradient; ``inf`` for none."""
        return math.inf

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """Plan the steps and the sampling rate of a fit, and their cost if the fit is private.

        Raises:
            UsageError: If the budget cannot be honoured, or for a patch whose side doubling cannot
                reach.
        """
        return self._plan(public, budget, self.params.generator_steps * self.params.critic_steps)

    def noised_numbers(self, public: PublicNumbers) -> int:
        """Count the critic's trained weights, without allocating memory for them."""
        return trained_numbers(self.params)

    def _plan(self, public: PublicNumbers, budget: Budget, steps: int) -> Guarantee:
        if math.isfinite(budget.epsilon):
            raise UsageError(f"{self.name} is not private: it can honour ε = inf alone.")
        self._check_size(public.patch_size)
        self._check_frozen()
        return replace(
            Guarantee.of(public, budget, epsilon=math.inf),
            sampling_rate=self._sampling_rate(public.units(budget.unit), budget.unit),
            steps=steps,
        )

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        """Play the adversarial game for the planned steps.

        Raises:
            ValueError: For a plan of other settings, or of other patches, than these.
        """
        self._check_plan(patches, guarantee)
        spent = replace(guarantee, seeded=context.noise.seeded)
        context.charge(spent)
        game = Game(self.params, patches, spent, context, engine=self.engine)
        begin(game, self.params, patches.size, context)
        self._net, tally = game.play()
        lost = tally.lost * self.params.critic_steps
        return replace(spent, interruptions=tally.interruptions, lost_steps=lost)

    def schedule(
        self, *, design: str, rounds: int | None = None, local_steps: int | None = None
    ) -> Schedule:
        """Return the schedule.

        By default there is a round for every generator step, or for every critic step of gradient
        sums.

        Raises:
            UsageError: For an unknown design, or steps that the design cannot take.
        """
        if design not in self.designs:
            raise UsageError(unknown("design", design, list(self.designs)))
        return schedule_of(self.params, design, rounds, local_steps)

    def at_site(self, share: float) -> Self:
        """Return the generator with a site's share of every expected batch.

        So q is the same at all sites.
        """
        fakes = max(1, round(share * self.params.fakes))
        made = type(self)(replace(self.params, fakes=fakes))
        made._share = share
        return made

    def plan_at_site(self, public: PublicNumbers, budget: Budget, schedule: Schedule) -> Guarantee:
        """Plan as many steps as the site takes in all rounds, all of which the server sees."""
        return self._plan(public, budget, schedule.steps)

    def site_side(self, patches: Patches, guarantee: Guarantee, schedule: Schedule) -> SiteSide:
        """Return what reads one site's patients: a step's gradient of them, or whole steps."""
        if schedule.design == GRADIENT_SUMS:
            return GradientSite(self.params, patches, guarantee, engine=self.engine)
        return WganSite(self.params, patches, guarantee, schedule, engine=self.engine)

    def server_side(self, size: int, schedule: Schedule, context: FitContext) -> ServerSide:
        """Return what adds up or averages, and trains what the sites do not."""
        if schedule.design == GRADIENT_SUMS:
            p = self.params
            return GradientServer(p, self.clip_norm, size, schedule, context, engine=self.engine)
        return WganServer(self.params, size, schedule, context)

    def close(self, state: Arrays, size: int) -> None:
        """Keep the running average of the generator."""
        self._net = self._network(size)
        weights = tensors(only(state, "averaged."))
        self._net.load_state_dict({n.removeprefix("averaged."): t for n, t in weights.items()})
        self._net.eval()

    def _network(self, size: int) -> Drawer:
        return patch_generator(self.params, size)

    def _sampling_rate(self, units: int, unit: Unit) -> float:
        expected = self.params.patients_per_step if unit == "patient" else self.params.batch
        return min(1.0, self._share * expected / units)

    def _check_plan(self, patches: Patches, planned: Guarantee) -> None:
        units = patches.patients
        if planned.unit == "patch":
            units *= patches.patches_per_patient
        steps = self.params.generator_steps * self.params.critic_steps
        rate = self._sampling_rate(units, planned.unit)
        if (planned.steps, planned.sampling_rate) != (steps, rate):
            raise ValueError(
                f"Expected a plan of {steps} steps at a sampling rate of {rate:.4g}, as settings "
                f"and patches have it, got {planned.steps} at {planned.sampling_rate:.4g}."
            )

    def _check_size(self, size: int) -> None:
        if size % 2**self.params.levels or size < 2 ** (self.params.levels + 1):
            raise UsageError(
                f"{self.name} with levels={self.params.levels} makes patches whose side is a "
                f"multiple of {2**self.params.levels}, at least "
                f"{2 ** (self.params.levels + 1)}; got {size}."
            )

    def _check_frozen(self) -> None:
        if self.params.trained_layers <= self.params.levels and self.params.pretrain == "none":
            raise UsageError(
                f"{self.name} with trained_layers={self.params.trained_layers} would leave layers "
                "of the critic at random weights; set pretrain=simulator too."
            )
