"""The WGANs across sites: what a site computes from its patients, and what the server does.

There are three designs. ``gradient_sums`` has one of them. In ``averaged-critics``, sites train the
critic that they were sent on their own patients. The server averages the critics and trains the
generator against the average, which is post-processing. In ``fedgan`` (Rasouli, Sun and Rajagopal
2020, arXiv:2006.07228), sites train both networks, and the server averages both. The optimisers'
moments are sent and averaged with the weights, as they are functions of the same private gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmark.core.budget import Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays, Schedule
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.privacy.dpsgd.batch import drawn_by
from benchmark.privacy.dpsgd.training import sampler_of
from generators.nets.players import Players, critic_step, latents_of
from generators.nets.pretraining import begin
from generators.nets.states import arrays, mean, only, tensors
from generators.nets.wgan_settings import WganParams

AVERAGED_CRITICS, GRADIENT_SUMS, FEDGAN = "averaged-critics", "gradient-sums", "fedgan"
DESIGNS = {
    AVERAGED_CRITICS: "sites train the critic, the server averages it and trains the generator",
    GRADIENT_SUMS: "sites add up the gradient of every critic step, the server does all else",
    FEDGAN: "sites train critic and generator, the server averages both",
}
CRITIC = ("critic.", "of critic.")
GENERATOR = ("generator.", "of generator.")


def schedule_of(
    params: WganParams, design: str, rounds: int | None, local_steps: int | None
) -> Schedule:
    """Divide a fit's steps into rounds; by default there is one for every step of the server's.

    Args:
        params: Their numbers of steps.
        design: A name among ``DESIGNS``.
        rounds: How many; with fewer, each has more steps, or a fit by gradient sums fewer.
        local_steps: Private steps of a site in a round.

    Raises:
        UsageError: For more than one step in a round of gradient sums.
    """
    steps = params.generator_steps * params.critic_steps
    if design == GRADIENT_SUMS:
        if local_steps not in (None, 1):
            raise UsageError(
                f"With --design {GRADIENT_SUMS} a site takes one step in a round, got "
                f"{local_steps} local steps; leave them out, or take --design {AVERAGED_CRITICS}."
            )
        return Schedule(design=design, rounds=rounds or steps, local_steps=1)
    if rounds is None:
        rounds = -(-steps // (local_steps or params.critic_steps))
    local_steps = local_steps or max(1, round(steps / rounds))
    return Schedule(design=design, rounds=rounds, local_steps=local_steps)


def generator_steps(params: WganParams, schedule: Schedule, rounds: int) -> int:
    """Return how many steps the generator takes in the first rounds of a fit.

    It takes one after every ``critic_steps`` steps of a site's critic, counted over all rounds. So
    no division into rounds changes how often each network moves.

    Args:
        params: The settings.
        schedule: The rounds of the federated fit.
        rounds: How many rounds.
    """
    return rounds * schedule.local_steps // params.critic_steps


class WganSite:
    """The site's part: it trains its critic, or both networks, on its own patients.

    Args:
        params: The settings of this site.
        patches: Its patients' patches.
        guarantee: The guarantee of this site.
        schedule: The rounds of the federated fit.
        engine: How a clipped sum is computed.
    """

    def __init__(
        self,
        params: WganParams,
        patches: Patches,
        guarantee: Guarantee,
        schedule: Schedule,
        *,
        engine: str,
    ) -> None:
        self.params, self.patches, self.guarantee = params, patches, guarantee
        self.schedule = schedule
        self.step = critic_step(params, guarantee, engine)
        self._players: Players | None = None

    def compute(self, number: int, state: Arrays, context: FitContext) -> Arrays:
        """Take the round's private steps from the server's state, and return this site's."""
        players = self._players = self._players or Players(
            self.params, self.patches.size, context, self.guarantee
        )
        players.load(tensors(state))
        players.slow_down((number - 1) / self.schedule.rounds)
        rng = latents_of(context)
        secret = not context.noise.seeded
        sampler = sampler_of(
            self.patches,
            self.guarantee,
            context,
            patches_per_draw=self.params.patches_per_draw,
            padded=secret,
        )
        both = self.schedule.design == FEDGAN
        earlier = (number - 1) * self.schedule.local_steps
        for step in range(earlier + 1, earlier + self.schedule.local_steps + 1):
            drawn = drawn_by(sampler, self.patches)
            players.critic_step(drawn, rng, self.step, context.noise)
            if both and step % self.params.critic_steps == 0:
                players.generator_step(rng)
        return only(arrays(players), *CRITIC, *(GENERATOR if both else ()))


class WganServer:
    """The server's part: it averages, and in ``averaged-critics`` trains the generator.

    Args:
        params: The settings as they are for all patients.
        size: The side of a patch.
        schedule: The rounds of the federated fit.
        context: Seeds the weights and the latent draws.
    """

    def __init__(
        self, params: WganParams, size: int, schedule: Schedule, context: FitContext
    ) -> None:
        self.params, self.schedule, self.context = params, schedule, context
        self.size, self.players = size, Players(params, size, context)

    def begin(self) -> Arrays:
        """Return networks that saw no patient, with zero moments of their optimisers."""
        begin(self.players, self.params, self.size, self.context)
        self.players.begin_moments()
        return arrays(self.players)

    def sent(self, state: Arrays) -> Arrays:
        """Return the critic with its moments, and the generator.

        The generator's moments are included only if sites train it.
        """
        if self.schedule.design == FEDGAN:
            return only(state, *CRITIC, *GENERATOR)
        return only(state, *CRITIC, "generator.")

    def returned(self, state: Arrays, share: float) -> Arrays:
        """Return the arrays that sites train."""
        return only(state, *CRITIC, *(GENERATOR if self.schedule.design == FEDGAN else ()))

    def combine(
        self, number: int, state: Arrays, replies: Sequence[Arrays], weights: Sequence[float]
    ) -> Arrays:
        """Average the replies, train the generator if the server does so, and follow it."""
        players = self.players
        players.load(tensors({**state, **mean(replies, weights)}))
        players.slow_down((number - 1) / self.schedule.rounds)
        before = generator_steps(self.params, self.schedule, number - 1)
        by_now = generator_steps(self.params, self.schedule, number)
        if self.schedule.design == FEDGAN:
            if by_now > before:
                players.average(before + 1)
        else:
            here = replace(self.context, seed=stream(self.context.seed, f"round {number}"))
            rng = latents_of(here)
            for step in range(before + 1, by_now + 1):
                players.generator_step(rng)
                players.average(step)
        return arrays(players)
