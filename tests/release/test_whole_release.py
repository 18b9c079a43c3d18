"""What the suite itself writes is what its receiver's check expects, file by file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from releases import PATCHES, SIDE, put, released

from benchmark.core.files import write_json
from benchmark.core.patches import Patches
from benchmark.release.checks.layout import ALWAYS
from benchmark.release.seals import seal
from benchmark.release.statement import CROISSANT, DOSSIER, DOSSIER_PDF, SHEET, STATEMENT
from benchmark.release.verification import verify_release

volumes: Any = pytest.importorskip("benchmark.release.contents.volumes")
descriptions: Any = pytest.importorskip("benchmark.release.contents.descriptions")
metadata: Any = pytest.importorskip("benchmark.release.contents.croissant")
dossier: Any = pytest.importorskip("benchmark.release.dossier.page")
dossier_pdf: Any = pytest.importorskip("benchmark.release.dossier.pdf")

SAID = released()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made, rng = tmp_path_factory.mktemp("release"), np.random.default_rng(0)
    shape = (PATCHES, 1, SIDE, SIDE)
    patches = Patches(
        images=rng.uniform(-1, 1, shape).astype(np.float32),
        masks=rng.integers(0, 2, shape).astype(np.uint8),
    )
    volumes.write_data(made, patches, SAID)
    descriptions.write_descriptions(made, SAID)
    write_json(made / STATEMENT, SAID.as_dict())
    sheet = (made / SHEET).read_bytes()
    put(made, DOSSIER, dossier.dossier_html(SAID, sheet).encode())
    put(made, DOSSIER_PDF, dossier_pdf.dossier_pdf(SAID, sheet))
    write_json(made / CROISSANT, metadata.croissant(SAID, made))
    seal(made, private=True)
    return made


def test_what_is_released_holds(folder: Path) -> None:
    assert verify_release(folder).faults == ()


@pytest.mark.parametrize("name", ALWAYS)
def test_no_file_can_be_another_though_the_checksums_are_made_anew(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    put(folder, name, whole.replace(b"1", b"3", 1) if name != SHEET else whole + b"x")
    seal(folder, private=True)
    assert not verify_release(folder).holds
    put(folder, name, whole)
    seal(folder, private=True)
