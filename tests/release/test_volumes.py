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
from benchmark.release.checks.descriptions import SIDE_PIXELS
from benchmark.release.checks.layout import largest
from benchmark.release.contents.pictures import (
    LINE_PIXELS,
    PREVIEWED,
    SHOWN,
    contact_sheet,
    preview,
)
from benchmark.release.contents.volumes import (
    SLICE_MM,
    WHITE,
    header_of,
    stored,
    unstored,
    write_data,
)
from benchmark.release.naming import volume_names
from benchmark.release.statement import SHEET
from benchmark.release.wording import pixel_mm, stamp
from leaderboard.pictures import check_png

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


@pytest.mark.parametrize(
    ("n", "per_volume", "size"), [(3, 1, 32), (100, 100, 96), (4000, 4000, 32), (401, 401, 256)]
)
def test_a_preview_is_a_lawful_picture_of_any_volume(
    n: int, per_volume: int, size: int, tmp_path: Path
) -> None:
    patches = Patches(
        images=np.zeros((n, 1, size, size), np.float32), masks=np.ones((n, 1, size, size), np.uint8)
    )
    said = statement_of(patches, per_volume=per_volume)
    write_data(tmp_path, patches, said)
    for picture in (*tmp_path.glob("previews/*.png"), tmp_path / SHEET):
        content = picture.read_bytes()
        check_png(content, most=SIDE_PIXELS, text=f"Description\0{stamp(said)}".encode())
        assert len(content) <= largest(picture.relative_to(tmp_path).as_posix())


def test_a_preview_of_many_slices_shows_the_first_and_says_so() -> None:
    many = drawn(PREVIEWED + 50)
    few = Patches(images=many.images[:PREVIEWED], masks=many.masks[:PREVIEWED])
    whole = preview(many, "SYNTHETIC")
    assert size_of(whole)[1] == size_of(preview(few, "SYNTHETIC"))[1] == LINE_PIXELS + 40 * 66
    assert preview(few, "SYNTHETIC", many=len(many)) == whole != preview(few, "SYNTHETIC")


def test_pictures_can_be_made_again_from_the_voxels_of_the_volumes(tmp_path: Path) -> None:
    said = write_release(tmp_path, drawn(50))
    found = read_back(tmp_path, said)
    assert contact_sheet(found, stamp(said)) == (tmp_path / SHEET).read_bytes()
    for number, files in enumerate(volume_names(said.samples)):
        rows = slice(20 * number, 20 * (number + 1))
        held = Patches(images=found.images[rows], masks=found.masks[rows])
        assert preview(held, stamp(said)) == (tmp_path / files.preview).read_bytes()


def test_every_level_is_stored_as_itself() -> None:
    levels = np.arange(WHITE + 1, dtype=np.uint16)
    assert np.array_equal(stored(unstored(levels)), levels)


def test_a_header_is_the_one_that_nibabel_writes() -> None:
    affine = np.diag([0.8, 0.8, SLICE_MM, 1.0])
    affine[:3, 3] = [-2.4, -1.2, -10.0]
    volume = nib.Nifti1Image(np.zeros((7, 4, 3), np.uint16), affine)
    volume.set_qform(affine, code="aligned")
    volume.header.set_xyzt_units("mm")
    volume.header["descrip"] = b"SYNTHETIC"
    made = header_of((7, 4, 3), "uint16", mm=0.8, text="SYNTHETIC")
    assert made == volume.to_bytes()[: len(made)]
    assert len(made) == 352


def size_of(picture: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(picture)) as opened:
        return opened.size


def files_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())
