"""Voxels lie where nibabel says, in millimetres, and a mask finds its image."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from benchmark.core.errors import DataError
from benchmark.data.cohort import Patient
from benchmark.data.volume import Volume, read_mask, read_volume

SHAPE = (5, 6, 7)
AFFINE = np.diag([0.5, 0.5, 0.8, 1.0])
FACTORS = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
COUNTED = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
MARKED = (COUNTED % 3 == 0).astype(np.uint8)


def volume_file(path: Path, data: np.ndarray, affine: np.ndarray, unit: str = "mm") -> Path:
    """A NIfTI file; ``affine`` is in the unit."""
    made = nib.Nifti1Image(data, affine)
    made.header.set_xyzt_units(unit)
    nib.save(made, path)
    return path


def damaged(path: Path, **fields: object) -> Path:
    """The plain file with fields of its header overwritten, past what nibabel would write."""
    content = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """In mm: axes in any order and sense, oblique by any angle, often near 45 degrees."""
    order = draw(st.permutations(range(3)))
    senses = [draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)]
    near = st.floats(-1e-6, 1e-6).map(lambda off: np.pi / 4 + off)
    angle = st.one_of(st.just(0.0), near, st.floats(-np.pi, np.pi))
    turn = Rotation.from_euler("xyz", [draw(angle) for _ in range(3)]).as_matrix()
    lengths = [draw(st.floats(0.2, 3.0)) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = turn @ (np.eye(3)[order] * senses) * lengths
    affine[:3, 3] = [draw(st.floats(-200, 200)) for _ in range(3)]
    return affine


def in_unit(affine: np.ndarray, unit: str) -> np.ndarray:
    return np.diag([1 / FACTORS[unit]] * 3 + [1]) @ affine


def value_at(volume: Volume, world_mm: np.ndarray) -> float:
    place = np.linalg.solve(volume.affine, [*world_mm, 1])[:3]
    assert np.allclose(place, place.round(), atol=1e-2)
    return float(volume.data[tuple(place.round().astype(int))])


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(affine=affines(), unit=st.sampled_from([*FACTORS]), seed=st.integers(0, 99))
def test_voxels_agree_with_nibabels_own_reading_at_random_places(
    affine: np.ndarray, unit: str, seed: int, tmp_path: Path
) -> None:
    file = volume_file(tmp_path / "v.nii", COUNTED, in_unit(affine, unit), unit)
    volume, own = read_volume(file), nib.load(file)
    values, scale = own.get_fdata(), np.diag([FACTORS[unit]] * 3 + [1])
    for voxel in np.random.default_rng(seed).integers(0, SHAPE, (8, 3)):
        world = (scale @ own.affine @ [*voxel, 1])[:3]
        assert value_at(volume, world) == values[tuple(voxel)]
    assert sorted(volume.spacing_mm) == pytest.approx(sorted(nib.affines.voxel_sizes(affine)))
    assert volume.notes == ()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    affine=affines(),
    noise=st.floats(-1e-5, 1e-5),
    unit=st.sampled_from([*FACTORS]),
    order=st.permutations(range(3)),
    senses=st.tuples(*[st.sampled_from([-1, 1])] * 3),
)
def test_a_mask_of_the_same_voxels_pairs_however_it_is_stored(
    affine: np.ndarray, noise: float, unit: str, order: list[int], senses: tuple, tmp_path: Path
) -> None:
    """In its own order of axes, in another unit, rounded otherwise."""
    image = read_volume(volume_file(tmp_path / "i.nii", COUNTED, affine))
    turn = np.array([*zip(order, senses, strict=True)])
    rounded = affine + np.eye(4, k=1) * noise
    stored = nib.Nifti1Image(MARKED, rounded).as_reoriented(turn)
    data, place = np.asarray(stored.dataobj), in_unit(stored.affine, unit)
    mask = read_mask(volume_file(tmp_path / "m.nii.gz", data, place, unit), like=image)
    assert np.array_equal(mask.data, image.data % 3 == 0)
    assert np.allclose(mask.affine, image.affine, atol=1e-3)


def test_at_45_degrees_rounding_sends_copies_to_other_axes_and_they_still_pair(
    tmp_path: Path,
) -> None:
    """The two affines differ by a billionth, and nibabel's nearest axes by a permutation."""
    pair = []
    for off in (1e-9, -1e-9):
        affine = np.eye(4)
        affine[:3, :3] = Rotation.from_euler("z", np.pi / 4 + off).as_matrix()
        pair.append(affine)
    assert nib.aff2axcodes(pair[0]) != nib.aff2axcodes(pair[1])
    made = []
    for name, data, affine in (("i", COUNTED, pair[0]), ("m", MARKED, pair[1])):
        whole = nib.Nifti2Image(data, affine)  # holds float64, so the billionth is kept
        nib.save(whole, tmp_path / f"{name}.nii")
        made.append(tmp_path / f"{name}.nii")
    image = read_volume(made[0])
    assert np.array_equal(read_mask(made[1], like=image).data, image.data % 3 == 0)


