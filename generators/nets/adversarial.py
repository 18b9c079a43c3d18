"""The adversarial game of the WGANs: critic steps on patients, generator steps on the critic."""

from __future__ import annotations

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.workings import Tally
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.training import PrivateTraining, sampler_of
from generators.nets.drawing import Drawer
from generators.nets.players import Players, critic_step, latents_of
from generators.nets.wgan_settings import WganParams


class Game(Players, PrivateTraining):
    """One fit of a WGAN. A round is some private critic steps and one generator step.

    Args:
        params: The WGAN's settings.
        patches: Patients' patches.
        guarantee: What the fit claims.
        context: Seed, noise and functions of the fit.
        engine: How a clipped sum is computed.
    """

    def __init__(
        self,
        params: WganParams,
        patches: Patches,
        guarantee: Guarantee,
        context: FitContext,
        *,
        engine: str,
    ) -> None:
        Players.__init__(self, params, patches.size, context, guarantee)
        PrivateTraining.__init__(
            self,
            critic_step(params, guarantee, engine),
            sampler_of(patches, guarantee, context, patches_per_draw=params.patches_per_draw),
            patches,
            guarantee,
            context,
            rounds=params.generator_steps,
            steps_per_round=params.critic_steps,
            draws=("latents", latents_of(context)),
        )

    def play(self) -> tuple[Drawer, Tally]:
        """Train for the planned rounds; return the averaged generator and the counts of rounds."""
        tally = self.run()
        return self.averaged.eval(), tally

    def begin_at(self, begun: int) -> None:
        """Set both learning rates for the rounds after ``begun``."""
        self.slow_down(begun / self.rounds)

    def learn(self, drawn: Batch) -> None:
        """Take a critic step."""
        self.critic_step(drawn, self.rng, self.step, self.context.noise)

    def end_round(self, number: int, useful: int) -> None:
        """Take a generator step, and report progress."""
        loss = self.generator_step(self.rng)
        self.average(useful)
        self.slow_down(number / self.rounds)
        self.context.progress(number, self.rounds, {"generator_loss": loss})
