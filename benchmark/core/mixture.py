"""The design ``mixture``: every site fits a generator alone, and the server pools what they draw.

There is one round. Site k plans, charges and fits as if there were no others: with its own number
of patients and its own noise. Then it draws its share of a fixed number of synthetic patches. That
is post-processing of its fit, so its reply is (ε_k, δ)-DP for its patients. Patients are disjoint,
so the pool is (max ε_k, δ)-DP for each of them. The design needs nothing of a generator but its
contract.

References: McSherry (2009), "Privacy Integrated Queries", theorem 4, for disjoint parts of the
data. Averaging models that were trained once at each site is the one-shot federated learning of
Guha, Talwalkar and Smith (2019), arXiv:1902.11175; here samples take the place of models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import NotFittedError, PlugInError, UsageError
from benchmark.core.federation import Arrays, FederatedGenerator, Schedule, ServerSide, SiteSide
from benchmark.core.generator import FitContext, Generator, drawn
from benchmark.core.names import unknown
from benchmark.core.parsers import json_in
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.settings import Settings

MIXTURE = "mixture"
POOLED = 8192
"""How many patches all sites send together: what a segmenter learns from in the preset
``standard``."""

WHITE = 65535
"""The level of a reply that stands for an intensity of 1; level 0 stands for -1."""

SETTINGS, WEIGHTS = "settings.json", "weights.safetensors"


class Mixture(FederatedGenerator):
    """Draws from a pool of synthetic patches, which sites made with generators of their own.

    ``designs.mixture_of`` makes a subclass for each generator.

    Guarantees:
        * ``site_side`` replies with post-processing of one fit that ``alone`` makes private.
        * ``sample`` reads the pool alone and spends nothing.

    Attributes:
        alone: The class of the generator that every site fits.
        pooled: How many patches all sites send together.
    """

    alone: ClassVar[type[Generator]]
    pooled: ClassVar[int]
    designs: ClassVar[Mapping[str, str]] = {
        MIXTURE: "every site fits alone and sends synthetic patches once, and the server pools them"
    }

    def __init__(self, params: Settings) -> None:
        self.params = params
        self._share = 1.0
        self._pool: Arrays | None = None

    def plan(self, public: PublicNumbers, budget: Budget) -> Guarantee:
        """Plan what the generator itself plans.

        Raises:
            UsageError: As it does.
        """
        return self.alone(self.params).plan(public, budget)

    def noised_numbers(self, public: PublicNumbers) -> int | None:
        """Count what the generator itself counts."""
        return self.alone(self.params).noised_numbers(public)

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        """Fit and draw the pool, as if all patients were at one site."""
        self._pool, spent = self.drawn_alone(patches, guarantee, context)
        return spent

    def drawn_alone(
        self, patches: Patches, guarantee: Guarantee, context: FitContext
    ) -> tuple[Arrays, Guarantee]:
        """Fit a new generator, and draw this site's patches from it.

        Args:
            patches: The site's own.
            guarantee: Its plan.
            context: What the fit may use; its seed also seeds the draw.

        Returns:
            ``images`` as uint16 and ``masks`` as uint8, both ``(n, 1, H, W)``; and what was spent.

        Raises:
            PlugInError: If more was spent than planned, or something else was drawn.
        """
        generator = self.alone(self.params)
        spent = generator.fit(patches, guarantee, context)
        if spent.epsilon > guarantee.epsilon:
            raise PlugInError(
                f"{self.name} spent ε = {spent.epsilon:g} of {guarantee.epsilon:g} planned; a site "
                "sends nothing that costs more than it has charged."
            )
        n = most_of(self._share, self.pooled)
        made = drawn(generator, n, seed=stream(context.seed, MIXTURE), size=patches.size)
        return {"images": levels(made.images), "masks": made.masks}, spent

    def schedule(
        self, *, design: str, rounds: int | None = None, local_steps: int | None = None
    ) -> Schedule:
        """Return the schedule: one round with one fit.

        Raises:
            UsageError: For another design, or for more.
        """
        if design not in self.designs:
            raise UsageError(unknown("design", design, list(self.designs)))
        made = Schedule(design=design, rounds=rounds or 1, local_steps=local_steps or 1)
        check_once(made)
        return made

    def at_site(self, share: float) -> Self:
        """Return the same generator, which draws a share of the pool."""
        made = type(self)(self.params)
        made._share = share
        return made

    def plan_at_site(self, public: PublicNumbers, budget: Budget, schedule: Schedule) -> Guarantee:
        """Plan a fit of the site alone.

        Raises:
            UsageError: For more than one round, of which each would be a fit that nobody accounted;
                or as the generator's own plan does.
        """
        check_once(schedule)
        return self.plan(public, budget)

    def site_side(self, patches: Patches, guarantee: Guarantee, schedule: Schedule) -> SiteSide:
        """Return what fits the generator at a site."""
        check_once(schedule)
        return MixtureSite(self, patches, guarantee)

    def server_side(self, size: int, schedule: Schedule, context: FitContext) -> ServerSide:
        """Return what pools the sites' patches."""
        return MixtureServer(self.pooled, size)

    def close(self, state: Arrays, size: int) -> None:
        """Take over the pool."""
        self._pool = dict(state)

    def sample(self, n: int, *, seed: int) -> Patches:
        """Draw from the pool, each patch once before any is drawn again.

        Raises:
            NotFittedError: Before ``close``, ``fit`` or ``load``.
        """
        pool = self._filled("sample")
        whole, rng = len(pool["images"]), np.random.default_rng(stream(seed, "samples"))
        passes = [rng.permutation(whole) for _ in range(math.ceil(n / whole))]
        rows = np.concatenate(passes)[:n]
        return Patches(images=intensities(pool["images"][rows]), masks=pool["masks"][rows])

    def save(self, folder: Path) -> None:
        """Write ``settings.json``, and the pool as ``weights.safetensors``.

        Raises:
            NotFittedError: Before ``close``, ``fit`` or ``load``.
        """
        pool = self._filled("be saved")
        settings = {"design": MIXTURE, "params": self.params.as_dict()}
        (folder / SETTINGS).write_text(json.dumps(settings, indent=1))
        save_file(dict(pool), folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The generator that ``save`` wrote."""
        made = cls(cls.Params(**json_in(folder / SETTINGS)["params"]))
        made._pool = load_file(folder / WEIGHTS)
        return made

    def _filled(self, what: str) -> Arrays:
        if self._pool is None:
            raise NotFittedError(f"{self.name} must be fitted before it can {what}.")
        return self._pool


class MixtureSite:
    """The site's part: one fit of its own, and patches that it draws from that.

    Args:
        mixture: The site's generator.
        patches: The site's own patches.
        guarantee: Its plan.
    """

    def __init__(self, mixture: Mixture, patches: Patches, guarantee: Guarantee) -> None:
        self._mixture, self._patches, self._guarantee = mixture, patches, guarantee

    def compute(self, number: int, state: Arrays, context: FitContext) -> Arrays:
        """Return the site's synthetic patches; the server's state decides nothing.

        The site has charged the run by now, and keeps no checkpoint but its reply.
        """
        alone = replace(context, charge=lambda charged: None, checkpoint=None)
        reply, _ = self._mixture.drawn_alone(self._patches, self._guarantee, alone)
        return reply


class MixtureServer:
    """The server's part: it puts the sites' patches together.

    Args:
        pooled: How many patches the pool has.
        size: The side of a patch.
    """

    def __init__(self, pooled: int, size: int) -> None:
        self._pooled, self._size = pooled, size

    def begin(self) -> Arrays:
        """Return a pool of blank patches."""
        return self._blank(self._pooled)

    def sent(self, state: Arrays) -> Arrays:
        """Return nothing: a site needs no state."""
        return {}

    def returned(self, state: Arrays, share: float) -> Arrays:
        """Return as many blank patches as a site with this share draws."""
        return self._blank(most_of(share, self._pooled))

    def combine(
        self, number: int, state: Arrays, replies: Sequence[Arrays], weights: Sequence[float]
    ) -> Arrays:
        """Return the first patches of every site, by its share and in the sites' order.

        Whatever a site sent for a mask is one: other values than 0 count as 1.
        """
        counts = parts_of(weights, self._pooled)
        taken = [
            {name: array[:n] for name, array in reply.items()}
            for n, reply in zip(counts, replies, strict=True)
        ]
        return {
            "images": np.concatenate([one["images"] for one in taken]),
            "masks": np.minimum(np.concatenate([one["masks"] for one in taken]), 1),
        }

    def _blank(self, n: int) -> Arrays:
        shape = (n, 1, self._size, self._size)
        return {"images": np.zeros(shape, np.uint16), "masks": np.zeros(shape, np.uint8)}


def check_once(schedule: Schedule) -> None:
    """Refuse more than one fit of a site.

    Raises:
        UsageError: For more rounds or local steps than one.
    """
    if (schedule.rounds, schedule.local_steps) != (1, 1):
        raise UsageError(
            f"With --design {MIXTURE} a site fits once, in one round; got {schedule.rounds} rounds "
            f"and {schedule.local_steps} local steps; leave --rounds and --local-steps out."
        )


def most_of(share: float, pooled: int) -> int:
    """Count the patches that a site draws: its share of the pool, rounded up.

    Examples:
        >>> most_of(1 / 3, 100), most_of(0.5, 100)
        (34, 50)
    """
    return math.ceil(share * pooled)


def parts_of(shares: Sequence[float], pooled: int) -> list[int]:
    """Divide a pool among sites by largest remainders; the first of equal ones comes first.

    Args:
        shares: The sites' shares, which sum to 1.
        pooled: How many patches there are.

    Returns:
        Whole numbers that sum to ``pooled``, none above ``most_of`` of its share.

    Examples:
        >>> parts_of([0.5, 0.25, 0.25], 10), parts_of([1 / 3] * 3, 100)
        ([5, 3, 2], [34, 33, 33])
    """
    wanted = [share * pooled for share in shares]
    counts = [math.floor(number) for number in wanted]
    by_remainder = sorted(range(len(shares)), key=lambda k: counts[k] - wanted[k])
    for k in by_remainder[: pooled - sum(counts)]:
        counts[k] += 1
    return counts


def levels(images: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Convert intensities in [-1, 1] to the nearest of 65,536 levels, which take half the bytes."""
    return np.rint((images.astype(np.float64) + 1) / 2 * WHITE).astype(np.uint16)


def intensities(images: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Convert levels to intensities.

    Examples:
        >>> intensities(levels(np.array([-1, 1], np.float32))).tolist()
        [-1.0, 1.0]
    """
    return (images / WHITE * 2 - 1).astype(np.float32)
