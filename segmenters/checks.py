"""The laws that every segmenter keeps, for its author's own tests; see ``generators.checks``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmark.core.errors import NotFittedError
from benchmark.core.laws import LawBrokenError, hold
from benchmark.core.patches import Patches
from benchmark.core.segmenter import Segmenter, TrainContext

Law = Callable[[type[Segmenter]], None]
ODD_SHAPE = (37, 50, 3)


def patches() -> Patches:
    """Bright bars on a dark, noisy ground."""
    rng = np.random.default_rng(0)
    masks = np.zeros((32, 1, 32, 32), np.uint8)
    for mask, start in zip(masks, rng.integers(4, 24, 32), strict=True):
        mask[0, :, start : start + 4] = 1
    images = np.clip(rng.normal(-0.6, 0.1, masks.shape) + 1.2 * masks, -1, 1).astype(np.float32)
    return Patches(images=images, masks=masks)


def fitted(kind: type[Segmenter]) -> Segmenter:
    """The plug-in with its smoke settings, fitted on the bars."""
    segmenter = kind(kind.smoke)
    segmenter.fit(patches(), TrainContext(seed=0))
    return segmenter


def describes_itself(kind: type[Segmenter]) -> None:
    """Name, version, citation, presets and smoke settings are there and of the right type."""
    hold(bool(kind.name and kind.citation), "it needs a name and a citation")
    hold(isinstance(kind.version, int) and kind.version >= 1, "version is an integer from 1 on")
    hold("quick" in kind.presets, "there is a preset 'quick'")
    settings = [*kind.presets.values(), kind.smoke]
    hold(all(type(s) is kind.Params for s in settings), "presets and smoke are made of Params")


def marks_volumes_of_any_shape(kind: type[Segmenter]) -> None:
    """The mask has the volume's shape, also where no side is a power of two."""
    volume = np.full(ODD_SHAPE, -0.6, np.float32)
    mask = fitted(kind).predict(volume, (0.5, 0.5, 0.7))
    hold(mask.shape == ODD_SHAPE and mask.dtype == bool, "a boolean mask of the volume's shape")


def repeats_bit_for_bit(kind: type[Segmenter]) -> None:
    """One seed gives one prediction."""
    volume = np.random.default_rng(1).uniform(-1, 1, ODD_SHAPE).astype(np.float32)
    one, two = (fitted(kind).predict(volume, (0.5, 0.5, 0.7)) for _ in range(2))
    hold(np.array_equal(one, two), "a seeded fit repeats")


def predicts_only_when_fitted(kind: type[Segmenter]) -> None:
    """Predicting before a fit is refused."""
    try:
        kind(kind.smoke).predict(np.zeros(ODD_SHAPE, np.float32), (1.0, 1.0, 1.0))
    except NotFittedError:
        return
    raise LawBrokenError("Predicting before fit must raise NotFittedError.")


LAWS: dict[str, Law] = {
    law.__name__: law
    for law in (
        describes_itself,
        marks_volumes_of_any_shape,
        repeats_bit_for_bit,
        predicts_only_when_fitted,
    )
}
