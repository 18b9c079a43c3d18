"""Membership inference by the distance of synthetic patches from those that were fitted on.

Candidates are chosen among the training patches by a seed. A fair coin keeps each of them in the
fit or holds it out; its slot then stays empty. So those in and those out differ by nothing but the
fit. The attacker has the synthetic patches alone. A candidate whose nearest synthetic patch is near
is guessed in. Distances are taken by the image and by the mask, as a copied vessel tree reveals a
patient also under another texture (distance to the closest record; Hilprecht et al. 2019, PoPETs
2019/4). ``judgement`` computes what the guesses prove.

Patches are compared as means over a grid of 8 x 8 blocks, which are little affected by noise on a
copy, and in all eight orientations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmark.audit.judgement import (
    COUNTS,
    Claim,
    Guesses,
    Judgement,
    apart,
    judge,
    nearest_in,
    number_of_candidates,
    numbers_of_guesses,
)
from benchmark.core.budget import Guarantee, Unit
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream

MISTAKE = 0.05
"""The largest probability that membership inference refutes a claim that holds."""

FOR_PATCHES = 0.01
"""The part of it for patches where patients are units too. There are many more patches."""

SHARE, MOST = 4, 4000
"""One patch in ``SHARE`` is a candidate, and at most ``MOST`` patches are."""

RECORDS = 150
"""How many patches a patient is recognised by, at most ``MOST`` for all patients together."""

NEAREST = 0.02
"""The share of a patient's patches, the nearest ones, whose mean distance is the patient's
score."""

SIDE = 8
FAR = 1e6
"""The distance of a mask without vessels, which is like any other."""

SCORES = ("images", "masks")


class Curve(NamedTuple):
    """The receiver operating characteristic of telling members from others.

    Attributes:
        false: False-positive rates, ascending from 0 to 1.
        true: The true-positive rate at each.
        area: Under the curve; ½ is chance.
    """

    false: NDArray[np.float64]
    true: NDArray[np.float64]
    area: float


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The candidates, and those that were held out.

    Attributes:
        kept: The patches that enter the fit; public numbers as before.
        rows: Indices of the candidate patches.
        included: ``(len(rows),)``, whether each is in.
        patients: Indices of the candidate patients; none where the unit is a patch.
        patients_included: Whether each is in.
        records: ``(len(patients), k)``, indices of patches that each is recognised by.
    """

    kept: Patches
    rows: NDArray[np.int64]
    included: NDArray[np.bool_]
    patients: NDArray[np.int64]
    patients_included: NDArray[np.bool_]
    records: NDArray[np.int64]


def hold_out(known: Patches, planned: Guarantee, *, seed: int) -> HeldOut:
    """Choose candidates, and hold out about half of them.

    With the patient as unit, all patients but one are candidates (so that a fit always has some).
    Patches are then candidates among the patients who are in, about half of all.

    Args:
        known: The training patches.
        planned: The guarantee to be judged; the number of candidates depends on it.
        seed: Decides the choice and the coins.

    Raises:
        ValueError: If the patches name no patients.
    """
    if known.patient is None:
        raise ValueError("Patches of no known patient cannot be held out by unit.")
    rng = np.random.default_rng(stream(seed, "held out"))
    owners = rng.permutation(np.unique(known.patient))
    patients = owners[1:] if planned.unit == "patient" else owners[:0]
    patients_included = rng.random(len(patients)) < 0.5
    chosen = rng.permutation(len(known))[: _candidates(len(known), planned)]
    entered = rng.random(len(chosen)) < 0.5
    absent = np.isin(known.patient, patients[~patients_included])
    left = ~absent
    left[chosen[~entered]] = False
    free = np.ones(len(known), bool)
    free[chosen] = False
    return HeldOut(
        kept=_taken(known, np.flatnonzero(left)),
        rows=chosen[~absent[chosen]],
        included=entered[~absent[chosen]],
        patients=patients,
        patients_included=patients_included,
        records=_records(known.patient, patients, free, rng),
    )


