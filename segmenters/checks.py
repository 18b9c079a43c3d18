"""The laws that every segmenter keeps, for the tests of its author; see ``generators.checks``.

The laws of a ``PrivateSegmenter`` pass for all other segmenters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial, wraps
from typing import Any

import numpy as np
import torch

from benchmark.core.budget import UNITS, Budget, Guarantee, PublicNumbers, Unit
from benchmark.core.errors import NotFittedError
from benchmark.core.generator import FitContext, unseen
from benchmark.core.laws import LawBrokenError, hold
from benchmark.core.mechanism import Grid, Integers, Noise
from benchmark.core.patches import Patches
from benchmark.core.segmenter import (
    FreeSegmenter,
    PrivateSegmenter,
    Segmenter,
    TrainContext,
)
from benchmark.privacy import conformance
from benchmark.privacy.dpsgd.batch import Batch
from benchmark.privacy.dpsgd.mixing import stirred
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.subject import Heard, Subject, numbers_of

PUBLIC = PublicNumbers(patients=4, patches_per_patient=8, patch_size=32)
FINITE_EPSILON = 5.0

Law = Callable[[type[Segmenter]], None]
ODD_SHAPE = (37, 50, 3)
PART_START, PART_SIDE = 9, 21


def patches() -> Patches:
    """Make patches with a bright bar on a dark, noisy ground."""
    rng = np.random.default_rng(0)
    masks = np.zeros((32, 1, 32, 32), np.uint8)
    for mask, start in zip(masks, rng.integers(4, 24, 32), strict=True):
        mask[0, :, start : start + 4] = 1
    images = np.clip(rng.normal(-0.6, 0.1, masks.shape) + 1.2 * masks, -1, 1).astype(np.float32)
    return Patches(images=images, masks=masks)


def patients_patches() -> Patches:
    """Return the same patches as eight of each of four patients."""
    owner = np.repeat(np.arange(PUBLIC.patients), PUBLIC.patches_per_patient)
    return replace(
        patches(),
        patient=owner,
        patients=PUBLIC.patients,
        patches_per_patient=PUBLIC.patches_per_patient,
    )


def privately_fitted(
    kind: type[PrivateSegmenter], unit: Unit = "patch", **context: Any
) -> PrivateSegmenter:
    """Make a plug-in with its smoke settings, and fit it privately with seeded noise.

    Args:
        kind: The plug-in's class.
        unit: The protected unit.
        context: Further values of the ``FitContext``.
    """
    segmenter = kind(kind.smoke)
    planned = segmenter.plan(PUBLIC, _budget(unit))
    segmenter.fit_privately(patients_patches(), planned, _context(**context))
    return segmenter


def fitted(kind: type[Segmenter]) -> Segmenter:
    """Make a plug-in with its smoke settings, and fit it on ``patches()``."""
    segmenter = kind(kind.smoke)
    segmenter.fit(patches(), TrainContext(seed=0))
    return segmenter


def describes_itself(kind: type[Segmenter]) -> None:
    """Check that name, version, citation, presets and smoke settings exist and have their types."""
    hold(bool(kind.name and kind.citation), "it needs a name and a citation")
    hold(isinstance(kind.version, int) and kind.version >= 1, "version is an integer from 1 on")
    hold("quick" in kind.presets, "there is a preset 'quick'")
    settings = [*kind.presets.values(), kind.smoke]
    hold(all(type(s) is kind.Params for s in settings), "presets and smoke are made of Params")


def marks_volumes_of_any_shape(kind: type[Segmenter]) -> None:
    """Check that the mask has the volume's shape, also where no side is a power of two."""
    volume = np.full(ODD_SHAPE, -0.6, np.float32)
    mask = fitted(kind).predict(volume, (0.5, 0.5, 0.7))
    hold(mask.shape == ODD_SHAPE and mask.dtype == bool, "a boolean mask of the volume's shape")


