"""Canaries were planted for the audit alone: none of what is released may resemble one."""

from __future__ import annotations

import numpy as np

from benchmark.audit.canaries import canaries_of
from benchmark.core.errors import PlugInError
from benchmark.core.generator import drawn
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.release.nearest_real import likeness
from benchmark.release.source import Source

ALIKE = 0.9
"""The correlation from which an image counts as one of a canary."""

TRIES = 20


def without_canaries(patches: Patches, source: Source, *, seed: int) -> Patches:
    """Replace the patches that resemble a canary of the run by others.

    Args:
        patches: What was drawn.
        source: The run.
        seed: What they were drawn with.

    Returns:
        As many patches; the same where the run has no canaries.

    Raises:
        PlugInError: If the generator draws canaries again and again.
    """
    spec = source.result.spec
    if not spec.planted:
        return patches
    planted = canaries_of(spec.seed, spec.planted, patches.size)
    images, masks = np.array(patches.images), np.array(patches.masks)
    wrong = np.arange(len(patches))
    for turn in range(TRIES):
        looked = Patches(images=images[wrong], masks=masks[wrong])
        wrong = wrong[likeness(looked, planted).images >= ALIKE]
        if not len(wrong):
            return Patches(images=images, masks=masks)
        again = stream(seed, f"instead of canaries {turn}")
        more = drawn(source.generator, len(wrong), seed=again, size=patches.size)
        images[wrong], masks[wrong] = more.images, more.masks
    raise PlugInError(
        f"{spec.generator.name} draws the run's canaries again and again, so it keeps what it was "
        "fitted on; nothing of it may leave."
    )
