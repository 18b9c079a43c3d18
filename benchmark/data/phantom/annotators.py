"""Annotators of phantoms, who differ in where they end a label.

People do not agree on it. Arteries take 1.0 to 1.9 % of the head in public masks, and a segmenter
that learnt one convention is wrong by another. A data-free method cannot know a cohort's; patients
can tell it. The conventions here are guesses within and around that range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmark.core.errors import UsageError
from benchmark.core.names import unknown
from benchmark.data.phantom.settings import Size

USUAL = "usual"
ANNOTATORS: Mapping[str, Mapping[str, Any]] = {
    USUAL: {},
    "broad": {"labelled_margin": 1},  # version 3: 1.8 to 2.1 % of the brain, where usual is 0.8
    "narrow": {"labelled_step": 0.8},  # version 3: 0.5 to 0.6 %
}
"""The values of ``settings.Anatomy`` in which an annotator departs from a version's own."""


def annotated(size: Size, annotators: str) -> Size:
    """Return a size whose vessels are labelled by other annotators.

    Args:
        size: The size, with its version's own ones.
        annotators: A key of ``ANNOTATORS``.

    Raises:
        UsageError: For one that is not known.
    """
    if annotators not in ANNOTATORS:
        raise UsageError(unknown("annotator", annotators, ANNOTATORS))
    return replace(size, anatomy=replace(size.anatomy, **ANNOTATORS[annotators]))
