"""IXI: ``IXI002-Guys-0828-MRA.nii.gz`` in any folder, labels in another, site in the name.

A label's name has the image's patient, site and number and then a word such as ``vessels``,
``label``, ``seg`` or ``mask``, with or without ``MRA``. A brain mask has ``brain``. If there is no
such label, a file without any word is the label. Site and number may be missing if the patient has
one angiography alone. T1, T2 and PD volumes are not labels.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient
from benchmark.data.layouts.listing import (
    Listing,
    counted,
    lonely,
    refuse_acquisition,
    stem,
    volumes,
)
from benchmark.data.layouts.vocabulary import BRAINS, SEQUENCES, VESSELS, tokens

LABELS = VESSELS | {"label", "labels", "seg", "segmentation", "dseg", "mask", "gt"}
ANGIOGRAPHY = "mra"

_NAME = re.compile(r"(IXI\d+)(?:-([A-Za-z]+)-(\d+))?(?![A-Za-z0-9])")


class _Scan(NamedTuple):
    """A file of the set: its visit (patient, site and number, or patient), and the words after."""

    path: Path
    visit: tuple[str, str, str]
    words: frozenset[str]

    @property
    def is_angiography(self) -> bool:
        return self.words == {ANGIOGRAPHY}

    @property
    def is_brain(self) -> bool:
        return bool(self.words & BRAINS) and not self.words & VESSELS and not self.is_other

    @property
    def is_label(self) -> bool:
        return bool(self.words & LABELS) and not self.is_brain and not self.is_other

    @property
    def is_unnamed(self) -> bool:
        return not self.words

    @property
    def is_other(self) -> bool:
        return bool(self.words & SEQUENCES)


def recognises(root: Path) -> bool:
    """Tell whether some file is named like an IXI angiography."""
    return any(scan.is_angiography for scan in _scans(root))


def find(root: Path, acquisition: str | None = None) -> Listing:
    """List the patients in the order of their names."""
    refuse_acquisition("ixi", acquisition)
    visits: dict[tuple[str, str, str], list[_Scan]] = {}
    for scan in _scans(root):
        visits.setdefault(scan.visit, []).append(scan)
    listing, strays = Listing(), list[str]()
    _join_short(visits)
    for _, scans in sorted(visits.items()):
        if any(scan.is_angiography for scan in scans):
            _add(scans, listing)
        else:
            labels = [scan.path for scan in _labels(scans)]
            listing.faults.extend(lonely(labels, "label", "angiography"))
            strays += [scan.path.name for scan in scans if scan.is_brain]
    listing.notes.extend(counted(strays, "brain masks belong to no angiography and are not used"))
    others = sum(scan.is_other for scans in visits.values() for scan in scans)
    unnamed = [p.vessels.name for p in listing.patients if _NAME.fullmatch(stem(p.vessels))]
    listing.notes.extend(
        counted(unnamed, "labels do not say what they show; they are read as vessels")
    )
    if others:
        listing.notes.append(f"{others} volumes of T1, T2 or PD are left out.")
    return listing


def _scans(root: Path) -> list[_Scan]:
    found = [(file, _NAME.match(stem(file))) for file in volumes(root, "**/*")]
    return [
        _Scan(file, (name[1], name[2] or "", name[3] or ""), _words(stem(file)[name.end() :]))
        for file, name in found
        if name
    ]


def _words(text: str) -> frozenset[str]:
    return frozenset(tokens(text))


def _join_short(visits: dict[tuple[str, str, str], list[_Scan]]) -> None:
    """Gives the files that name no visit to their patient's only one."""
    for short in [visit for visit in visits if not visit[1]]:
        full = [
            visit
            for visit, scans in visits.items()
            if visit[0] == short[0] and visit[1] and any(s.is_angiography for s in scans)
        ]
        if len(full) == 1:
            visits[full[0]] += visits.pop(short)


def _add(scans: list[_Scan], listing: Listing) -> None:
    images = [scan for scan in scans if scan.is_angiography]
    labels = _labels(scans)
    brains = [scan for scan in scans if scan.is_brain]
    called = f"{'-'.join(images[0].visit)}-vessels"
    if len(images) > 1:
        law = f"one alone can be the image; call the label {called}"
        listing.faults.append(
            DataError(f"{images[0].visit[0]}: {_names(images)} have one name; {law}.")
        )
    elif len(labels) != 1 or len(brains) > 1:
        law = "expected one vessel label and at most one brain mask of this visit"
        there = _names([scan for scan in scans if not scan.is_angiography and not scan.is_other])
        listing.faults.append(
            DataError(f"{images[0].path}: {law}, found {there or 'none'}; keep one, as {called}.")
        )
    else:
        listing.patients.append(_made(images[0], labels[0], brains))


def _labels(scans: list[_Scan]) -> list[_Scan]:
    named = [scan for scan in scans if scan.is_label]
    return named or [scan for scan in scans if scan.is_unnamed]


def _made(image: _Scan, label: _Scan, brains: list[_Scan]) -> Patient:
    return Patient(
        id=image.visit[0],
        image=image.path,
        vessels=label.path,
        brain=brains[0].path if brains else None,
        site=image.visit[1],
    )


def _names(scans: list[_Scan]) -> str:
    return ", ".join("/".join(scan.path.parts[-2:]) for scan in scans)
