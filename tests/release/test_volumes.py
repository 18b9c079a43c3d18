"""Released volumes: what they hold, their names, and that nothing else decides their bytes."""

import io
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from release_folders import NOT_PRIVATE, drawn, statement_of, write_release
from statements import guarantee

from benchmark.core.patches import Patches
from benchmark.release.contents.pictures import LINE_PIXELS, SHOWN, contact_sheet, preview
from benchmark.release.contents.volumes import SLICE_MM, WHITE, write_data
from benchmark.release.naming import volume_names
from benchmark.release.wording import pixel_mm, stamp

DESCRIP_BYTES = 79


def read_back(folder: Path, said) -> Patches:
    """The patches of all volumes, as a user of nibabel gets them."""
    images, masks = [], []
    for files in volume_names(said.samples):
        stack = nib.load(folder / files.image).get_fdata() / WHITE * 2 - 1
        images.append(np.moveaxis(stack, 2, 0)[:, None])
        masks.append(np.moveaxis(np.asarray(nib.load(folder / files.mask).dataobj), 2, 0)[:, None])
    held = np.concatenate(images).astype(np.float32)
    return Patches(images=held, masks=np.concatenate(masks))


@pytest.mark.parametrize(("n", "per_volume", "last"), [(50, 20, 10), (40, 20, 20), (3, 100, 3)])
def test_the_volumes_hold_the_patches_to_a_grey_level(
    n: int, per_volume: int, last: int, tmp_path: Path
) -> None:
    patches = drawn(n)
    said = write_release(tmp_path, patches, per_volume=per_volume)
    found = read_back(tmp_path, said)
    assert np.abs(found.images - patches.images).max() <= 1 / WHITE
    assert np.array_equal(found.masks, patches.masks)
    assert nib.load(tmp_path / volume_names(said.samples)[-1].image).shape == (32, 32, last)


def test_a_volume_has_twelve_bits_the_spacing_and_slices_far_apart(tmp_path: Path) -> None:
    said = write_release(tmp_path, drawn(3), spacing_mm=0.6)
    files = volume_names(said.samples)[0]
    image, mask = nib.load(tmp_path / files.image), nib.load(tmp_path / files.mask)
    assert (image.get_data_dtype(), mask.get_data_dtype()) == (np.uint16, np.uint8)
    for one in (image, mask):
        assert np.allclose(one.header.get_zooms(), (0.6, 0.6, SLICE_MM))
        assert np.allclose(one.get_qform(), one.get_sform())
        assert one.header.get_xyzt_units()[0] == "mm"


def test_a_pixel_size_that_is_not_defined_is_one_in_the_header_and_said(tmp_path: Path) -> None:
    said = write_release(tmp_path, drawn(3), spacing_mm=0.0)
    assert pixel_mm(said.samples) == 1.0
    image = nib.load(tmp_path / volume_names(said.samples)[0].image)
    assert image.header.get_zooms()[:2] == (1.0, 1.0)
    for name in ("README.md", "dataset.json", "croissant.json", "dataset_description.json"):
        assert "The pixel size is not defined" in (tmp_path / name).read_text(), name


def test_the_same_patches_give_the_same_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        write_data(tmp_path / name, drawn(3, seed=seed), statement_of(drawn(3)))
    held = {
        name: {f.relative_to(tmp_path / name): f.read_bytes() for f in files_of(tmp_path / name)}
        for name in ("one", "two", "other")
    }
    assert held["one"] == held["two"]
    assert all(held["one"][file] != held["other"][file] for file in held["one"])


def test_no_packed_file_holds_a_time_or_a_name(tmp_path: Path) -> None:
    write_release(tmp_path, drawn(3))
    for file in tmp_path.rglob("*.nii.gz"):
        start = file.read_bytes()[:8]
        assert start[3] == 0, "flags of gzip: no name, no comment"
        assert start[4:8] == bytes(4), "the time"