def _candidates(patches: int, planned: Guarantee) -> int:
    """How many patches are candidates; of those where patients are units, half are seen."""
    parts = 2 if planned.unit == "patient" else 1
    most, claim = min(MOST, patches // SHARE), Claim.of_a_patch(planned)
    mistake = mistake_of("patch", planned.unit) / (COUNTS * len(SCORES))
    return parts * number_of_candidates(most // parts, claim, mistake=mistake)


def mistake_of(judged: Unit, claimed: Unit) -> float:
    """Return the probability of a mistake that the test of one unit may have.

    Args:
        judged: The unit of the candidates.
        claimed: The unit of the claim.
    """
    if judged == "patient":
        return MISTAKE - FOR_PATCHES
    return MISTAKE if claimed == "patch" else FOR_PATCHES


def _records(
    owner: NDArray[np.int64],
    patients: NDArray[np.int64],
    free: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """As many patches of each patient, none of them a candidate by itself; some more than once."""
    each = min(RECORDS, max(1, MOST // max(1, len(patients))))
    mine = [np.flatnonzero((owner == p) & free) for p in patients]
    mine = [
        m if len(m) else np.flatnonzero(owner == p) for m, p in zip(mine, patients, strict=True)
    ]
    chosen = [rng.choice(m, each, replace=len(m) < each) for m in mine]
    return np.array(chosen, np.int64).reshape(len(patients), each)


class Nearest:
    """The distances of some patches from the nearest synthetic one, by image and by mask.

    Args:
        records: Those patches.
    """

    def __init__(self, records: Patches) -> None:
        self._records = {name: _blocks(getattr(records, name)) for name in SCORES}
        self._least = {name: torch.full((len(records),), torch.inf) for name in SCORES}

    def hear(self, synthetic: Patches) -> None:
        """Take more synthetic patches into account."""
        for name in SCORES:
            drawn = _turned(_blocks(getattr(synthetic, name))).flatten(1)
            found = torch.cdist(self._records[name].flatten(1), drawn).amin(1)
            self._least[name] = torch.minimum(self._least[name], found)

    @property
    def scores(self) -> dict[str, NDArray[np.float64]]:
        """The distances by kind; those of masks are relative to the mask's own length."""
        length = self._records["masks"].flatten(1).norm(dim=1)
        masks = torch.where(length > 0, self._least["masks"] / length.clamp(min=1e-9), FAR)
        found = {"images": self._least["images"], "masks": masks}
        return {name: scores.clamp(max=FAR).double().numpy() for name, scores in found.items()}


def _blocks(values: NDArray[np.generic]) -> Tensor:
    """Means over blocks ``(n, SIDE, SIDE)``."""
    return F.adaptive_avg_pool2d(torch.from_numpy(values.astype(np.float32)), SIDE)[:, 0]


def _turned(blocks: Tensor) -> Tensor:
    """All eight orientations, one after the other."""
    mirrored = (blocks, blocks.transpose(1, 2))
    return torch.cat([torch.rot90(some, k, (1, 2)) for some in mirrored for k in range(4)])


def records_of(known: Patches, held: HeldOut) -> Patches:
    """Return the patches whose distances ``judged`` needs.

    These are the candidate patches, then the records of candidate patients.
    """
    rows = np.concatenate([held.rows, held.records.ravel()])
    return Patches(images=known.images[rows], masks=known.masks[rows])


def judged(
    held: HeldOut, scores: Mapping[str, NDArray[np.float64]], planned: Guarantee
) -> list[Judgement]:
    """Judge the claim for a patch and, if the unit is a patient, the one for a patient.

    Args:
        held: Who was in.
        scores: Of ``records_of``, by their kind.
        planned: The guarantee that the fit was planned with.
    """
    m = len(held.rows)
    found = []
    if m:
        mistake, claim = mistake_of("patch", planned.unit), Claim.of_a_patch(planned)
        counts = numbers_of_guesses(m, claim, mistake=mistake / (COUNTS * len(SCORES)))
        rules: dict[str, Guesses] = {
            f"the {k} nearest by {name}": nearest_in(scores[name][:m], k)
            for name in SCORES
            for k in counts
        }
        found.append(judge(claim, rules, held.included, mistake=mistake))
    if len(held.patients):
        each = {name: of_patients(scores[name][m:].reshape(held.records.shape)) for name in SCORES}
        rules = {f"two groups by {name}": apart(each[name]) for name in SCORES}
        mistake = mistake_of("patient", planned.unit)
        found.append(judge(Claim.of(planned), rules, held.patients_included, mistake=mistake))
    return found


def of_patients(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each patient's nearest patches.

    Args:
        distances: ``(patients, k)``, of each patient's patches.

    Returns:
        ``(patients,)``.
    """
    few = max(1, round(NEAREST * distances.shape[1]))
    nearest: NDArray[np.float64] = np.sort(distances, axis=1)[:, :few].mean(1)
    return nearest


def curves(held: HeldOut, scores: Mapping[str, NDArray[np.float64]]) -> dict[str, Curve]:
    """Compute the attack's curves over candidate patches.

    Returns:
        The curves by kind of score; empty unless some candidates are in and some are out.
    """
    if not 0 < held.included.sum() < len(held.rows):
        return {}
    near = {name: -scores[name][: len(held.rows)] for name in SCORES}
    return {name: roc(s[held.included], s[~held.included]) for name, s in near.items()}


def roc(members: NDArray[np.float64], others: NDArray[np.float64]) -> Curve:
    """Compute the curve of calling members all whose score is above a threshold.

    Args:
        members: The members' scores.
        others: The others' scores.
    """
    scores = np.concatenate([members, others])
    labels = np.concatenate([np.ones(len(members)), np.zeros(len(others))])
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    true = np.concatenate([[0], np.cumsum(labels[order])[last] / len(members)])
    false = np.concatenate([[0], np.cumsum(1 - labels[order])[last] / len(others)])
    return Curve(false, true, float(np.trapezoid(true, false)))


def _taken(patches: Patches, rows: NDArray[np.int64]) -> Patches:
    assert patches.patient is not None  # noqa: S101  (hold_out has looked)
    return replace(
        patches,
        images=patches.images[rows],
        masks=patches.masks[rows],
        patient=patches.patient[rows],
    )
