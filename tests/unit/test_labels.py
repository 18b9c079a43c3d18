"""Labels mean what their description says; a value that means nothing is named."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient
from benchmark.data.labels import MaskLabels
from benchmark.data.volume import read_mask

AFFINE = np.diag([0.5, 0.5, 0.8, 1.0])
SHAPE = (6, 5, 4)
CLASSES = np.random.default_rng(0).integers(0, 4, SHAPE)


def mask_file(path: Path, data: np.ndarray, slope: float = 1, inter: float = 0) -> Path:
    """A file of the data as they are, and a header that scales them."""
    content = bytearray(nib.Nifti1Image(data, AFFINE, dtype=data.dtype).to_bytes())
    header = nib.Nifti1Header(bytes(content[:348]))
    header["scl_slope"], header["scl_inter"] = slope, inter
    content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize(
    ("labels", "vessels", "ignored"),
    [
        (MaskLabels(), {1, 2, 3}, None),
        (MaskLabels(vessels=frozenset({1})), {1}, None),
        (MaskLabels(vessels=frozenset({1, 3}), ignored=frozenset({2})), {1, 3}, {2}),
        (MaskLabels(ignored=frozenset({3})), {1, 2}, {3}),
        (MaskLabels(vessels=frozenset({1, 3}), ignored=frozenset({3})), {1}, {3}),
        (MaskLabels(vessels=frozenset({7})), set(), None),
    ],
)
def test_labels_mean_what_their_description_says(
    tmp_path: Path, kind: type, labels: MaskLabels, vessels: set[int], ignored: set[int] | None
) -> None:
    mask = read_mask(mask_file(tmp_path / "m.nii", CLASSES.astype(kind)), labels)
    assert mask.data.dtype == bool
    assert np.array_equal(mask.data, np.isin(CLASSES, [*vessels]))
    if ignored is None:
        assert mask.ignored is None
    else:
        assert np.array_equal(mask.ignored, np.isin(CLASSES, [*ignored]))


def test_a_label_that_a_description_leaves_out_is_named(tmp_path: Path) -> None:
    labels = MaskLabels(vessels=frozenset({1}), others=frozenset({3}))
    with pytest.raises(
        DataError, match=r"holds the label 2, and dataset.json describes 1, 3 alone"
    ):
        read_mask(mask_file(tmp_path / "m.nii", CLASSES.astype(np.uint8)), labels)


def test_a_mask_of_probabilities_is_refused(tmp_path: Path) -> None:
    percent = np.arange(120).reshape(6, 5, 4).astype(np.uint8) % 101
    with pytest.raises(DataError, match=r"100 different labels above 0.*are they probabilities"):
        read_mask(mask_file(tmp_path / "m.nii", percent))


def test_labels_within_a_thousandth_of_a_whole_number_are_taken(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for kind in (np.float32, np.float64):
        near = (CLASSES + rng.uniform(-1e-3, 1e-3, SHAPE)).astype(kind)
        labels = MaskLabels(vessels=frozenset({2}), ignored=frozenset({3}))
        mask = read_mask(mask_file(tmp_path / "m.nii", near), labels)
        assert np.array_equal(mask.data, CLASSES == 2)
        assert np.array_equal(mask.ignored, CLASSES == 3)


@pytest.mark.parametrize("value", [0.37, 1.002, -1.0, -0.01, np.nan, np.inf])
def test_what_is_no_label_is_named(tmp_path: Path, value: float) -> None:
    data = (CLASSES > 1).astype(np.float32)
    data[3, 2, 1] = value
    with pytest.raises(DataError, match=rf"m\.nii: .*holds {value:g}[;,]"):
        read_mask(mask_file(tmp_path / "m.nii", data))


def test_a_negative_whole_label_and_too_many_labels_are_named(tmp_path: Path) -> None:
    for kind in (np.int8, np.int16, np.float64):
        with pytest.raises(DataError, match="this is no mask: it holds -1; a mask holds labels"):
            read_mask(mask_file(tmp_path / "m.nii", (CLASSES - 1).astype(kind)))
    for kind in (np.uint16, np.int32, np.float32):
        with pytest.raises(DataError, match=r"this is an image .values from 0 to 256., not a mask"):
            read_mask(mask_file(tmp_path / "m.nii", np.where(CLASSES, 256, 0).astype(kind)))
        mask = read_mask(mask_file(tmp_path / "m.nii", np.where(CLASSES, 255, 0).astype(kind)))
        assert np.array_equal(mask.data, CLASSES > 0)


def test_a_header_that_scales_labels_is_obeyed(tmp_path: Path) -> None:
    stored = (CLASSES - 1).astype(np.int8)
    mask = read_mask(mask_file(tmp_path / "m.nii", stored, inter=1), MaskLabels(frozenset({2})))
    assert np.array_equal(mask.data, CLASSES == 2)
    scaled = read_mask(mask_file(tmp_path / "m.nii", CLASSES.astype(np.uint8), slope=2))
    assert np.array_equal(scaled.data, CLASSES > 0)
    with pytest.raises(DataError, match=r"this is no mask: it holds 0\.5; "):
        read_mask(mask_file(tmp_path / "m.nii", (CLASSES > 0).astype(np.uint8), slope=0.5))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_a_mask_without_background_is_refused_and_an_even_one_is_said(
    tmp_path: Path, kind: type
) -> None:
    binary = (CLASSES > 0).astype(kind)
    said = "no voxel is 0, the background: the labels go from 1 to 2, after scl_slope 1 and "
    with pytest.raises(DataError, match=said + "scl_inter 1; write the mask with 0"):
        read_mask(mask_file(tmp_path / "m.nii", binary, inter=1))
    with pytest.raises(DataError, match="the labels go from 1 to 2; write"):
        read_mask(mask_file(tmp_path / "m.nii", binary + kind(1)))
    even = read_mask(mask_file(tmp_path / "m.nii", np.ones(SHAPE, kind)))
    assert even.data.all()
    assert even.notes == ("every voxel is 1, so the mask has no background.",)
    assert read_mask(mask_file(tmp_path / "m.nii", np.zeros(SHAPE, kind))).notes == ()


def patient(tmp_path: Path, labels: MaskLabels, **files: Path) -> Patient:
    image = np.random.default_rng(2).integers(20, 400, SHAPE).astype(np.int16)
    return Patient(
        id="sub-01",
        image=mask_file(tmp_path / "i.nii", image),
        vessels=mask_file(tmp_path / "v.nii", CLASSES.astype(np.uint8)),
        brain=mask_file(tmp_path / "b.nii", np.ones(SHAPE, np.uint8)),
        labels=labels,
    )


def test_ignored_voxels_are_neither_vessel_nor_brain_and_are_blank(tmp_path: Path) -> None:
    """Patches are drawn from the brain, and scores are taken within it."""
    labels = MaskLabels(vessels=frozenset({1}), ignored=frozenset({2}))
    volume = patient(tmp_path, labels).read()
    assert np.array_equal(volume.vessels, CLASSES == 1)
    assert np.array_equal(volume.brain, CLASSES != 2)
    assert (volume.image[CLASSES == 2] == -1).all()
    kept = patient(tmp_path, MaskLabels()).read()
    assert kept.brain.all()
    assert np.array_equal(kept.vessels, CLASSES > 0)


def test_a_mask_of_ignored_voxels_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="marks no vessel"):
        patient(tmp_path, MaskLabels(ignored=frozenset({1, 2, 3}))).read()
