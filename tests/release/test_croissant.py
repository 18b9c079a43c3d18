"""Croissant's own library reads the metadata of a release, and has nothing to say against it."""

import fnmatch
import hashlib
import json
import logging
from pathlib import Path

import mlcroissant
import pytest
from release_folders import NOT_PRIVATE, drawn, write_release

pytestmark = pytest.mark.filterwarnings(
    "ignore:ConjunctiveGraph is deprecated:DeprecationWarning",  # the library's use of rdflib
)


@pytest.mark.parametrize("changes", [{}, NOT_PRIVATE], ids=["private", "not private"])
def test_the_library_finds_no_fault(
    changes: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_release(tmp_path, drawn(50), **changes)
    with caplog.at_level(logging.WARNING):
        read = mlcroissant.Dataset(jsonld=tmp_path / "croissant.json")
    assert not read.metadata.ctx.issues.errors
    assert not read.metadata.ctx.issues.warnings
    assert not caplog.records
    (personal,) = read.metadata.personal_sensitive_information
    assert ("NOT PRIVATE" in personal) is bool(changes)


def test_the_library_would_find_a_fault(tmp_path: Path) -> None:
    write_release(tmp_path, drawn(3))
    said = json.loads((tmp_path / "croissant.json").read_text())
    del said["recordSet"][0]["field"][0]["dataType"], said["license"]
    (tmp_path / "croissant.json").write_text(json.dumps(said))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=tmp_path / "croissant.json")


def test_the_library_loads_a_record_for_each_volume_whose_files_are_there(tmp_path: Path) -> None:
    write_release(tmp_path, drawn(50))
    read = mlcroissant.Dataset(jsonld=tmp_path / "croissant.json")
    records = list(read.records("volumes"))
    assert [one["volumes/volume"] for one in records] == [f"synthetic-000{i}" for i in (1, 2, 3)]
    for one in records:
        for kind in ("image", "mask", "preview"):
            file = tmp_path / one[f"volumes/{kind}"]
            assert file.is_file(), file
            assert one["volumes/volume"] in file.name


def test_the_distribution_is_the_folder_with_its_checksums(tmp_path: Path) -> None:
    write_release(tmp_path, drawn(50))
    said = json.loads((tmp_path / "croissant.json").read_text())["distribution"]
    objects = {one["@id"]: one for one in said if one["@type"] == "cr:FileObject"}
    assert {"privacy.json", "README.md", "LICENCE.txt", "contact-sheet.png"} <= objects.keys()
    for name, one in objects.items():
        content = (tmp_path / name).read_bytes()
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
        assert one["contentSize"] == f"{len(content)} B"
    sets = [one for one in said if one["@type"] == "cr:FileSet"]
    for one in sets:
        names = [f"{one['@id']}/{file.name}" for file in (tmp_path / one["@id"]).iterdir()]
        assert names
        assert fnmatch.filter(names, one["includes"]) == names
