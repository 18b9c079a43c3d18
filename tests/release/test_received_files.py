"""No file of a received release is changed, missing, foreign or more."""

import os
from pathlib import Path

import pytest
from releases import (
    COPY,
    Change,
    checked,
    edited,
    faults,
    put,
    says,
)

from benchmark.core.sums import SUMS
from benchmark.release.checks import files
from benchmark.release.statement import (
    LICENCE,
    README,
    STATEMENT,
)

pytestmark = pytest.mark.usefixtures("stand_ins")


def link(folder: Path) -> None:
    (folder / README).unlink()
    (folder / README).symlink_to("/etc/passwd")


def listed(line: str) -> Change:
    def change(folder: Path) -> None:
        with (folder / SUMS).open("a") as sums:
            sums.write(line + "\n")

    return change


OF_FILES: dict[str, tuple[Change, str]] = {
    "changed": (edited(README), "README.md is not the file that SHA256SUMS lists"),
    "changed volume": (edited(COPY), f"{COPY} is not the file"),
    "missing": (lambda f: (f / LICENCE).unlink(), "LICENCE.txt is missing"),
    "more": (lambda f: put(f, "generator/more.json", b"{}"), "more.json is not listed in SHA256"),
    "foreign": (lambda f: put(f, "run.exe", b""), "'run.exe' is no file that a release has"),
    "hidden": (lambda f: put(f, "imagesTr/.x", b""), "'imagesTr/.x' is no file that a release"),
    "deep": (lambda f: put(f, "a/b/c/d/e/f", b""), "is no regular file"),
    "empty folder": (lambda f: (f / "data").mkdir(), "'data' is an empty folder"),
    "link": (link, "'README.md' is a link"),
    "linked folder": (lambda f: (f / "consents").symlink_to("/"), "'consents' is a link"),
    "pipe": (lambda f: os.mkfifo(f / "croissant.txt"), "is no regular file"),
    "macOS": (lambda f: put(f, "imagesTr/.DS_Store", b"x"), "harmless leftover; delete it"),
    "Windows": (lambda f: put(f, "Thumbs.db", b"x"), "'Thumbs.db' is a file manager's harmless"),
    "unpacked": (lambda f: put(f, "__MACOSX/._x", b"x"), "'__MACOSX' is a file manager's harmless"),
    "double": (lambda f: put(f, "._README.md", b"x"), "'._README.md' is a file manager's harml"),
    "linked leftover": (lambda f: (f / ".DS_Store").symlink_to("/"), "'.DS_Store' is a link"),
    "terminal": (lambda f: put(f, "\x1b[2J", b""), r"'\x1b[2J' is no file"),
    "no text": (lambda f: put(f, os.fsdecode(b"\xff"), b""), r"'\udcff' is no file"),
    "outside": (listed(f"{'a' * 64}  ../x"), "lists '../x', which no release has"),
    "absolute": (listed(f"{'a' * 64}  /etc/passwd"), "lists '/etc/passwd', which no release"),
    "twice": (listed(f"{'a' * 64}  README.md"), "names a file again"),
    "no line": (listed("hello"), "is no checksum"),
    "another comment": (listed("# hello"), "is not written as the suite writes it"),
    "no sums": (lambda f: (f / SUMS).unlink(), "it has no SHA256SUMS"),
}


@pytest.mark.parametrize("damage", OF_FILES)
def test_no_file_is_changed_missing_foreign_or_more(folder: Path, damage: str) -> None:
    change, words = OF_FILES[damage]
    change(folder)
    found = faults(folder)
    assert says(found, words), found


def test_a_leftover_of_a_file_manager_is_one_fault(folder: Path) -> None:
    for name in ("._a", "b/._c"):
        put(folder, f"__MACOSX/{name}", b"x")
    assert faults(folder) == ["'__MACOSX' is a file manager's harmless leftover; delete it"]


def test_a_file_has_a_largest_size(folder: Path) -> None:
    with (folder / STATEMENT).open("r+b") as file:
        file.truncate(1 << 40)  # sparse: it takes no place on the disk
    assert says(faults(folder), "and may have 16,777,216")


def test_a_folder_with_more_entries_than_a_release_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_ENTRIES", 10)
    with pytest.raises(Exception, match="that is no release"):
        checked(folder)
