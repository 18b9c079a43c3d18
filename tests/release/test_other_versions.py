"""A release whose pages cannot be made again holds in part, if its pages are harmless and true."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from command import in_process
from dossiers import KINDS
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from releases import COPY, IMAGE, changed, checked, of, put, released, says, write

from benchmark.release.checks.files import Received, received
from benchmark.release.checks.pages import of_pages
from benchmark.release.contents.descriptions import write_descriptions
from benchmark.release.contents.readme import readme
from benchmark.release.dossier.page import dossier_html
from benchmark.release.seals import seal
from benchmark.release.statement import DOSSIER, README, SHEET, Statement
from benchmark.release.wording import stamp

PREVIEW = "previews/synthetic-0001.png"
LATER = changed(released(), of("suite", version="9.9.9"))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A release of another version, with its own pages."""
    return with_pages(write(tmp_path / "release", LATER), LATER)


def with_pages(folder: Path, said: Statement) -> Path:
    write_descriptions(folder, said)
    page = dossier_html(said, (folder / SHEET).read_bytes())
    put(folder, DOSSIER, page.encode())
    seal(folder, private=said.is_private)
    return folder


def test_a_release_of_another_version_holds_in_part(other: Path) -> None:
    found = checked(other)
    assert found.faults == ()
    assert found.holds_in_part
    assert not found.holds
    lines = [*found.lines()]
    assert "Not checked: the dossier and the descriptions, as they are by another version" in (
        " ".join(lines)
    )
    assert lines[-1].startswith("The release holds in part: 23 files, without the dossier and the")


def test_its_exit_code_is_0_only_if_the_receiver_accepts_that(other: Path) -> None:
    done = in_process("verify-release", str(other), cwd=other.parent)
    assert (done.returncode, done.stderr) == (1, "")
    assert "holds in part" in done.stdout
    asked = ("verify-release", "--other-version", str(other))
    assert in_process(*asked, cwd=other.parent).returncode == 0
    put(other, README, b"x")
    assert in_process(*asked, cwd=other.parent).returncode == 1


PLAIN = "has markup that is not of a dossier's plain form"


@pytest.mark.parametrize("kind", KINDS)
def test_every_dossier_of_this_suite_is_one_that_another_version_accepts(
    kind: str, tmp_path: Path
) -> None:
    said = KINDS[kind]
    for name, content in (
        (DOSSIER, dossier_html(said, b"x").encode()),
        (README, readme(said).encode()),
    ):
        put(tmp_path, name, content)
    assert [*of_pages(checked_files(tmp_path), said)] == []


LIES = {
    "another ε": (b"<h1>epsilon = 0.01</h1><p>1e-05, one patient", "does not name 1.999"),
    "a larger number": (b"<p>11.999 and 1.9990 and 1.999.1, 1e-05, patient", "not name 1.999"),
    "another δ": (b"<p>1.999 for one patient", "does not name 1e-05"),
    "another unit": (b"<p>1.999, 1e-05 for all patients", "does not name patient"),
    "only in a style": (b"<style>1.999 1e-05 patient</style>", "does not name 1.999"),
    "script": (b"<script>alert(1)</script>", "has a tag 'script'"),
    "capitals": (b"<SCRIPT>alert(1)</SCRIPT>", PLAIN),
    "script in a comment": (b"<!--><script>alert(1)</script>-->", PLAIN),
    "script in a style": (b'<svg><style><img src="x"></style></svg>', "has an attribute 'src'"),
    "handler": (b'<p onclick="x()">1.999</p>', "has an attribute 'onclick'"),
    "handler of a picture": (b"<svg/onload=x()>", PLAIN),
    "bare": (b"<p class=x>", PLAIN),
    "picture from elsewhere": (b'<img src="https://a.b/c.png">', "has an attribute 'src'"),
    "picture that acts": (b'<img src="data:image/svg+xml,x">', "has an attribute 'src'"),
    "link": (b'<a href="https://a.b">x</a>', "has an attribute 'href'"),
    "link that acts": (b'<a href="java&#115;cript:x()">x</a>', "has an attribute 'href'"),
    "link of a picture": (b'<svg><a xlink:href="//a.b">x</a></svg>', "has an attribute 'xlink:h"),
    "frame": (b'<iframe srcdoc="x"></iframe>', "has a tag 'iframe'"),
    "sheet of styles": (b'<link rel="stylesheet" href="//a.b">', "has a tag 'link'"),
    "import": (b'<style>@import "//a.b";</style>', "has a style that reaches out"),
    "address in a style": (b'<p style="background:url(//a.b)">x', "has an attribute 'style'"),
    "escape in a style": (b'<p style="background:u\\72l(//a.b)">x', "has an attribute 'style'"),
    "refresh": (b'<meta http-equiv="refresh" content="0;//a.b">', "an attribute 'http-equiv'"),
    "comment": (b"<!-- sub-07 -->", PLAIN),
    "instruction": (b"<?php x ?>", PLAIN),
    "declaration": (b"<svg><![CDATA[x]]></svg>", PLAIN),
    "endless": (b"<!--" * 10**6, PLAIN),
    "spaces": (b"<p" + b" " * 10**6, PLAIN),
    "too long": (b"x" * (4 * 10**6 + 1), "dossier.html is longer than a dossier"),
    "no text": (b"\xff\xfe", "does not name 1.999"),
}