def marks_a_part_like_the_whole_if_it_has_a_reach(kind: type[Segmenter]) -> None:
    """Check that the marks of a part of each slice depend on what its ``reach`` says, alone."""
    segmenter = fitted(kind)
    reach = segmenter.reach
    if reach is None:
        return
    start = -(-PART_START // reach.multiple) * reach.multiple
    side = start + 2 * reach.pixels + PART_SIDE
    shape = (side + PART_SIDE, side + PART_SIDE, 3)
    volume = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    whole = segmenter.margin(volume, (0.5, 0.5, 0.7))
    part = segmenter.margin(volume[start:side, start:side, 1:], (0.5, 0.5, 0.7))
    inside = np.s_[reach.pixels : -reach.pixels]
    hold(
        np.array_equal(whole[start:side, start:side, 1:][inside, inside], part[inside, inside]),
        "within its reach, a part of a volume is marked as in the whole",
    )


def repeats_bit_for_bit(kind: type[Segmenter]) -> None:
    """Check that one seed gives one prediction."""
    volume = np.random.default_rng(1).uniform(-1, 1, ODD_SHAPE).astype(np.float32)
    one, two = (fitted(kind).predict(volume, (0.5, 0.5, 0.7)) for _ in range(2))
    hold(np.array_equal(one, two), "a seeded fit repeats")


def predicts_only_when_fitted(kind: type[Segmenter]) -> None:
    """Check that predicting before a fit is refused."""
    try:
        kind(kind.smoke).predict(np.zeros(ODD_SHAPE, np.float32), (1.0, 1.0, 1.0))
    except NotFittedError:
        return
    raise LawBrokenError("Predicting before fit must raise NotFittedError.")


def rests_on_its_constants_if_it_is_free(kind: type[Segmenter]) -> None:
    """Check that a free segmenter marks a volume without any patch, and spends nothing."""
    if not issubclass(kind, FreeSegmenter):
        return
    hold(type(kind.constants) is kind.Params, "the constants are made of Params")
    segmenter = kind(kind.constants)
    segmenter.rest_on_constants()
    volume = np.random.default_rng(1).uniform(-1, 1, ODD_SHAPE).astype(np.float32)
    mask = segmenter.predict(volume, (0.5, 0.5, 0.7))
    hold(mask.shape == ODD_SHAPE and mask.dtype == bool, "a boolean mask of the volume's shape")
    for unit in UNITS:
        hold(segmenter.plan(PUBLIC, _budget(unit)).epsilon == 0, "it costs no privacy")


def plans_within_the_budget_if_it_is_private(kind: type[Segmenter]) -> None:
    """Check that the planned ε never exceeds the target, for either unit.

    The plan must also name the unit, the δ and what it covers.
    """
    if not issubclass(kind, PrivateSegmenter):
        return
    for unit in UNITS:
        planned = kind(kind.smoke).plan(PUBLIC, _budget(unit))
        hold(planned.epsilon <= FINITE_EPSILON, "the planned ε is within the target")
        hold(planned.unit == unit, "the guarantee names the unit that was asked for")
        hold(planned.delta == _budget(unit).delta, "the guarantee has the budget's δ")
        hold("segmenter" in planned.covers, "the guarantee says that it covers the segmenter")


def charges_before_touching_if_it_is_private(kind: type[Segmenter]) -> None:
    """Check that a private fit charges once, as planned, and before it reads the patches."""
    if not issubclass(kind, PrivateSegmenter):
        return
    charged: list[Guarantee] = []

    class Guarded(Patches):
        def __getattribute__(self, name: str) -> Any:
            if name in {"images", "masks", "patient"} and not charged and ready:
                raise LawBrokenError("Patches were read before the charge.")
            return super().__getattribute__(name)

    ready: list[bool] = []
    plain = patients_patches()
    guarded = Guarded(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})
    ready.append(True)
    for unit in UNITS:
        charged.clear()
        segmenter = kind(kind.smoke)
        planned = segmenter.plan(PUBLIC, _budget(unit))
        spent = segmenter.fit_privately(guarded, planned, _context(charge=charged.append))
        hold(len(charged) == 1, "a fit charges exactly once")
        hold(charged[0].epsilon >= spent.epsilon, "the charge covers what is spent")
        hold(spent.epsilon <= planned.epsilon, "what is spent is within the plan")
        hold(spent.seeded, "seeded noise is recorded as such")


