"""Croissant metadata of a release, for search engines and loaders.

Source: MLCommons, Croissant Format Specification 1.0 and Croissant RAI Specification 1.0.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from benchmark.core.sums import SUMS
from benchmark.data.layouts.bids_description import IGNORED
from benchmark.data.layouts.listing import stem
from benchmark.release.contents.descriptions import SUITE, acknowledgement
from benchmark.release.contents.licences import find_licence
from benchmark.release.contents.responsible import responsible_use
from benchmark.release.naming import (
    ENDING,
    IMAGES,
    MASKS,
    PREVIEWS,
    VolumeNames,
    volume_names,
)
from benchmark.release.statement import CROISSANT, README, Samples, Statement
from benchmark.release.wording import contents, promise, stamp, title

VERSIONS = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0")
VOLUMES = "volumes"
NIFTI, PNG, UNKNOWN = "https://nifti.nimh.nih.gov/nifti-1/", "image/png", "application/octet-stream"
KINDS = {
    ".json": "application/json",
    ".html": "text/html",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": PNG,
    ".txt": "text/plain",
}
SETS = {
    IMAGES: ("The volumes of images.", ENDING, NIFTI),
    MASKS: ("The volumes of vessel masks.", ENDING, NIFTI),
    PREVIEWS: ("A picture of each volume.", ".png", PNG),
}
"""What each folder of the data holds: in words, by ending and by format."""

TERMS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject"),
    *("fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField"),
    *("path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate"),
    *("separator", "source", "subField", "transform"),
)
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in TERMS},
}
"""The specification's own."""


def croissant(statement: Statement, folder: Path) -> dict[str, Any]:
    """Describe a release in JSON-LD.

    Args:
        statement: The release's.
        folder: The release's, with all files but Croissant's own and the checksums.

    Returns:
        The content of ``croissant.json``.

    Raises:
        UsageError: For a licence that is not known.
    """
    said = f"{stamp(statement)}. {contents(statement.samples)} {promise(statement)}"
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(VERSIONS),
        "name": title(statement),
        "description": said,
        "license": find_licence(statement.licence).url,
        "url": README,
        "creator": {"@type": "sc:Organization", "name": f"The data's owner, with {SUITE}"},
        "datePublished": statement.created,
        "version": _version(statement.created),
        "citeAs": acknowledgement(statement),
        "keywords": ["synthetic data", "angiography", "segmentation", "differential privacy"],
        "isLiveDataset": False,
        "distribution": [*_files(folder), *_sets()],
        "recordSet": [_volumes(statement.samples)],
        **responsible_use(statement),
    }


def _version(day: str) -> str:
    """The day as a version of three numbers."""
    return ".".join(str(int(part)) for part in day.split("-"))


def _files(folder: Path) -> list[dict[str, Any]]:
    """The single files, each with its checksum."""
    left_out = {CROISSANT, SUMS, IGNORED}
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return [_file(file) for file in files if file.name not in left_out]


def _file(file: Path) -> dict[str, Any]:
    with file.open("rb") as content:
        checksum = hashlib.file_digest(content, "sha256").hexdigest()
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": file.name,
        "contentUrl": file.name,
        "contentSize": f"{file.stat().st_size} B",
        "encodingFormat": KINDS.get(file.suffix, UNKNOWN),
        "sha256": checksum,
    }


def _sets() -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileSet",
            "@id": folder,
            "name": folder,
            "description": said,
            "encodingFormat": kind,
            "includes": f"{folder}/*{ending}",
        }
        for folder, (said, ending, kind) in SETS.items()
    ]


def _volumes(samples: Samples) -> dict[str, Any]:
    """A record for each volume. They stand here, as Croissant's loader reads no NIfTI."""
    return {
        "@type": "cr:RecordSet",
        "@id": VOLUMES,
        "name": VOLUMES,
        "description": "The files of each volume: a stack of independent patches, and their masks.",
        "key": {"@id": f"{VOLUMES}/volume"},
        "field": [
            _field("volume", "The volume's name."),
            _field("image", "The file of its images."),
            _field("mask", "The file of its vessel masks."),
            _field("preview", "The picture of both."),
        ],
        "data": [_record(files) for files in volume_names(samples)],
    }


def _record(files: VolumeNames) -> dict[str, str]:
    return {
        f"{VOLUMES}/volume": stem(Path(files.mask)),
        f"{VOLUMES}/image": files.image,
        f"{VOLUMES}/mask": files.mask,
        f"{VOLUMES}/preview": files.preview,
    }


def _field(name: str, said: str) -> dict[str, str]:
    return {
        "@type": "cr:Field",
        "@id": f"{VOLUMES}/{name}",
        "name": name,
        "description": said,
        "dataType": "sc:Text",
    }