@pytest.mark.parametrize("lie", LIES)
def test_pages_of_another_version_act_on_nothing_and_name_the_guarantee(
    other: Path, lie: str
) -> None:
    content, words = LIES[lie]
    put(other, DOSSIER, content)
    seal(other, private=True)
    found = checked(other)
    assert says(list(found.faults), words), found.faults
    assert not found.holds_in_part


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"No patient data. epsilon 0.01", "README.md does not name 1.999"),
        (b"eps=1.999, delta=1e-05, one patient <script>x</script>", "README.md has markup of HTML"),
    ],
)
def test_a_readme_of_another_version_does_so_too(other: Path, content: bytes, words: str) -> None:
    put(other, README, content)
    seal(other, private=True)
    assert says(list(checked(other).faults), words)


def test_pages_that_promise_nothing_say_so_where_a_reader_sees_it(tmp_path: Path) -> None:
    told = {"claim": "not private", "reasons": ["The noise was seeded."]}
    said = changed(LATER, of(phantoms=True, **told))
    folder = with_pages(write(tmp_path / "release", said), said)
    files = checked_files(folder)
    assert not [*of_pages(files, said)]
    put(folder, DOSSIER, b"<p title='NOT PRIVATE'>Private.</p>")
    assert says([*of_pages(files, said)], "dossier.html does not name NOT PRIVATE")


def checked_files(folder: Path) -> Received:
    return received(folder, lambda *_: None)


def of_libraries(**versions: str) -> Statement:
    return changed(released(), of("versions", **versions))


def repacked(folder: Path, level: int, name: str = "") -> None:
    content = io.BytesIO()
    voxels = gzip.decompress((folder / IMAGE).read_bytes())
    with gzip.GzipFile(name, "wb", level, fileobj=content, mtime=0) as file:
        file.write(voxels)
    put(folder, IMAGE, content.getvalue())
    put(folder, COPY, content.getvalue())


def test_another_python_may_pack_the_same_content_otherwise(
    tmp_path: Path, stand_ins: None
) -> None:
    said = of_libraries(python="3.99.0")
    folder = write(tmp_path / "release", said)
    assert not any("is packed" in what for what in checked(folder).unmade)
    repacked(folder, 5)
    seal(folder, private=True)
    found = checked(folder)
    assert found.faults == ()
    assert "how 1 files are packed, as Python differs here" in found.unmade
    repacked(folder, 5, "sub-07")
    seal(folder, private=True)
    assert says(list(checked(folder).faults), "a time, a name or a comment")


def redrawn(folder: Path, row: int, value: int, level: int = 9) -> None:
    """The preview with another pixel, packed otherwise."""
    described, packed = PngInfo(), io.BytesIO()
    described.add_text("Description", stamp(released()))
    with Image.open(folder / PREVIEW) as picture:
        pixels = np.array(picture)
    pixels[row, 5] = value
    Image.fromarray(pixels).save(packed, "png", pnginfo=described, compress_level=level)
    put(folder, PREVIEW, packed.getvalue())
    seal(folder, private=True)


def test_another_pillow_draws_the_same_patches_and_other_letters(tmp_path: Path) -> None:
    said = of_libraries(pillow="1.0")
    folder = with_pages(write(tmp_path / "release", said), said)
    redrawn(folder, row=2, value=99)
    found = checked(folder)
    assert found.faults == ()
    assert any("line of words above each picture" in what for what in found.unmade)
    redrawn(folder, row=50, value=254)
    assert says(list(checked(folder).faults), f"{PREVIEW} is not the picture of its volume")


def test_the_same_pillow_draws_the_same_bytes(folder: Path, stand_ins: None) -> None:
    redrawn(folder, row=2, value=255)
    assert says(list(checked(folder).faults), f"{PREVIEW} is not the picture of its volume")
