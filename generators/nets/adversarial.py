"""The adversarial game of the WGANs: critic steps on patients, generator steps on the critic.

Each critic step draws its own Poisson batch; nothing else reads a patient.
"""

from __future__ import annotations

from typing import Any

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.workings import State, Tally
from generators.nets.drawing import Drawer
from generators.nets.players import How, Players, critic_step, drawn_by, latents_of, sampler_of
from generators.nets.wgan_settings import WganParams


class Game(Players):
    """One fit: networks, optimisers, draws, and the running average of the generator's weights."""

    def __init__(
        self,
        params: WganParams,
        patches: Patches,
        guarantee: Guarantee,
        context: FitContext,
        *,
        engine: str,
    ) -> None:
        super().__init__(params, patches.size, context, guarantee)
        self.guarantee, self.context, self.patches = guarantee, context, patches
        self.rng = latents_of(context)
        self.step = critic_step(params, guarantee, engine)
        self.sampler = sampler_of(params, patches, guarantee, context)

    @property
    def private_steps(self) -> int:
        """How many times patients are looked at."""
        return self.params.generator_steps * self.params.critic_steps

    def play(self) -> tuple[Drawer, Tally]:
        """Trains for the planned rounds, in strides; returns the averaged generator."""
        self.context.inspect(self)
        tally = self._resumed() or Tally(total=self.params.generator_steps)
        while tally.begun < tally.total:
            self._keep(tally)
            for begun in range(tally.begun, tally.until):
                self._round(begun + 1, begun + 1 - tally.lost)
            tally = tally.done()
        self._keep(tally)
        return self.averaged.eval(), tally

    def _round(self, begun: int, useful: int) -> None:
        """Critic steps and a generator step; ``begun`` counts lost rounds too."""
        total = self.params.generator_steps
        for _ in range(self.params.critic_steps):
            how = How(self.step, self.context.noise)
            self.critic_step(drawn_by(self.sampler, self.patches), self.rng, how)
        loss = self.generator_step(self.rng)
        self.average(useful)
        self.slow_down(begun / total)
        self.context.progress(begun, total, {"generator_loss": loss})

    def _keep(self, tally: Tally) -> None:
        if self.context.checkpoint is not None:
            tensors = {**self.tensors(), "latents": self.rng.get_state()}
            self.context.checkpoint.save(State(tally, tensors, self._facts()))

    def _resumed(self) -> Tally | None:
        """Goes back to the checkpoint, if there is one."""
        checkpoint = self.context.checkpoint
        if checkpoint is None or checkpoint.state is None:
            return None
        kept = checkpoint.state
        self.load(kept.tensors)
        self.rng.set_state(kept.tensors["latents"])
        self.sampler.draws = kept.facts["draws"]
        exact = kept.facts["noise"] is not None
        if exact:
            self.context.noise.restore(kept.facts["noise"])
        tally = kept.tally.resumed(exact=exact, counted=checkpoint.counted())
        if tally.begun > 0:
            self.slow_down(tally.begun / tally.total)
        return tally

    def _facts(self) -> dict[str, Any]:
        return {
            "noise": self.context.noise.state(),
            "draws": self.sampler.draws,
        }
