"""Private Selection: the one of many simulated populations whose segmenter patients score best.

A bank of candidate populations of the data-free simulator, and a small segmenter trained on each,
are made without data and cost nothing. Every patient scores every segmenter by Dice. One candidate
is chosen by permute-and-flip: pure ε, δ = 0, whatever the number of candidates
(``mechanisms.choice`` has the mechanism and its proof). On average the chosen one's score is below
the best by at most σ/N · (1 + 1/2 + … + 1/K), with σ = 1/ε. All noise is positive, and this is the
mean of the largest of it: 0.13 of Dice for 16 patients and 32 candidates at ε = 2.

The score measures what samples are for, that a segmenter learns from them, and not how similar to
patients they look. What no candidate of the bank can teach, no patient can choose.

References: McKenna and Sheldon (2020), arXiv:2010.12603, algorithm 1; a public bank that private
data choose from, as in the private selection of Liu and Talwar (2019), arXiv:1811.07971, there for
models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from safetensors.numpy import load_file, save_file

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.errors import NotFittedError
from benchmark.core.federation import Arrays, Schedule
from benchmark.core.generator import RELEASE, FitContext, Noise
from benchmark.core.parsers import json_in
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.settings import Later, Settings
from benchmark.privacy.mechanisms.choice import Election, plan_choices
from benchmark.privacy.mechanisms.kept_releases import KeptReleases
from benchmark.privacy.mechanisms.release import Features
from generators.nets.releasing import ReleasingGenerator
from generators.simulation import families
from generators.simulation.bank import Recipe, around, judges_of, parameters
from generators.simulation.family import Family
from generators.simulation.judges import dice

EVIDENCE = (RELEASE, "noise")
"""What decides the choice. The second is a control that uses no patient."""


@dataclass(frozen=True, kw_only=True)
class PrivateSelectionParams(Settings):
    """Settings of the bank and of the patients' scores.

    Attributes:
        candidates: K.
        bank: The public seed that draws them.
        patches: How many patches a candidate's judge learns from.
        hidden: The hidden units of a judge, which is a perceptron.
        steps: How many training steps a judge takes.
        spread: The spread of a population's patches around its parameters, in logits, for judges
            and samples alike.
        looked_at: How many patches of a patient are scored where the patient is the unit. Where the
            patch is the unit, all are.
        evidence: The ``release``; or a control: a choice by ``noise`` alone.
        design: In what populations differ (``families``).
        pixel_mm: A pixel's nominal side in mm; ``tubes`` have none.
    """

    candidates: Annotated[int, IntDistribution(2, 1000, log=True)] = 32
    bank: Annotated[int, IntDistribution(0, 1_000_000)] = 0
    patches: Annotated[int, IntDistribution(2, 100_000, log=True)] = 384
    hidden: Annotated[int, IntDistribution(1, 256, log=True)] = 16
    steps: Annotated[int, IntDistribution(1, 100_000, log=True)] = 150
    spread: Annotated[float, FloatDistribution(0.0, 3.0)] = 0.5
    looked_at: Annotated[int, IntDistribution(1, 100_000, log=True)] = 128
    evidence: Annotated[str, CategoricalDistribution([*EVIDENCE])] = RELEASE
    design: Annotated[str, CategoricalDistribution([*families.DESIGNS]), Later()] = "tubes"
    pixel_mm: Annotated[float, FloatDistribution(0.2, 5.0), Later()] = 0.8

    @property
    def family(self) -> Family:
        """The family of the candidates."""
        return families.family(self.design, self.pixel_mm)


class PrivateSelection(ReleasingGenerator):
    """Draws labelled patches from the simulated population that was chosen.

    Guarantees:
        * ``fit`` is ε-DP, with δ = 0, for zeroing out one ``budget.unit``: one choice.
        * Making the bank touches no patient; ``sample`` is post-processing and spends nothing.
    """

    name: ClassVar[str] = "private-selection"
    version: ClassVar[int] = 1
    is_private: ClassVar[bool] = True
    each_round: ClassVar[str] = "makes one choice"
    designs: ClassVar[Mapping[str, str]] = {
        "plurality": "every site chooses privately, and the choices are weighed by their patients"
    }
    citation: ClassVar[str] = "This suite; McKenna and Sheldon (2020), arXiv:2010.12603"
    Params: ClassVar[type[Settings]] = PrivateSelectionParams
    presets: ClassVar[Mapping[str, Settings]] = {
        "quick": PrivateSelectionParams(),
        "standard": PrivateSelectionParams(candidates=64, patches=512, steps=200),
        "paper": PrivateSelectionParams(candidates=128, patches=512, steps=300),
    }
    smoke: ClassVar[Settings] = PrivateSelectionParams(
        candidates=3, patches=8, steps=2, hidden=4, looked_at=4
    )

    params: PrivateSelectionParams

    def __init__(self, params: PrivateSelectionParams) -> None:
        self.params = params
        self._chosen: NDArray[np.float32] | None = None
        self._size = 0

    @property
    def clip_norm(self) -> float:
        """The most that a unit gives a candidate: a full score."""
        return 1.0

    def noised_numbers(self, public: PublicNumbers) -> None:
        """Return ``None``: a choice noises no vector.

        Its error grows with the logarithm of K alone.
        """

    def fit(self, patches: Patches, guarantee: Guarantee, context: FitContext) -> Guarantee:
        """Make the bank, and let the units choose."""
        spent = replace(guarantee, seeded=context.noise.seeded)
        kept = KeptReleases(context, spent)
        chosen = int(kept.release(lambda noise: np.array([self.elected(patches, spent, noise)]))[0])
        self._take(chosen, patches.size)
        context.progress(1, 1, {})
        return spent

    def elected(self, patches: Patches, guarantee: Guarantee, noise: Noise) -> int:
        """Return the index of the candidate that the units choose."""
        features = self._features(patches.size)
        return Election(guarantee).winner(
            self._looked_at(patches, guarantee), features, dice, noise
        )

    def site_side(self, patches: Patches, guarantee: Guarantee, schedule: Schedule) -> ChoosingSite:
        """Return what lets the site's units choose."""
        return ChoosingSite(self, patches, guarantee)

    def server_side(self, size: int, schedule: Schedule, context: FitContext) -> PluralityServer:
        """Return what counts the choices."""
        return PluralityServer(self.params.candidates)

    def close(self, state: Arrays, size: int) -> None:
        """Take the candidate with the most votes; of several the first."""
        self._take(int(np.argmax(state["votes"])), size)

    def sample(self, n: int, *, seed: int) -> Patches:
        """Draw ``n`` labelled patches.

        Raises:
            NotFittedError: Before ``fit`` or ``load``.
        """
        if self._chosen is None:
            raise NotFittedError(f"{self.name} must be fitted before it can sample.")
        rng = np.random.default_rng(stream(seed, "samples"))
        drawn = around(self._chosen, n, self.params.spread, rng)
        images, masks = self.params.family.draw(drawn, self._size, rng)
        return Patches(images=images, masks=masks)

    def save(self, folder: Path) -> None:
        """Write ``settings.json`` and ``weights.safetensors`` with the chosen parameters.

        Raises:
            NotFittedError: Before ``fit`` or ``load``.
        """
        if self._chosen is None:
            raise NotFittedError(f"{self.name} must be fitted before it can be saved.")
        settings = {"size": self._size, "params": self.params.as_dict()}
        (folder / "settings.json").write_text(json.dumps(settings, indent=1))
        save_file({"chosen": self._chosen}, folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The generator that ``save`` wrote."""
        settings = json_in(folder / "settings.json")
        made = cls(PrivateSelectionParams(**settings["params"]))
        made._size = settings["size"]
        made._chosen = load_file(folder / "weights.safetensors")["chosen"]
        return made

    def _planned(self, public: PublicNumbers, budget: Budget, releases: int) -> Guarantee:
        return plan_choices(public, budget, choices=releases)

    def _take(self, chosen: int, size: int) -> None:
        p = self.params
        candidates = parameters(p.candidates, p.bank, p.family)
        self._chosen, self._size = candidates[chosen].copy(), size

    def _features(self, size: int) -> Features:
        """How every judge's marks overlap a patch's vessels; in the control nobody is scored."""
        p = self.params
        if p.evidence != RELEASE:
            return lambda patches: np.zeros((len(patches), 2 * p.candidates))
        recipe = Recipe(
            candidates=p.candidates,
            seed=p.bank,
            spread=p.spread,
            patches=p.patches,
            hidden=p.hidden,
            steps=p.steps,
            size=size,
            design=p.design,
            pixel_mm=p.pixel_mm,
        )
        return judges_of(recipe).overlaps

    def _looked_at(self, patches: Patches, guarantee: Guarantee) -> Patches:
        """Some of every patient's patches, evenly, where the patient is the unit.

        Which of a patient's own they are depends on that patient alone. Were the patch the unit,
        leaving one out would let another one in.
        """
        most = self.params.looked_at
        if guarantee.unit == "patch" or patches.patient is None:
            return patches
        rows = [np.flatnonzero(patches.patient == patient) for patient in range(patches.patients)]
        kept = np.concatenate([evenly(mine, most) for mine in rows])
        return Patches(
            images=patches.images[kept],
            masks=patches.masks[kept],
            patient=patches.patient[kept],
            patients=patches.patients,
            patches_per_patient=min(most, patches.patches_per_patient),
        )


class ChoosingSite:
    """The site's part: its units choose a candidate.

    Args:
        generator: The site's generator.
        patches: The site's own patches.
        guarantee: Its plan for all rounds.
    """

    def __init__(self, generator: PrivateSelection, patches: Patches, guarantee: Guarantee) -> None:
        self._generator, self._patches, self._guarantee = generator, patches, guarantee

    def compute(self, number: int, state: Arrays, context: FitContext) -> Arrays:
        """Return the index of the chosen candidate."""
        chosen = self._generator.elected(self._patches, self._guarantee, context.noise)
        return {"chosen": np.array([chosen])}


class PluralityServer:
    """The server's part: it counts, which is post-processing of every site's choice.

    Args:
        candidates: K.
    """

    def __init__(self, candidates: int) -> None:
        self._candidates = candidates

    def begin(self) -> Arrays:
        """Return a state without any vote."""
        return {"votes": np.zeros(self._candidates)}

    def sent(self, state: Arrays) -> Arrays:
        """Return the votes so far, on which no site's choice depends."""
        return state

    def returned(self, state: Arrays, share: float) -> Arrays:
        """Return arrays with the names, shapes and types of a reply."""
        return {"chosen": np.zeros(1, np.int64)}

    def combine(
        self, number: int, state: Arrays, replies: Sequence[Arrays], weights: Sequence[float]
    ) -> Arrays:
        """Add one vote of each site, weighted by its share of patients; ignore invalid ones."""
        votes = state["votes"].copy()
        for weight, reply in zip(weights, replies, strict=True):
            chosen = int(reply["chosen"][0])
            if 0 <= chosen < self._candidates:
                votes[chosen] += weight
        return {"votes": votes}


def evenly(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Select at most ``most`` rows, at even distances.

    Examples:
        >>> evenly(np.arange(10), 4).tolist(), evenly(np.arange(3), 4).tolist()
        ([0, 2, 5, 7], [0, 1, 2])
    """
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.arange(most) * len(rows) // most])
