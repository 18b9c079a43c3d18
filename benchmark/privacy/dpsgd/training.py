"""A fit of many private steps: the training loop of every network that DP-SGD trains.

Each step draws its own Poisson batch (``sampling``); nothing else reads a patient. Steps are taken
in rounds, and rounds in strides. Before each stride the fit saves its state and counts the stride's
rounds (``checkpoint``). So a killed fit never runs more private steps than were planned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.workings import State, Tally
from benchmark.privacy.dpsgd.batch import Batch, drawn_by
from benchmark.privacy.dpsgd.engines import Loss, refuse_unruled, trainable
from benchmark.privacy.dpsgd.mixing import refuse_mixing
from benchmark.privacy.dpsgd.sampling import PoissonSampler
from benchmark.privacy.dpsgd.step import Step

STEP = "step"
"""The name of an optimiser's own step count, which stays on the CPU wherever its weights are."""


class Learner(ABC):
    """Networks and their optimisers: everything that training changes and a checkpoint keeps."""

    @abstractmethod
    def nets(self) -> Mapping[str, nn.Module]:
        """Return the networks by the names that they are saved under."""

    @abstractmethod
    def optimisers(self) -> Mapping[str, Optimizer]:
        """Return the optimisers by the names that their moments are saved under."""

    def tensors(self) -> dict[str, Tensor]:
        """Return weights and moments: ``NET.WEIGHT`` and ``OPTIMISER.NUMBER.MOMENT``."""
        nets = self.nets().items()
        found = {f"{name}.{k}": t for name, net in nets for k, t in net.state_dict().items()}
        for name, optimiser in self.optimisers().items():
            for i, weight in enumerate(_weights_of(optimiser)):
                moments = optimiser.state[weight].items()
                found |= {f"{name}.{i}.{moment}": tensor for moment, tensor in moments}
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what ``tensors()`` returned.

        A network that is not among the tensors stays as it is. An optimiser without tensors starts
        with no moments.

        Args:
            tensors: Weights and moments by name.

        Raises:
            ValueError: For moments of another shape than their weight's.
        """
        for name, net in self.nets().items():
            if below := _below(name, tensors):
                net.load_state_dict(below)
        for name, optimiser in self.optimisers().items():
            optimiser.state.clear()
            for i, weight in enumerate(_weights_of(optimiser)):
                if below := _below(f"{name}.{i}", tensors):
                    optimiser.state[weight] = _moments(below, weight)


class PrivateTraining(Learner):
    """One fit, as an audit is shown it (``core.workings.PrivateGame``).

    Args:
        step: The private gradient.
        sampler: Draws the units of a step from ``patches``.
        patches: Patients' patches.
        guarantee: What the fit claims.
        context: Its seed, noise, checkpoint, listeners and device.
        rounds: How many rounds the fit has.
        steps_per_round: Private steps in each.
        draws: The fit's public draws, and their name in a checkpoint.
    """

    critic: Any
    """The ``torch.nn.Module`` that sees patients; an audit puts others here."""

    def __init__(
        self,
        step: Step,
        sampler: PoissonSampler,
        patches: Patches,
        guarantee: Guarantee,
        context: FitContext,
        *,
        rounds: int,
        steps_per_round: int = 1,
        draws: tuple[str, torch.Generator],
    ) -> None:
        self.step, self.sampler, self.patches = step, sampler, patches
        self.guarantee, self.context = guarantee, context
        self.rounds, self.steps_per_round = rounds, steps_per_round
        self._draws, self.rng = draws

    @property
    def private_steps(self) -> int:
        """T: how many private steps the fit has, all rounds together."""
        return self.rounds * self.steps_per_round

    @abstractmethod
    def learn(self, drawn: Batch) -> None:
        """Take one private step.

        Args:
            drawn: Its units' labelled patches ``(n, 2, H, W)``, on the CPU, without fakes.
        """

    @abstractmethod
    def end_round(self, number: int, useful: int) -> None:
        """Finish a round after its private steps. This must read no patient and costs no privacy.

        Args:
            number: The round, from 1, counting rounds that a kill lost.
            useful: The round, from 1, without lost ones.
        """

    def begin_at(self, begun: int) -> None:
        """Prepare for the rounds after ``begun``.

        It is called once, before the first round that runs.
        """

    def run(self) -> Tally:
        """Take the planned rounds, from a checkpoint on if there is one.

        Returns:
            The counts of rounds at the end.
        """
        self.context.inspect(self)
        tally = self._resumed() or Tally(total=self.rounds)
        self.begin_at(tally.begun)
        while tally.begun < tally.total:
            self._keep(tally)
            for begun in range(tally.begun, tally.until):
                for _ in range(self.steps_per_round):
                    self.learn(drawn_by(self.sampler, self.patches))
                self.end_round(begun + 1, begun + 1 - tally.lost)
            tally = tally.done()
        self._keep(tally)
        return tally

    def _keep(self, tally: Tally) -> None:
        if self.context.checkpoint is not None:
            tensors = {**self.tensors(), self._draws: self.rng.get_state()}
            facts = {"noise": self.context.noise.state(), "draws": self.sampler.draws}
            self.context.checkpoint.save(State(tally, tensors, facts))

    def _resumed(self) -> Tally | None:
        """Go back to the checkpoint, if there is one."""
        checkpoint = self.context.checkpoint
        if checkpoint is None or checkpoint.state is None:
            return None
        kept = checkpoint.state
        self.load(kept.tensors)
        self.rng.set_state(kept.tensors[self._draws])
        self.sampler.draws = kept.facts["draws"]
        exact = kept.facts["noise"] is not None
        if exact:
            self.context.noise.restore(kept.facts["noise"])
        return kept.tally.resumed(exact=exact, counted=checkpoint.counted())


def step_of(
    guarantee: Guarantee, *, engine: str, real: Loss, fake: Loss = torch.zeros_like
) -> Step:
    """Return the private gradient with the numbers of a guarantee.

    Args:
        guarantee: Its clip norm, its noise, and its expected units in a step.
        engine: How a clipped sum is computed; a name of ``engines.ENGINES``.
        real: Loss of each real sample's score.
        fake: Loss of each fake's score, where there are fakes.
    """
    return Step(
        real_loss=real,
        fake_loss=fake,
        expected_units=guarantee.sampling_rate * guarantee.units,
        clip_norm=guarantee.clip_norm,
        noise_multiplier=guarantee.noise_multiplier,
        engine=engine,
    )


def sampler_of(
    patches: Patches,
    guarantee: Guarantee,
    context: FitContext,
    *,
    patches_per_draw: int,
    padded: bool = False,
) -> PoissonSampler:
    """Return the Poisson sampler with the unit and rate of a guarantee.

    Args:
        patches: The patches that it draws from.
        guarantee: Its unit and its sampling rate.
        context: Its noise draws units; its seed draws the patches within a patient.
        patches_per_draw: The most patches that a drawn patient brings.
        padded: Whether batches are padded to one size, for when others see how long a step takes.
    """
    return PoissonSampler(
        patches,
        unit=guarantee.unit,
        rate=guarantee.sampling_rate,
        patches_per_draw=patches_per_draw,
        noise=context.noise,
        seed=stream(context.seed, "patches within a patient"),
        padded=padded,
    )


def refuse_untrainable(critic: nn.Module, example: Tensor) -> None:
    """Refuse a critic that cannot be trained privately.

    Args:
        critic: Maps labelled patches ``(n, 2, H, W)`` to scores ``(n,)``.
        example: Three patches or more that belong to no patient.

    Raises:
        UsageError: If scores mix samples, or a layer has no rule for its gradients.
    """
    refuse_mixing(critic, example)
    refuse_unruled(critic)


def assign(net: nn.Module, gradient: Tensor) -> None:
    """Set the gradients of a network's trained weights from one flat gradient.

    Args:
        net: The network.
        gradient: Flat, in the order of ``trainable(net)``.
    """
    start = 0
    for weight in trainable(net):
        weight.grad = gradient[start : start + weight.numel()].view_as(weight)
        start += weight.numel()


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Set the learning rate of an optimiser for the next steps."""
    for group in optimiser.param_groups:
        group["lr"] = rate


@torch.no_grad()
def follow(averaged: nn.Module, net: nn.Module, *, averaging: float, done: int) -> None:
    """Update a running average of a network's weights.

    Args:
        averaged: The average; it is moved towards ``net``.
        net: A network of the same kind.
        averaging: The largest share that is kept of the average; less in the first steps.
        done: How many steps ``net`` has taken.
    """
    kept = min(averaging, done / (done + 10))
    for mean, now in zip(averaged.parameters(), net.parameters(), strict=True):
        mean.lerp_(now, 1 - kept)


def _weights_of(optimiser: Optimizer) -> Iterable[Any]:
    return [weight for group in optimiser.param_groups for weight in group["params"]]


def _moments(found: Mapping[str, Tensor], weight: Tensor) -> dict[str, Tensor]:
    """An optimiser's moments of one weight, on its device; its step count stays on the CPU."""
    for moment, tensor in found.items():
        if moment != STEP and tensor.shape != weight.shape:
            raise ValueError(
                f"{moment} has the shape {tuple(tensor.shape)} for {tuple(weight.shape)}."
            )
    return {moment: t if moment == STEP else t.to(weight.device) for moment, t in found.items()}


def _below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``name`` and a dot, without that."""
    start = f"{name}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
