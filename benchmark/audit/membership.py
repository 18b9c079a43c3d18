"""Black-box membership inference: does a synthetic patch lie closer to those that were fitted on?

The attacker has the synthetic patches alone and takes a record for a member if its nearest
synthetic patch is near: by the image, and by the mask, as a copied vessel tree betrays a patient
also under another texture (distance to the closest record; Hilprecht et al. 2019, PoPETs 2019/4).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.core.patches import Patches

LOW_RATES = (0.01, 0.1)


class Curve(NamedTuple):
    """How well members are told from others.

    Attributes:
        false: False-positive rates, ascending from 0 to 1.
        true: The true-positive rate at each.
        area: Under the curve; ½ is chance.
    """

    false: NDArray[np.float64]
    true: NDArray[np.float64]
    area: float

    def at(self, rate: float) -> float:
        """The most true positives at no more false ones than ``rate``."""
        return float(self.true[self.false <= rate].max(initial=0.0))


def membership(synthetic: Patches, members: Patches, others: Patches) -> dict[str, Curve]:
    """The curves of the attack by images and, where a record has vessels, by masks.

    Args:
        synthetic: What was released.
        members: Patches that were fitted on.
        others: Patches of patients who were not.
    """
    found = {}
    for name in ("images", "masks"):
        released = getattr(synthetic, name)
        inside, outside = (-_nearest(_records(p, name), released) for p in (members, others))
        found[name] = roc(inside, outside)
    return found


def roc(members: NDArray[np.float64], others: NDArray[np.float64]) -> Curve:
    """The curve of taking for members whatever scores above a threshold; ties go together."""
    scores = np.concatenate([members, others])
    labels = np.concatenate([np.ones(len(members)), np.zeros(len(others))])
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    true = np.concatenate([[0], np.cumsum(labels[order])[last] / len(members)])
    false = np.concatenate([[0], np.cumsum(1 - labels[order])[last] / len(others)])
    return Curve(false, true, float(np.trapezoid(true, false)))


def _records(patches: Patches, name: str) -> NDArray[np.generic]:
    """Images, or the masks that are not empty: an empty one is like any other."""
    if name == "images":
        return patches.images
    return patches.masks[patches.masks.any((1, 2, 3))]


def _nearest(records: NDArray[np.generic], synthetic: NDArray[np.generic]) -> NDArray[np.float64]:
    """Each record's distance to the closest synthetic one."""
    one, two = (
        torch.from_numpy(a.reshape(len(a), -1).astype(np.float32)) for a in (records, synthetic)
    )
    return torch.cdist(one, two).min(dim=1).values.double().numpy()
