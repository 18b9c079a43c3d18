"""The assignment of patients to sites: a cohort's own sites, or a simulated split of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np

from benchmark.core.errors import UsageError
from benchmark.core.identity import Identity
from benchmark.core.names import did_you_mean
from benchmark.data.cohort import Patient

SEED = 20220211
"""The seed of the shuffles, so that every cell of every sweep has the same split."""

NOWHERE = Patient.site
"""The site of a patient whose cohort names none."""

KINDS = {
    "site": "the cohort's own sites",
    "size-skew:A,B[,…]": "shuffled, in these shares",
    "scanner": "by voxel sizes and volume shape, so that no two sites have the same",
    "dirichlet:ALPHA": "shuffled, in shares from a symmetric Dirichlet law",
}


@dataclass(frozen=True, kw_only=True)
class Partition:
    """How patients are split among sites.

    Attributes:
        text: As the user wrote it; ``KINDS`` has the forms.
        sites: How many sites.

    Raises:
        UsageError: At construction, for an unknown form or fewer than two sites.
    """

    text: str
    sites: int

    def __post_init__(self) -> None:
        if self.sites < 2:
            raise UsageError(f"Expected at least 2 sites, got {self.sites}; leave --sites out.")
        self._shares()

    def split(self, patients: Sequence[Patient]) -> dict[str, tuple[Patient, ...]]:
        """Split patients by site: disjoint, none left out, at least one at each site.

        Raises:
            UsageError: If the cohort has not enough patients, or not that many sites of its own.
        """
        if self.text == "site":
            return self._own_sites(patients)
        self._check_enough(len(patients))
        if self.text == "scanner":
            return self._scanners(patients)
        return self._shuffled(patients, least=1)

    def sizes(self, patients: int) -> list[int]:
        """Return how many patients each site has, where a number of patients is split by shares.

        Args:
            patients: How many there are.

        Raises:
            UsageError: If there are fewer than sites, or their own sites or scanners decide.
        """
        if self.text in _LIKENESS:
            raise UsageError(
                f"--partition {self.text} needs a cohort; before there is one, ask for shares, as "
                f"size-skew:{','.join('1' * min(self.sites, 3))}."
            )
        self._check_enough(patients)
        return _sizes(self._shares(), patients, least=1)

    def _check_enough(self, patients: int) -> None:
        if patients < self.sites:
            raise UsageError(
                f"{patients} patients cannot be split over {self.sites} sites; every site needs "
                "one."
            )

    def held_out(
        self, train: Sequence[Patient], others: Sequence[Patient]
    ) -> dict[str, tuple[Patient, ...]]:
        """Assign other patients to the sites of the training ones, by the same rule.

        A patient whose site or scanner no training patient has is left out. A site may have none.

        Args:
            train: The training patients.
            others: The patients to assign.
        """
        if self.text not in _LIKENESS:
            return self._shuffled(others, least=0)
        like = _LIKENESS[self.text]
        sites = {name: {like(p) for p in mine} for name, mine in self.split(train).items()}
        return {n: tuple(p for p in others if like(p) in alike) for n, alike in sites.items()}

    def _shuffled(
        self, patients: Sequence[Patient], *, least: int
    ) -> dict[str, tuple[Patient, ...]]:
        order = np.random.default_rng(SEED).permutation(len(patients))
        by_name = sorted(patients, key=lambda patient: patient.id)
        shuffled = [by_name[i] for i in order]
        ends = np.cumsum(_sizes(self._shares(), len(patients), least))
        groups = [tuple(shuffled[a:b]) for a, b in itertools.pairwise([0, *ends])]
        return _named(groups)

    def _scanners(self, patients: Sequence[Patient]) -> dict[str, tuple[Patient, ...]]:
        """Whole scanners, the largest first, each to the site that has the fewest patients."""
        scanners: dict[Any, list[Patient]] = {}
        for patient in sorted(patients, key=lambda patient: patient.id):
            scanners.setdefault(_LIKENESS["scanner"](patient), []).append(patient)
        if len(scanners) < self.sites:
            raise UsageError(
                f"--partition scanner: {len(patients)} patients come from {len(scanners)} scanners "
                f"by voxel sizes and volume shape, fewer than {self.sites} sites; ask for fewer "
                f"sites, or a shuffled split, as size-skew:{','.join('1' * self.sites)}."
            )
        groups: list[list[Patient]] = [[] for _ in range(self.sites)]
        for _, mine in sorted(scanners.items(), key=lambda found: (-len(found[1]), found[0])):
            min(groups, key=len).extend(mine)
        return _named([tuple(group) for group in groups])

    def _own_sites(self, patients: Sequence[Patient]) -> dict[str, tuple[Patient, ...]]:
        names = sorted({patient.site for patient in patients})
        lacking = sum(patient.site == NOWHERE for patient in patients)
        if 0 < lacking < len(patients):
            raise UsageError(
                f"--partition site: {lacking} of the {len(patients)} training patients have no "
                "site; give each one by the column `site` of participants.tsv, or simulate a "
                f"split, as --partition size-skew:{','.join('1' * self.sites)}."
            )
        if len(names) != self.sites or lacking:
            has = "no sites" if lacking else f"{len(names)} sites ({', '.join(names)})"
            raise UsageError(
                f"--sites {self.sites}: the cohort's training patients have {has} of their own; "
                "ask for that many, give participants.tsv a column `site`, or simulate a split, "
                f"as --partition size-skew:{','.join('1' * self.sites)}."
            )
        return {name: tuple(p for p in patients if p.site == name) for name in names}

    def _shares(self) -> list[float]:
        kind, _, numbers = self.text.partition(":")
        find = _SHARES.get(kind)
        if find is None:
            raise UsageError(
                f"Expected --partition to be one of {', '.join(KINDS)}; got {self.text!r}."
                f"{did_you_mean(kind, _SHARES)}"
            )
        shares = find(numbers, self.sites)
        if shares is None:
            raise UsageError(
                f"--partition {self.text}: expected numbers above 0, one for each of the "
                f"{self.sites} sites, or one ALPHA for dirichlet, and none for the others."
            )
        if not 0 < sum(shares) < math.inf:  # also where one is NaN, as numpy's for a huge ALPHA
            raise UsageError(
                f"--partition {self.text}: expected shares with a sum above 0 and below infinity, "
                f"got {sum(shares):g}; use numbers nearer to 1."
            )
        return shares


def check_disjoint(sites: Mapping[str, Sequence[str]]) -> None:
    """Refuse a patient who is at two sites.

    Args:
        sites: The patients by site, each an ``Identity`` or its text.

    Raises:
        UsageError: Naming the sites.
    """
    seen: dict[str, str] = {}
    for site, patients in sites.items():
        for digest in (digest for one in patients for digest in Identity(one).digests):
            if seen.setdefault(digest, site) != site:
                raise UsageError(
                    f"A patient is at two sites, {seen[digest]} and {site}; the guarantee of each "
                    "site holds for its own patients only, so they must be disjoint."
                )


def _numbers(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        return []
    return found if all(0 < number < math.inf for number in found) else []


def _equal(text: str, sites: int) -> list[float] | None:
    return None if text else [1.0] * sites


def _given(text: str, sites: int) -> list[float] | None:
    shares = _numbers(text)
    return shares if len(shares) == sites else None


def _dirichlet(text: str, sites: int) -> list[float] | None:
    alpha = _numbers(text)
    if len(alpha) != 1:
        return None
    return [float(s) for s in np.random.default_rng(SEED).dirichlet([alpha[0]] * sites)]


_SHARES: dict[str, Callable[[str, int], list[float] | None]] = {
    "site": _equal,
    "scanner": _equal,
    "size-skew": _given,
    "dirichlet": _dirichlet,
}


def _named(groups: Sequence[tuple[Patient, ...]]) -> dict[str, tuple[Patient, ...]]:
    return {f"site-{k}": group for k, group in enumerate(groups, 1)}


def _sizes(shares: Sequence[float], patients: int, least: int) -> list[int]:
    """Whole numbers in these shares, none below the least: the rest goes where most is missing."""
    wanted = np.array(shares) / sum(shares) * patients
    sizes = np.maximum(least, np.floor(wanted)).astype(int)
    while sizes.sum() != patients:
        missing = wanted - sizes
        if sizes.sum() < patients:
            sizes[np.argmax(missing)] += 1
        else:
            missing[sizes == least] = math.inf
            sizes[np.argmin(missing)] -= 1
    return [int(size) for size in sizes]


def _acquisition(patient: Patient) -> tuple[float, ...]:
    """Voxel sizes in mm and the volume's shape, from the header alone."""
    header = nib.load(patient.image).header
    return (*(round(float(z), 3) for z in header.get_zooms()[:3]), *header.get_data_shape()[:3])


_LIKENESS: dict[str, Callable[[Patient], Any]] = {
    "site": lambda patient: patient.site,
    "scanner": _acquisition,
}
"""What the patients of one site have in common, where a split is not a shuffle."""