@pytest.mark.parametrize("angle", [90, 45, 20, 2])
def test_a_mask_turned_against_its_image_is_refused_with_the_distance(
    tmp_path: Path, angle: float
) -> None:
    image = read_volume(volume_file(tmp_path / "i.nii", np.zeros((20,) * 3, np.int16), AFFINE))
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", angle, degrees=True).as_matrix()
    file = volume_file(tmp_path / "m.nii", np.zeros((20,) * 3, np.uint8), turn @ AFFINE)
    with pytest.raises(DataError, match=r"m\.nii: the mask lies \d+\.\d mm beside the image"):
        read_mask(file, like=image)


def test_a_mask_in_another_unit_than_its_image_is_refused(tmp_path: Path) -> None:
    image = read_volume(volume_file(tmp_path / "i.nii", COUNTED, AFFINE, "mm"))
    file = volume_file(tmp_path / "m.nii", MARKED, AFFINE, "meter")
    with pytest.raises(DataError, match="mm beside the image; their affines must agree"):
        read_mask(file, like=image)


def test_spacing_is_the_affines_and_a_pixdim_that_disagrees_is_said(tmp_path: Path) -> None:
    file = volume_file(tmp_path / "v.nii", COUNTED, AFFINE)
    assert read_volume(damaged(file, pixdim=[1, 0.503, 0.497, 0.8, 0, 0, 0, 0])).notes == ()
    for said in (1.0, 0.51, 0.0, np.nan):
        volume = read_volume(damaged(file, pixdim=[1, said, 0.5, 0.8, 0, 0, 0, 0]))
        assert volume.spacing_mm == pytest.approx((0.5, 0.5, 0.8))
        assert volume.notes == (
            f"pixdim says {said:.4g} x 0.5 x 0.8 mm and the affine 0.5 x 0.5 x 0.8 mm; "
            "the affine is taken.",
        )


@pytest.mark.parametrize("unit", FACTORS)
@pytest.mark.parametrize("form", ["sform", "qform"])
def test_spacing_is_in_millimetres_whatever_the_unit(tmp_path: Path, unit: str, form: str) -> None:
    made = nib.Nifti1Image(COUNTED, None)
    getattr(made, f"set_{form}")(in_unit(AFFINE, unit), 1)
    made.header.set_zooms(np.array([0.5, 0.5, 0.8]) / FACTORS[unit])
    made.header.set_xyzt_units(unit)
    nib.save(made, tmp_path / "v.nii.gz")
    volume = read_volume(tmp_path / "v.nii.gz")
    assert volume.spacing_mm == pytest.approx((0.5, 0.5, 0.8))
    assert np.allclose(np.diag(volume.affine), [0.5, 0.5, 0.8, 1])
    assert volume.notes == ()


def test_an_unknown_unit_and_sides_that_no_scanner_has_are_said(tmp_path: Path) -> None:
    file = volume_file(tmp_path / "v.nii", COUNTED, AFFINE)
    (said,) = read_volume(damaged(file, xyzt_units=5)).notes
    assert "unknown unit 5" in said
    (said,) = read_volume(damaged(file, xyzt_units=1)).notes
    assert said == "its voxels are 500 x 500 x 800 mm; are its affine and xyzt_units right?"


