"""The descriptions beside the released volumes: nnU-Net's, BIDS's, a README and the licence.

All are made from the statement alone. Each says NOT PRIVATE where the statement does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.core.files import write_json, write_text
from benchmark.core.sums import SUMS
from benchmark.data.layouts.bids_description import DESCRIPTION, IGNORED
from benchmark.data.layouts.description import DATASET
from benchmark.data.layouts.stacks import STACKS, VOLUMES_ARE
from benchmark.release.contents.licences import find_licence
from benchmark.release.contents.readme import readme
from benchmark.release.naming import (
    ENDING,
    IMAGE_NAME,
    IMAGES,
    MASK_NAME,
    MASKS,
    PREVIEWS,
    volume_names,
)
from benchmark.release.statement import (
    CONSENTS,
    CROISSANT,
    DOSSIER,
    DOSSIER_PDF,
    LICENCE,
    README,
    SHEET,
    STATEMENT,
    WEIGHTS,
    Statement,
)
from benchmark.release.wording import contents, promise, stamp, title

SUITE = "AngioBench"
BIDS = "1.10.0"
CHANNELS = {"0": "TOF-MRA"}
LABELS = {"background": 0, "vessel": 1}

NOT_BIDS = (
    *(IMAGES, MASKS, PREVIEWS, CONSENTS, WEIGHTS),
    *(DATASET, CROISSANT, STATEMENT, DOSSIER, DOSSIER_PDF, SHEET, LICENCE, SUMS),
)
"""What BIDS passes over. Our reader sees by ``imagesTr`` that both names are of one data set.
BIDS's validator 3 complains of folders that end with a slash here."""


def write_descriptions(folder: Path, statement: Statement) -> None:
    """Write all descriptions but Croissant's, which holds the checksums of these.

    Args:
        folder: The release's; it exists.
        statement: The release's.

    Raises:
        UsageError: For a licence that is not known.
    """
    licence = find_licence(statement.licence)
    said = {"Description": _description(statement)}
    write_json(folder / DATASET, _nnunet(statement))
    write_json(folder / DESCRIPTION, _bids(statement))
    write_json(folder / f"{IMAGE_NAME}.json", {**said, "SkullStripped": True})
    write_json(folder / f"{MASK_NAME}.json", {**said, "Type": "ROI"})
    write_text(folder / IGNORED, "\n".join([f"# {stamp(statement)}", *NOT_BIDS, ""]))
    write_text(folder / README, readme(statement))
    lines = (
        f"SPDX-License-Identifier: {licence.identifier}",
        f"{licence.name}: {licence.url}",
        f"It holds for the data set in this folder: {stamp(statement)}.",
    )
    write_text(folder / LICENCE, "\n".join([*lines, ""]))


def acknowledgement(statement: Statement) -> str:
    """Write how the data set is cited."""
    year, suite = statement.created[:4], statement.suite
    made = f"{SUITE} {suite.version}, run {statement.run}"
    return f"{title(statement)} ({year}). Drawn with {made}. {stamp(statement)}."


def _description(statement: Statement) -> str:
    return f"{stamp(statement)}. {contents(statement.samples)} {promise(statement)}"


def _nnunet(statement: Statement) -> dict[str, Any]:
    """Form 2, and form 1's list of cases, which MONAI's ``load_decathlon_datalist`` reads."""
    files = volume_names(statement.samples)
    return {
        "name": title(statement),
        "description": _description(statement),
        "reference": acknowledgement(statement),
        "licence": statement.licence,
        "release": statement.created,
        "channel_names": CHANNELS,
        "labels": LABELS,
        "numTraining": len(files),
        "file_ending": ENDING,
        VOLUMES_ARE: STACKS,
        "training": [{"image": one.image, "label": one.mask} for one in files],
    }


def _bids(statement: Statement) -> dict[str, Any]:
    suite = {"Name": SUITE, "Version": statement.suite.version}
    return {
        "Name": title(statement),
        "BIDSVersion": BIDS,
        "DatasetType": "derivative",
        "License": statement.licence,
        "HowToAcknowledge": acknowledgement(statement),
        "GeneratedBy": [{**suite, "Description": _description(statement)}],
        VOLUMES_ARE: STACKS,
    }
