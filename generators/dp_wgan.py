"""DP-WGAN: the WGAN whose critic is trained with DP-SGD.

It is the paper's, with its faults corrected. Every critic step draws a fresh Poisson batch. Only
the real half of the gradient is noised and charged, and the fake half is clipped. The divisor is
the public expected batch.

Reference: Kossen et al. (2022), Frontiers in AI 5:813842; Xie et al. (2018), arXiv:1802.06739,
Algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from optuna.distributions import CategoricalDistribution, FloatDistribution

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import UsageError
from benchmark.core.federation import Schedule
from benchmark.core.settings import Settings, Tuned
from benchmark.privacy.dpsgd.engines import DEFAULT_ENGINE, ENGINES
from benchmark.privacy.dpsgd.shared_steps import SharedSteps, plan_shared_steps
from benchmark.privacy.dpsgd.step import grid_of
from benchmark.privacy.mechanisms.poisson_gaussian import plan_poisson_gaussian
from benchmark.privacy.mechanisms.shared_noise import Sharing
from generators.nets.wgan_settings import PAPER, STANDARD, WganParams
from generators.wgan import Wgan


@dataclass(frozen=True, kw_only=True)
class DpWganParams(WganParams):
    """Settings of the WGAN, with those of its privacy.

    Attributes:
        clip_norm: C, the largest norm of a unit's gradient.
        accountant: The accountant whose upper bound on ε is reported.
        dp_engine: How the clipped sum is computed; it affects the speed alone.
    """

    clip_norm: Annotated[
        float,
        FloatDistribution(1e-3, 100.0, log=True),
        Tuned(FloatDistribution(0.05, 2.0, log=True)),
    ] = 0.25
    accountant: Annotated[str, CategoricalDistribution(["prv", "rdp", "pld"])] = "prv"
    dp_engine: Annotated[str, CategoricalDistribution([*ENGINES])] = DEFAULT_ENGINE


class DpWgan(Wgan):
    """Draws labelled patches from a WGAN whose critic saw patients only through noised gradients.

    Guarantees:
        * ``fit`` is (ε, δ)-DP for zeroing out one ``budget.unit``.
        * ``sample`` is post-processing and spends nothing.
        * At ε = inf it is ``wgan`` with the same settings, number by number.
    """

    name: ClassVar[str] = "dp-wgan"
    version: ClassVar[int] = 3
    is_private: ClassVar[bool] = True
    Params: ClassVar[type[Settings]] = DpWganParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": DpWganParams(),
        "standard": DpWganParams(**STANDARD.as_dict()),
        "paper": DpWganParams(**PAPER.as_dict(), clip_norm=1.0, accountant="rdp"),
    }
    smoke: ClassVar[Settings] = DpWganParams(
        latent=4,
        generator_width=4,
        critic_width=4,
        batch=8,
        patients_per_step=2,
        critic_steps=2,
        generator_steps=2,
    )

    params: DpWganParams

    @property
    def engine(self) -> str:
        """How the clipped sum is computed; it affects the speed alone."""
        return self.params.dp_engine

    @property
    def clip_norm(self) -> float:
        """C, the largest norm of a unit's gradient."""
        return self.params.clip_norm

    @classmethod
    def shares_noise(cls, design: str) -> bool:
        """Tell whether a site's replies are noised sums, as those of gradient sums are."""
        return design in cls.summing_designs

    def plan_in_shares(
        self, public: PublicNumbers, budget: Budget, schedule: Schedule, sharing: Sharing
    ) -> SharedSteps:
        """Plan the steps of gradient sums over all sites' patients, whose noise sites share.

        Args:
            public: The numbers of all sites' patients together.
            budget: The finite ε, δ and unit that are asked for.
            schedule: The rounds, each of one step.
            sharing: The numbers of sites and of curious ones.

        Returns:
            What every site charges, draws its noise by, and may claim.

        Raises:
            UsageError: If the budget cannot be honoured, or what sites send cannot be added.
        """
        if schedule.design not in self.summing_designs:
            raise UsageError(
                f"With --design {schedule.design}, sites of {self.name} send weights that were "
                f"trained, and no sums; take --design {' or '.join(self.summing_designs)}."
            )
        plain = super()._plan(public, replace(budget, epsilon=math.inf), schedule.steps)
        return plan_shared_steps(
            plain,
            epsilon=budget.epsilon,
            clip_norm=self.clip_norm,
            accountant=self.params.accountant,
            numbers=self.noised_numbers(public),
            sharing=sharing,
        )

    def _plan(self, public: PublicNumbers, budget: Budget, steps: int) -> Guarantee:
        """Finds the noise for the budget; what is spent is recomputed from it, for both units."""
        plain = super()._plan(public, replace(budget, epsilon=math.inf), steps)
        if math.isinf(budget.epsilon):
            return plain
        return plan_poisson_gaussian(
            plain,
            epsilon=budget.epsilon,
            clip_norm=self.clip_norm,
            accountant=self.params.accountant,
            numbers=self.noised_numbers(public),
            grid_of=grid_of,
        )