def test_a_bids_name_is_the_same_file_and_a_copy_where_links_are_not_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = volume_names(write_release(tmp_path / "linked", drawn(3)).samples)[0]
    assert (tmp_path / "linked" / files.image).samefile(tmp_path / "linked" / files.bids_image)

    def refused(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refused)
    write_release(tmp_path / "copied", drawn(3))
    for one, other in ((files.image, files.bids_image), (files.mask, files.bids_mask)):
        assert not (tmp_path / "copied" / one).samefile(tmp_path / "copied" / other)
        assert (tmp_path / "copied" / one).read_bytes() == (
            tmp_path / "copied" / other
        ).read_bytes()


@pytest.mark.parametrize("changes", [{}, NOT_PRIVATE], ids=["private", "not private"])
def test_every_header_and_picture_bears_the_stamp(changes: dict, tmp_path: Path) -> None:
    said = write_release(tmp_path, drawn(50), **changes)
    expected = "SYNTHETIC, NOT PRIVATE" if changes else "SYNTHETIC eps=2 delta=1e-05 unit=patient"
    assert stamp(said) == expected
    volumes, pictures = list(tmp_path.rglob("*.nii.gz")), list(tmp_path.rglob("*.png"))
    assert (len(volumes), len(pictures)) == (3 * 4, 3 + 1)
    for file in volumes:
        assert nib.load(file).header["descrip"].item().decode() == expected, file
    for file in pictures:
        with Image.open(file) as picture:
            assert picture.text == {"Description": expected}, file


@pytest.mark.parametrize("epsilon", [1.99991, 9.87654321e-7, 201_014.0])
def test_a_stamp_fits_into_the_header_and_never_says_less_than_was_spent(epsilon: float) -> None:
    held = guarantee(epsilon=epsilon, delta=1.23456789e-101)
    said = stamp(statement_of(drawn(3), guarantee=held))
    assert said.isascii()
    assert len(said) <= DESCRIP_BYTES
    words = dict(word.split("=") for word in said.split()[1:])
    assert float(words["eps"]) >= epsilon
    assert float(words["delta"]) >= held.delta


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (statement_of(drawn(4)), "Expected 4 patches of side 32"),
        (statement_of(drawn(3, size=16)), "Expected 3 patches of side 16"),
        (statement_of(drawn(3), per_volume=2), None),
    ],
)
def test_a_statement_of_other_patches_is_refused(said, complaint, tmp_path: Path) -> None:
    if complaint is None:
        said = said.model_copy(update={"samples": said.samples.model_copy(update={"volumes": 7})})
        complaint = "Expected 2 volumes"
    with pytest.raises(ValueError, match=complaint):
        write_data(tmp_path, drawn(3), said)
    assert not list(tmp_path.iterdir())


def test_the_sheet_shows_each_patch_above_its_mask_as_a_viewer_turns_it() -> None:
    patches = drawn(1)
    with Image.open(io.BytesIO(contact_sheet(patches, "SYNTHETIC"))) as picture:
        shown = np.asarray(picture)[LINE_PIXELS + 3 :, 3 : 3 + 96]
    grey = np.rot90((patches.images[0, 0] + 1) * 127.5).round()
    assert np.array_equal(shown[:96:3, ::3], grey)
    assert np.array_equal(shown[98 : 98 + 96 : 3, ::3], np.rot90(patches.masks[0, 0]) * 255)


def test_the_sheet_shows_no_more_than_its_first_patches_and_a_preview_all() -> None:
    many, few = drawn(SHOWN + 40), drawn(SHOWN)
    (wide, high), same = (size_of(contact_sheet(one, "SYNTHETIC")) for one in (many, few))
    assert (wide, high) == same
    assert size_of(preview(many, "SYNTHETIC"))[1] == LINE_PIXELS + 10 * 66


def size_of(picture: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(picture)) as opened:
        return opened.size


def files_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())