def test_two_forms_that_disagree_are_said_and_the_sform_is_taken(tmp_path: Path) -> None:
    made = nib.Nifti1Image(COUNTED, AFFINE)
    for shift, noted in ((0.2, False), (4.0, True)):
        other = AFFINE.copy()
        other[1, 3] += shift
        made.set_qform(other, 1)
        nib.save(made, tmp_path / "v.nii")
        volume = read_volume(tmp_path / "v.nii")
        assert np.allclose(volume.affine, AFFINE)
        said = ("sform and qform place the volume 4.0 mm apart; the sform is taken.",)
        assert volume.notes == (said if noted else ())


def test_a_sheared_grid_is_said(tmp_path: Path) -> None:
    sheared = AFFINE.copy()
    sheared[0, 1] = 0.5 * np.tan(np.deg2rad(10))
    (said,) = read_volume(volume_file(tmp_path / "v.nii", COUNTED, sheared)).notes
    assert said == "two axes meet at 80 degrees; distances are taken as if at 90."


ROW = [0.5, 0.0, 0.0, 0.0]
UNUSABLE = {
    "no form": ({"sform_code": 0, "qform_code": 0}, "sform_code and qform_code are 0"),
    "a column of zeros": ({"srow_x": [0, 0, 0, 0]}, r"voxel sides \[0\.0, 0\.5, 0\.8\] mm"),
    "NaN": ({"srow_y": [0, np.nan, 0, 0]}, r"voxel sides \[0\.5, nan, 0\.8\] mm"),
    "an infinite origin": ({"srow_y": [0, 0.5, 0, np.inf]}, "must be finite"),
    "axes in one plane": ({"srow_x": ROW, "srow_y": ROW, "srow_z": [0, 0.1, 0.8, 0]}, "one plane"),
    "a qform without sides": (
        {"sform_code": 0, "qform_code": 1, "pixdim": [1, 0.5, 0, 0.8, 0, 0, 0, 0]},
        r"voxel sides \[0\.5, 0\.0, 0\.8\] mm must be finite and above 0",
    ),
    "no rotation": (
        {"sform_code": 0, "qform_code": 1, "quatern_b": 0.9, "quatern_c": 0.9},
        "the quaternion of its qform is no rotation",
    ),
}


@pytest.mark.parametrize("fault", UNUSABLE)
def test_an_affine_that_places_no_volume_is_refused(tmp_path: Path, fault: str) -> None:
    fields, sentence = UNUSABLE[fault]
    file = damaged(volume_file(tmp_path / "v.nii", COUNTED, AFFINE), **fields)
    with pytest.raises(DataError, match=sentence):
        read_volume(file)


def test_a_broken_qform_beside_an_sform_is_said(tmp_path: Path) -> None:
    file = volume_file(tmp_path / "v.nii", COUNTED, AFFINE)
    broken = {"qform_code": 1, "quatern_b": 0.9, "quatern_c": 0.9}
    assert read_volume(damaged(file, **broken)).notes == (
        "the quaternion of its qform is no rotation; the sform is taken.",
    )


def test_a_patients_notes_name_their_files(tmp_path: Path) -> None:
    pixdim = {"pixdim": [1, 1, 1, 1, 0, 0, 0, 0]}
    image = damaged(volume_file(tmp_path / "i.nii", COUNTED, AFFINE), **pixdim)
    mask = damaged(volume_file(tmp_path / "m.nii", MARKED, AFFINE), **pixdim)
    brain = volume_file(tmp_path / "b.nii", np.ones(SHAPE, np.uint8), AFFINE)
    found = Patient(id="sub-01", image=image, vessels=mask, brain=brain).examine()
    assert found.marks is not None
    assert found.image is not None
    assert found.image.spacing_mm == pytest.approx((0.5, 0.5, 0.8))
    assert [note.split(": ")[0] for note in found.notes] == [str(f) for f in (image, mask, brain)]
    assert "pixdim says 1 x 1 x 1 mm" in found.notes[1]
    assert "every voxel is 1" in found.notes[2]
