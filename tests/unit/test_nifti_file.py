"""Every byte of a file is accounted for: read right, noted, or refused as damaged."""

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmark.core.errors import DataError
from benchmark.data.volume import Volume, read_mask, read_volume

DATA = np.random.default_rng(0).integers(0, 1000, (9, 8, 7)).astype(np.int16)
AFFINE = np.diag([0.5, 0.5, 0.8, 1.0])
VOXEL_BYTES = DATA.nbytes
SLICE_BYTES = DATA[..., 0].nbytes


def whole_file(kind: type = nib.Nifti1Image, **fields: object) -> bytes:
    """A file's bytes, with fields of the header overwritten past what nibabel would write."""
    content = bytearray(kind(DATA, AFFINE).to_bytes())
    header = kind.header_class(bytes(content[: kind.header_class.sizeof_hdr]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[: kind.header_class.sizeof_hdr] = header.binaryblock
    return bytes(content)


def reading(path: Path, content: bytes) -> Volume:
    path.write_bytes(content)
    return read_volume(path)


@pytest.mark.parametrize("byte", range(-8, 0))
def test_a_gzip_checksum_or_length_that_fails_is_refused(tmp_path: Path, byte: int) -> None:
    packed = bytearray(gzip.compress(whole_file()))
    packed[byte] ^= 0x10
    for read in (read_volume, read_mask):
        (tmp_path / "v.nii.gz").write_bytes(packed)
        with pytest.raises(DataError, match=r"v\.nii\.gz: .*its gzip is damaged"):
            read(tmp_path / "v.nii.gz")


def test_any_flipped_bit_of_a_gzips_content_is_found(tmp_path: Path) -> None:
    packed = gzip.compress(whole_file())
    for place in range(10, len(packed), max(1, len(packed) // 60)):
        torn = bytearray(packed)
        torn[place] ^= 4
        with pytest.raises(DataError, match=r"v\.nii\.gz: "):
            reading(tmp_path / "v.nii.gz", bytes(torn))


def test_a_gzip_cut_within_its_checksum_is_refused(tmp_path: Path) -> None:
    for lost in range(1, 9):
        with pytest.raises(DataError, match="cannot be read whole"):
            reading(tmp_path / "v.nii.gz", gzip.compress(whole_file())[:-lost])


def test_the_members_of_a_gzip_are_one_file(tmp_path: Path) -> None:
    content = whole_file()
    for cut in (100, 348, 352, 700):
        packed = gzip.compress(content[:cut]) + gzip.compress(b"") + gzip.compress(content[cut:])
        volume = reading(tmp_path / "v.nii.gz", packed)
        assert np.array_equal(volume.data, DATA)
        assert volume.notes == ()


def test_zeros_behind_a_gzip_are_padding_and_other_bytes_are_refused(tmp_path: Path) -> None:
    packed = gzip.compress(whole_file())
    assert np.array_equal(reading(tmp_path / "v.nii.gz", packed + bytes(512)).data, DATA)
    for garbage in (b"x", b"garbage", bytes(3) + b"garbage"):
        with pytest.raises(DataError, match="its gzip is damaged: other bytes follow it"):
            reading(tmp_path / "v.nii.gz", packed + garbage)


def test_a_damaged_later_member_is_refused(tmp_path: Path) -> None:
    later = bytearray(gzip.compress(b"more"))
    later[-6] ^= 1
    with pytest.raises(DataError, match="its gzip is damaged"):
        reading(tmp_path / "v.nii.gz", gzip.compress(whole_file()) + later)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_few_bytes_behind_the_voxels_are_said_and_a_slice_is_refused(
    tmp_path: Path, pack: object
) -> None:
    volume = reading(tmp_path / "v.nii", pack(whole_file() + bytes(16)))
    assert np.array_equal(volume.data, DATA)
    assert volume.notes == ("16 bytes follow the voxels and are not read.",)
    for more in (bytes(SLICE_BYTES), whole_file()):
        with pytest.raises(DataError, match=f"{len(more)} bytes follow the 9x8x7 voxels of type"):
            reading(tmp_path / "v.nii", pack(whole_file() + more))


def test_a_type_narrower_than_the_voxels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mend its shape or its type"):
        reading(tmp_path / "v.nii", whole_file(datatype=2, bitpix=8))


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_without_an_offset_voxels_begin_behind_the_header(
    tmp_path: Path, kind: type, pack: object
) -> None:
    volume = reading(tmp_path / "v.nii", pack(whole_file(kind, vox_offset=0)))
    assert np.array_equal(volume.data, DATA)
    assert volume.notes == ()


@pytest.mark.parametrize("offset", [1, 100, 348, -4])
def test_an_offset_within_the_header_is_refused(tmp_path: Path, offset: int) -> None:
    with pytest.raises(DataError, match="too low"):
        reading(tmp_path / "v.nii", whole_file(vox_offset=offset))


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_an_extension_of_the_header_is_never_read_as_voxels(tmp_path: Path, kind: type) -> None:
    size = kind.header_class.sizeof_hdr
    content = whole_file(kind, vox_offset=0)
    extended = content[:size] + bytes([1, 0, 0, 0]) + struct.pack("<ii", 32, 6) + b"x" * 24
    extended += content[size + 4 :]
    true = size + 4 + 32
    for offset in (0, size + 4, true - 16):
        with pytest.raises(DataError, match="bytes of a header extension lie there"):
            reading(tmp_path / "v.nii", moved(extended, kind, offset))
    assert np.array_equal(reading(tmp_path / "v.nii", moved(extended, kind, true)).data, DATA)


def moved(content: bytes, kind: type, offset: int) -> bytes:
    header = kind.header_class(content[: kind.header_class.sizeof_hdr], check=False)
    header["vox_offset"] = offset
    return header.binaryblock + content[kind.header_class.sizeof_hdr :]


@pytest.mark.parametrize("name", ["V.NII.GZ", "v.Nii", "v.nii.Gz", "v.nii", "v.nii.gz", "v"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_first_bytes_and_not_the_name_tell_what_a_file_is(
    tmp_path: Path, name: str, pack: object
) -> None:
    """Browsers unpack what they fetch and keep its name."""
    assert np.array_equal(reading(tmp_path / name, pack(whole_file())).data, DATA)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_both_versions_and_both_orders_of_bytes_are_read(
    tmp_path: Path, kind: type, endianness: str
) -> None:
    header = kind.header_class(endianness=endianness)
    nib.save(kind(DATA, AFFINE, header), tmp_path / "v.nii.gz")
    volume = read_volume(tmp_path / "v.nii.gz")
    assert np.array_equal(volume.data, DATA)
    assert volume.data.dtype == np.float32
    assert np.allclose(volume.affine, AFFINE)


def test_pairs_and_analyze_are_refused_with_why(tmp_path: Path) -> None:
    for kind, sentence in (
        (nib.Nifti1Pair, "its voxels lie in a second file"),
        (nib.Nifti2Pair, "its voxels lie in a second file"),
        (nib.AnalyzeImage, "does not tell left from right"),
        (nib.Spm2AnalyzeImage, "does not tell left from right"),
    ):
        nib.save(kind(DATA, AFFINE), tmp_path / "v.img")
        with pytest.raises(DataError, match=sentence):
            read_volume(tmp_path / "v.hdr")
        with pytest.raises(DataError, match="it is no NIfTI file"):
            read_volume(tmp_path / "v.img")
    with pytest.raises(DataError, match="its voxels lie in a second file"):
        reading(tmp_path / "v.nii", whole_file(magic=b"ni1"))


@pytest.mark.parametrize("slope", [np.nan, 0.0, np.inf])
def test_a_slope_that_is_no_number_scales_nothing(tmp_path: Path, slope: float) -> None:
    volume = reading(tmp_path / "v.nii", whole_file(scl_slope=slope, scl_inter=3))
    assert np.array_equal(volume.data, DATA)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read_volume(tmp_path / "absent.nii")
    with pytest.raises(DataError, match="the file cannot be read whole"):
        read_volume(tmp_path)
    with pytest.raises(DataError, match="it is empty"):
        reading(tmp_path / "v.nii.gz", b"")
    with pytest.raises(DataError, match="cannot be read whole"):
        reading(tmp_path / "v.nii", whole_file()[:-1])