def repeats_bit_for_bit_if_it_is_private(kind: type[Segmenter]) -> None:
    """Check that one seed and one noise give one prediction, for either unit."""
    if not issubclass(kind, PrivateSegmenter):
        return
    volume = np.random.default_rng(1).uniform(-1, 1, ODD_SHAPE).astype(np.float32)
    for unit in UNITS:
        one, two = (privately_fitted(kind, unit).predict(volume, (0.5, 0.5, 0.7)) for _ in range(2))
        hold(np.array_equal(one, two), "a seeded private fit repeats")


def one_unit_moves_the_sum_by_the_clip_norm_if_it_shows_its_step(kind: type[Segmenter]) -> None:
    """Check without noise that zeroing out a unit moves the sum by the sensitivity at most."""
    if not issubclass(kind, PrivateSegmenter):
        return
    for unit in UNITS:
        seen: list[Any] = []
        privately_fitted(kind, unit, inspect=seen.append)
        for inside in (one for one in seen if hasattr(one, "step")):
            critic = stirred(inside.critic)
            each = 3 if unit == "patient" else 1
            owner = torch.arange(4).repeat_interleave(each)
            rng = torch.Generator().manual_seed(0)
            shape = len(owner), 2, PUBLIC.patch_size, PUBLIC.patch_size
            loud = 50 * (2 * torch.rand(shape, generator=rng) - 1)
            whole, less = (
                inside.step.gradient(critic, Batch(loud[kept], owner[kept]), Silence())
                for kept in (owner >= 0, owner > 0)
            )
            moved = float((whole - less).norm()) * inside.step.expected_units
            hold(0 < moved <= inside.guarantee.sensitivity, f"a {unit} moves it by S")


class Silence:
    """A noise source that adds no noise, to look at the sum alone."""

    def noised(self, sums: Integers, grid: Grid) -> Integers:
        """Return the sums unchanged."""
        return sums


def subjects(kind: type[Segmenter]) -> Iterator[Subject]:
    """Yield a private segmenter's fits for both units."""
    if not issubclass(kind, PrivateSegmenter):
        return
    for unit in UNITS:
        planned = numbers_of(kind(kind.smoke).plan(PUBLIC, _budget(unit)))
        yield Subject(
            name=f"{kind.name} (unit {unit})",
            guarantee=planned,
            patches=patients_patches(),
            leaves=partial(_left_by_a_fit, kind, planned),
        )


def _left_by_a_fit(
    kind: type[PrivateSegmenter], planned: Guarantee, data: Patches, noise: Noise
) -> dict[str, bytes]:
    segmenter, heard = kind(kind.smoke), Heard(noise)
    spent = segmenter.fit_privately(data, planned, heard.context)
    volume = np.random.default_rng(1).uniform(-1, 1, ODD_SHAPE).astype(np.float32)
    return {
        **heard.content(),
        "guarantee": repr(spent).encode(),
        "prediction": segmenter.predict(volume, (0.5, 0.5, 0.7)).tobytes(),
    }


def _of_every_subject(law: Callable[[Subject], None]) -> Law:
    """A law of private fits as one of segmenters; it asks nothing of those that are not private."""

    @wraps(law)
    def of_kind(kind: type[Segmenter]) -> None:
        for subject in subjects(kind):
            law(subject)

    return of_kind


def _budget(unit: Unit) -> Budget:
    return Budget(epsilon=FINITE_EPSILON, delta=1e-3, unit=unit)


def _context(
    charge: Callable[[Guarantee], None] = lambda guarantee: None,
    inspect: Callable[[Any], None] = unseen,
) -> FitContext:
    noise = SeededNoise(0, "conformance")
    return FitContext(seed=0, noise=noise, charge=charge, inspect=inspect)


LAWS: dict[str, Law] = {
    law.__name__: law
    for law in (
        describes_itself,
        marks_volumes_of_any_shape,
        marks_a_part_like_the_whole_if_it_has_a_reach,
        repeats_bit_for_bit,
        predicts_only_when_fitted,
        rests_on_its_constants_if_it_is_free,
        plans_within_the_budget_if_it_is_private,
        charges_before_touching_if_it_is_private,
        repeats_bit_for_bit_if_it_is_private,
        one_unit_moves_the_sum_by_the_clip_norm_if_it_shows_its_step,
        *map(_of_every_subject, conformance.LAWS.values()),
    )
}
