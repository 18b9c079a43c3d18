"""Both sides of a fit by secure sums, for every generator that learns by noised means.

A site's side computes its noised sums in whole numbers, which the site masks. The server's side
adds the masked sums of all sites. It then computes what a single site with all patients would have
replied: everything after the noise is post-processing, so the generator's own code does it, on no
patient, fed the sums. The generator's own server side takes that one reply.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import UsageError
from benchmark.core.federation import Arrays, FederatedGenerator, Schedule, ServerSide, SiteSide
from benchmark.core.generator import FitContext
from benchmark.core.patches import Patches
from benchmark.privacy.mechanisms.shared_noise import SharedPlan
from benchmark.privacy.mechanisms.shared_sources import KnownSums, SharedNoise
from federation.secure_sum import total

SUM = "sum {}"
"""The name of a noised sum in a reply; they are numbered from 1."""


def terms_of(plan: SharedPlan, job: str) -> str:
    """Write all that sites must agree on before they rely on each other's noise.

    An ε is not among it, because two machines may round its last digit differently.

    Args:
        plan: What every site planned.
        job: The job's text.
    """
    said = plan.guarantee
    noise = {"share": plan.share.scale, "grid": said.grid, "clip_norm": said.clip_norm}
    public = {"patients": said.patients, "steps": said.steps, "delta": said.delta}
    return json.dumps({"job": job, **asdict(plan.sharing), **noise, **public}, sort_keys=True)


class SummingSite:
    """A site's side: its noised sums, before they are masked.

    Args:
        side: The generator's own, made with ``plan.guarantee``.
        plan: What ``plan_in_shares`` returned.
    """

    def __init__(self, side: SiteSide, plan: SharedPlan) -> None:
        self._side, self._plan = side, plan

    def compute(self, number: int, state: Arrays, context: FitContext) -> Arrays:
        """Compute the site's noised sums of a round.

        Nobody but the site may see them: they hold no more noise than one share.

        Args:
            number: The round, from 1.
            state: What the server sent.
            context: Seed and noise of this site's round. The noise must be no other site's.

        Returns:
            int64, by name, to be kept and then given to ``Session.mask``.
        """
        noise = SharedNoise(context.noise, self._plan)
        self._side.compute(number, state, replace(context, noise=noise))
        return _named(noise.sums)


class SummingServer:
    """The server's side.

    Args:
        generator: The generator, whose ``close`` takes the last state.
        plan: What ``plan_in_shares`` returned.
        schedule: The rounds.
        size: The side of a patch, in pixels.
        context: Seed, progress and device.
    """

    def __init__(
        self,
        generator: FederatedGenerator,
        plan: SharedPlan,
        schedule: Schedule,
        size: int,
        context: FitContext,
    ) -> None:
        self._plan, self._context = plan, context
        self._inner: ServerSide = generator.server_side(size, schedule, context)
        everybody = plan.against(0)
        nobody = _nobody(size, everybody.patients, everybody.patches_per_patient)
        self._reader = generator.at_site(1.0).site_side(nobody, everybody, schedule)
        self._lengths: list[int] = []

    def begin(self) -> Arrays:
        """Make the state before the first round."""
        return self._inner.begin()

    def sent(self, state: Arrays) -> Arrays:
        """Return the part of a state that sites need."""
        return self._inner.sent(state)

    def returned(self, state: Arrays, share: float) -> Arrays:
        """Return arrays with the names, shapes and types of a site's masked sums: all alike."""
        if not self._lengths:
            probe = KnownSums(None)
            self._read(1, state, probe)
            self._lengths = probe.lengths
        return _named([np.zeros(length, np.uint64) for length in self._lengths])

    def combine(
        self, number: int, state: Arrays, replies: Sequence[Arrays], weights: Sequence[float]
    ) -> Arrays:
        """Add the masked sums and make the state after a round.

        Args:
            number: The round, from 1.
            state: The state before it.
            replies: What every site's ``Session.mask`` returned.
            weights: Not used: patients are summed, so each counts once.

        Returns:
            The next state.

        Raises:
            UsageError: If a site is missing, or the masks do not cancel.
        """
        sites = self._plan.sharing.sites
        if len(replies) != sites:
            raise UsageError(f"Expected the sums of {sites} sites, got {len(replies)}.")
        added = total(replies, self._plan.largest_sum)
        known = KnownSums([added[SUM.format(k + 1)] for k in range(len(added))])
        reply = self._read(number, state, known)
        if not known.is_over:
            raise UsageError("The sites sent more sums than the generator has mechanisms.")
        return self._inner.combine(number, state, [reply], [1.0])

    def _read(self, number: int, state: Arrays, sums: KnownSums) -> Arrays:
        """The reply of a site that has all patients, from the sums alone."""
        context = replace(self._context, noise=sums)
        return self._reader.compute(number, self._inner.sent(state), context)


def _named(sums: Sequence[NDArray[Any]]) -> Arrays:
    return {SUM.format(k): one for k, one in enumerate(sums, 1)}


def _nobody(size: int, patients: int, patches_per_patient: int) -> Patches:
    """No patches, with the public numbers of all patients."""
    shape = (0, 1, size, size)
    return Patches(
        images=np.zeros(shape, np.float32),
        masks=np.zeros(shape, np.uint8),
        patient=np.zeros(0, np.int64),
        patients=patients,
        patches_per_patient=patches_per_patient,
    )
