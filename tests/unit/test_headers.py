"""Whatever a header says, a file is read or refused with a sentence, in little memory."""

import gzip
import resource
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.testing import data_path

from benchmark.core.errors import DataError
from benchmark.data.volume import Volume, read_mask, read_volume

MOST_BYTES = 500 * 2**20
DTYPES = [2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2304, 0, 1, 77]
ODD = st.floats(width=32, allow_nan=True, allow_infinity=True)
SIDES = st.one_of(st.integers(0, 12), st.integers(-5, 32767))


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    header = nib.Nifti1Header()
    header["dim"] = [draw(st.integers(0, 8)), *(draw(SIDES) for _ in range(7))]
    header["datatype"] = draw(st.sampled_from(DTYPES))
    header["bitpix"] = draw(st.sampled_from([8, 16, 32, 64, 128, 0]))
    header["pixdim"] = [draw(ODD) for _ in range(8)]
    header["scl_slope"], header["scl_inter"] = draw(ODD), draw(ODD)
    header["sform_code"], header["qform_code"] = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    for row in ("srow_x", "srow_y", "srow_z"):
        header[row] = [draw(ODD) for _ in range(4)]
    header["vox_offset"] = draw(st.sampled_from([0.0, 352.0, 348.0, 1e6, -4.0]))
    header["magic"] = draw(st.sampled_from([b"n+1", b"ni1", b"xxx"]))
    return bytes(header.binaryblock)


def outcome(read: Callable[[Path], Volume], path: Path) -> Volume | DataError:
    try:
        return read(path)
    except DataError as error:
        return error


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of the slopes that overflow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(header=headers(), body=st.integers(0, 4000), packed=st.booleans())
def test_any_header_is_read_or_refused_with_a_sentence(
    header: bytes, body: int, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("header") / ("v.nii.gz" if packed else "v.nii")
    content = header + bytes(4) + bytes(range(256)) * (body // 256)
    path.write_bytes(gzip.compress(content) if packed else content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (read_volume, read_mask):
        found = outcome(read, path)
        if isinstance(found, DataError):
            assert str(path) in str(found)
            assert "\n" not in str(found)
        else:
            assert found.data.ndim == 3
            assert all(side > 0 for side in found.spacing_mm)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < MOST_BYTES


@pytest.mark.parametrize(
    ("name", "shape"), [("anatomical.nii", (33, 41, 25)), ("example_nifti2.nii.gz", None)]
)
def test_nibabels_own_volumes_are_read_or_refused(name: str, shape: tuple[int, ...] | None) -> None:
    path = Path(data_path) / name
    if shape is None:
        with pytest.raises(DataError, match="expected a 3-D volume"):
            read_volume(path)
        return
    volume = read_volume(path)
    expected = nib.as_closest_canonical(nib.load(path))
    assert volume.data.shape == expected.shape == shape
    assert np.allclose(volume.data, expected.get_fdata())
    assert volume.spacing_mm == pytest.approx(expected.header.get_zooms()[:3])


def test_scaled_integers_and_every_orientation_come_out_as_the_world_has_them(
    tmp_path: Path,
) -> None:
    data = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for turn in (np.eye(4), np.diag([-1, 1, -1, 1.0]), np.eye(4)[[2, 0, 1, 3]]):
        made = nib.Nifti1Image(data, turn)
        made.header.set_slope_inter(0.5, 3)
        nib.save(made, tmp_path / "v.nii.gz")
        volume = read_volume(tmp_path / "v.nii.gz")
        world = nib.load(tmp_path / "v.nii.gz")
        for voxel in ((0, 0, 0), (1, 2, 3), (1, 0, 2)):
            place = world.affine @ [*voxel, 1]
            ours = np.linalg.inv(volume.affine) @ place
            assert volume.data[tuple(ours[:3].round().astype(int))] == world.get_fdata()[voxel]
