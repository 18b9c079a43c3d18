from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmark.core.errors import UsageError
from benchmark.data import phantom
from benchmark.data.phantom import PhantomCohort, cache, cohort, cohorts, patient, settings
from benchmark.data.phantom.annotators import annotated
from benchmark.data.phantom.forest import LEAST_RADIUS_MM, ROOT, Segment
from benchmark.data.phantom.grid import Grid
from benchmark.data.phantom.head import Pose
from benchmark.data.phantom.patient import Phantom, simulate
from benchmark.data.phantom.portable import exp, power
from benchmark.data.phantom.raster import draw
from benchmark.data.phantom.settings import (
    FIELD,
    FIELD_UNSEEN,
    HOSPITALS,
    PUBLISHED,
    SIZES,
    UNSEEN,
    Anatomy,
    Size,
    shape_of,
    spacing_mm,
)
from benchmark.data.phantom.texture import noise_at, smooth_noise
from benchmark.data.phantom.vessels import grow_vessels
from benchmark.sweep.inputs import gather

TINY = Size(
    shape=(34, 38, 12),
    spacing_mm=(3.0, 3.0, 3.4),
    head_scale=0.57,
    slab_bottom_mm=-24.0,
    anatomy=Anatomy(feeder_radius_mm=1.5, richness=0.5),
)
ANATOMIES = {"quick": SIZES["quick"].anatomy, "slab": PUBLISHED}
PUBLISHED_WIDTHS_MM = {
    "carotid": (5.0, 0.6),  # Rai et al. 2013, J NeuroIntervent Surg: mean and deviation of people
    "M1": (3.1, 0.4),
    "M2": (2.4, 0.4),
    "basilar": (3.6, 0.6),
}


@pytest.fixture(scope="module")
def patients() -> list[Phantom]:
    return [simulate(0, i, scanner, SIZES["quick"]) for i, scanner in enumerate(HOSPITALS)]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.SIZES, "quick", TINY)


@pytest.fixture(params=[(0, "quick"), (1, "quick"), (2, "slab")])
def grown(request: pytest.FixtureRequest) -> tuple[list[Segment], Anatomy]:
    seed, name = request.param
    return grow_vessels(np.random.default_rng(seed), ANATOMIES[name]), ANATOMIES[name]


@pytest.fixture
def segments(grown: tuple[list[Segment], Anatomy]) -> list[Segment]:
    return grown[0]


def contents(root: Path) -> dict[str, bytes]:
    return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}


def table(root: Path) -> list[dict[str, str]]:
    with (root / "participants.tsv").open(newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


# Vessels


def test_murrays_law_holds_at_every_branching(segments: list[Segment]) -> None:
    branches = defaultdict(list)
    for segment in segments:
        if segment.parent != ROOT and segment.is_labelled:
            branches[segment.parent].append(segment.radius_mm[0])
    assert len(branches) > 100
    for parent, radii in branches.items():
        before = segments[parent].radius_mm[-1]
        assert sum(r**3 for r in radii) == pytest.approx(before**3)


def test_radii_stay_between_the_least_and_the_feeder(
    grown: tuple[list[Segment], Anatomy],
) -> None:
    segments, anatomy = grown
    arteries = [s.radius_mm for s in segments if s.is_labelled]
    assert min(r.min() for r in arteries) >= LEAST_RADIUS_MM
    most = max(*anatomy.carotid, anatomy.basilar) * (1 + 4 * anatomy.basilar_spread)
    assert max(r.max() for r in arteries) <= most * anatomy.feeder_radius_mm
    assert all((np.diff(r) <= 1e-12).all() for r in arteries)


def test_a_branch_starts_where_its_parent_ends(segments: list[Segment]) -> None:
    for segment in segments[: sum(s.is_labelled for s in segments)]:
        if segment.parent != ROOT:
            before = segments[segment.parent].points[-1]
            np.testing.assert_allclose(segment.points[0], before, atol=1e-9)


def test_both_hemispheres_are_fed_alike(segments: list[Segment]) -> None:
    x = np.concatenate([s.points[:, 0] for s in segments if s.is_labelled])
    assert 0.35 < (x > 0).mean() < 0.65
    assert x.min() < -40
    assert x.max() > 40


@pytest.mark.parametrize("radius_mm", [0.2, 0.3, 0.5, 1.0, 2.0])
def test_a_tubes_coverage_sums_to_its_volume(radius_mm: float) -> None:
    shape, sides, length = (40, 40, 30), (0.8, 0.8, 1.0), 20.0
    points = np.linspace([15.3, 16.1, 5.0], [15.3, 16.1, 5.0 + length], 50)
    tube = Segment(points=points, radius_mm=np.full(50, radius_mm))
    pose = Pose(rotation=np.eye(3), stretch=np.ones(3), centre_mm=np.zeros(3))
    covered = draw([tube], pose, Grid(shape, sides), slow_radius_mm=0.1).coverage[:, :, 8:22]
    assert covered.sum() * 0.64 * 1.0 == pytest.approx(14.0 * np.pi * radius_mm**2, rel=0.15)


def test_no_vessel_is_drawn_or_labelled_outside_of_the_grid() -> None:
    points = np.linspace([-20.0, 5, 5], [60.0, 5, 5], 80)
    tube = Segment(points=points, radius_mm=np.full(80, 1.0))
    pose = Pose(rotation=np.eye(3), stretch=np.ones(3), centre_mm=np.zeros(3))
    label = draw([tube], pose, Grid((20, 12, 12), (1.0, 1.0, 1.0)), slow_radius_mm=0.1).label
    assert label[:, 5, 5].all()
    assert not label[:, 9:].any()


@pytest.fixture(scope="module")
def people() -> list[list[Segment]]:
    """The vessels of 24 people of version 3."""
    return [grow_vessels(np.random.default_rng(seed), PUBLISHED) for seed in range(24)]


def test_widths_of_version_3_are_the_published_ones(people: list[list[Segment]]) -> None:
    for name, (mean, spread) in PUBLISHED_WIDTHS_MM.items():
        widths = [2 * s.radius_mm[0] for person in people for s in person if s.name == name]
        assert np.mean(widths) == pytest.approx(mean, abs=0.5 * spread), name
        assert 0.4 * spread < np.std(widths) < 1.7 * spread, name


def test_veins_are_bright_and_no_artery(people: list[list[Segment]]) -> None:
    segments = people[0]
    arteries, veins = ([s for s in segments if s.is_labelled is kind] for kind in (True, False))
    faint = [s.flow for s in veins if s.flow <= PUBLISHED.vein_flow[1]]
    assert max(faint) < min(s.flow for s in arteries), "all but the sinuses"
    assert len(veins) > 50


def test_a_circle_of_willis_is_seldom_complete(people: list[list[Segment]]) -> None:
    roots = [sum(s.parent == ROOT and s.is_labelled for s in person) for person in people]
    assert 0.05 < np.mean(np.array(roots) == 6) < 0.4, "two carotids, the basilar and three bridges"


# Fields


@pytest.mark.parametrize("grain_mm", [1.6, 5.0])
def test_noise_is_standard_whatever_its_grain(grain_mm: float) -> None:
    field = smooth_noise(np.random.default_rng(0), (60, 60, 60), (1.0, 1.0, 1.0), grain_mm=grain_mm)
    assert abs(field.mean()) < 0.1
    assert field.std() == pytest.approx(1.0, abs=0.1)


def test_noise_at_the_points_of_a_grid_is_smooth_and_standard() -> None:
    grid = [g.astype(np.float32) for g in np.meshgrid(*[np.arange(60.0)] * 3, indexing="ij")]
    field = noise_at(np.random.default_rng(0), grid, grain_mm=5.0)
    assert field.std() == pytest.approx(1.0, abs=0.1)
    assert np.abs(np.diff(field, axis=0)).mean() < 0.25


# Patients


def test_the_vessels_are_about_one_percent_of_the_brain(patients: list[Phantom]) -> None:
    shares = [p.vessels.sum() / p.brain.sum() for p in patients]
    assert all(0.006 < share < 0.03 for share in shares)


def test_masks_are_binary_and_the_vessels_lie_in_the_brain(patients: list[Phantom]) -> None:
    for one in patients:
        assert one.image.shape == one.vessels.shape == one.brain.shape
        assert set(np.unique(one.vessels)) == set(np.unique(one.brain)) == {0, 1}
        assert not (one.vessels & (1 - one.brain)).any()


def test_walls_have_partial_volume(patients: list[Phantom]) -> None:
    from scipy.ndimage import binary_dilation, binary_erosion

    for one in patients:
        vessels, brain = one.vessels > 0, one.brain > 0
        core, rim = binary_erosion(vessels), binary_dilation(vessels) & ~vessels & brain
        wall = vessels & ~core
        rest = np.median(one.image[brain & ~binary_dilation(vessels, iterations=3)])
        bright = [float(np.median(one.image[where])) for where in (core, wall, rim)]
        assert bright[0] > bright[1] > bright[2]
        assert rest < bright[1] < bright[0]


def test_air_holds_rician_noise(patients: list[Phantom]) -> None:
    for one in patients:
        air = one.image[:6, :6].astype(float)
        assert air.std() / air.mean() == pytest.approx(np.sqrt(4 / np.pi - 1), abs=0.05)


def test_no_one_threshold_finds_the_vessels(patients: list[Phantom]) -> None:
    image, vessels = (
        np.concatenate([getattr(p, name)[p.brain > 0] for p in patients])
        for name in ("image", "vessels")
    )
    thresholds = np.percentile(image, np.linspace(90, 99.9, 60))
    assert max(dice(image > t, vessels > 0) for t in thresholds) < 0.7


def test_blood_is_brighter_than_brain_and_fat_outshines_brain(patients: list[Phantom]) -> None:
    for one in patients:
        brain = one.image[(one.brain > 0) & (one.vessels == 0)]
        assert np.median(one.image[one.vessels > 0]) > np.percentile(brain, 95)
        assert np.percentile(one.image[one.brain == 0], 99) > np.percentile(brain, 98)


def test_a_patient_is_a_function_of_seed_number_and_scanner() -> None:
    def image(seed: int, patient: int, scanner: settings.Scanner) -> bytes:
        return simulate(seed, patient, scanner, TINY).image.tobytes()

    first = image(0, 0, HOSPITALS[0])
    assert image(0, 0, HOSPITALS[0]) == first
    assert len({first, image(1, 0, HOSPITALS[0]), image(0, 1, HOSPITALS[0])}) == 3
    assert image(0, 0, UNSEEN) != first


VOXELS = {"quick": "1884ce50346ba074", "slab": "421cc2b439fdc803"}
"""Of the embedded cohort's versions 2 and 3, by size."""
DIGEST = """
import hashlib, sys
from benchmark.data.phantom.patient import simulate
from benchmark.data.phantom.settings import SIZES, hospitals
size = SIZES[sys.argv[1]]
phantoms = [simulate(2022, i, hospitals(size)[i], size) for i in range(3)]
voxels = [volume.tobytes() for p in phantoms for volume in (p.image, p.vessels, p.brain)]
print(hashlib.sha256(b"".join(voxels)).hexdigest()[:16])
"""


@pytest.mark.parametrize("missing", [(), ("X86_V4",), ("X86_V3", "X86_V4")])
@pytest.mark.parametrize("size", VOXELS)
def test_no_processor_changes_a_voxel_of_this_version(missing: tuple[str, ...], size: str) -> None:
    """Results carry the phantoms' digest: those of other machines must be of the same bytes."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    disabled = [name for name in found if missing and (name in missing or "_V" not in name)]
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(disabled)}
    command = [sys.executable, "-c", DIGEST, size]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == VOXELS[size]


def test_the_exponential_and_the_power_are_near_the_true_ones() -> None:
    x = np.random.default_rng(0).normal(0, 2, 100_000).astype(np.float32)
    assert np.allclose(exp(x), np.exp(x.astype(np.float64)), rtol=3 * 2.0**-23, atol=0)
    assert exp(x).dtype == power(np.abs(x), -0.35).dtype == np.float32
    assert np.allclose(power(np.abs(x), -0.35), np.abs(x.astype(np.float64)) ** -0.35, rtol=1e-6)


def test_every_scanner_has_its_own_name_and_spacing() -> None:
    for size in SIZES.values():
        scanners = (*settings.hospitals(size), settings.unseen(size))
        assert len({s.name for s in scanners}) == 4
        assert len({spacing_mm(size, s) for s in scanners}) == 4


@pytest.fixture(scope="module")
def version_3() -> list[Phantom]:
    return [simulate(4, i, scanner, SIZES["slab"]) for i, scanner in enumerate(FIELD)]


def test_version_3_fills_one_extent_with_each_scanners_voxels(version_3: list[Phantom]) -> None:
    for scanner, found in zip(FIELD, version_3, strict=True):
        size = SIZES["slab"]
        assert found.spacing_mm == spacing_mm(size, scanner)
        assert found.image.shape == shape_of(size, found.spacing_mm)
        extent = np.array(found.image.shape) * found.spacing_mm
        assert np.allclose(extent, size.extent_mm, atol=1.0)


def test_version_3_has_the_published_share_of_vessels(version_3: list[Phantom]) -> None:
    for found in version_3:
        assert 0.005 < found.vessels.sum() / found.brain.sum() < 0.02


def test_one_hospital_shares_brains_without_their_skull(version_3: list[Phantom]) -> None:
    for scanner, found in zip(FIELD, version_3, strict=True):
        assert scanner.stripped == (not found.image[found.brain == 0].any())
    assert any(scanner.stripped for scanner in FIELD)
    assert not FIELD_UNSEEN.stripped


def test_a_coarse_field_is_linear_on_the_voxels() -> None:
    grid = Grid((12, 9, 7), (0.5, 0.6, 0.8))
    coarse = grid.coarse(1.0)
    x, y, z = (np.arange(n) * s for n, s in zip(*coarse, strict=True))
    field = (x[:, None, None] + 2 * y[:, None] - z).astype(np.float32)
    u, v, w = (np.arange(n) * s for n, s in zip(*grid, strict=True))
    assert np.allclose(grid.lifted(field, coarse), u[:, None, None] + 2 * v[:, None] - w, atol=1e-5)
    assert grid.lifted(field, grid) is field


# Files


def test_a_cohort_is_bids_with_the_true_geometry(tmp_path: Path) -> None:
    root = tmp_path / "new" / "cohort"
    cohort.write_cohort(root, patients=1)
    derivatives = root / "derivatives"
    for path, kind in (
        (root / "sub-01/anat/sub-01_angio.nii.gz", np.int16),
        (derivatives / "vessels/sub-01/anat/sub-01_desc-vessel_mask.nii.gz", np.uint8),
        (derivatives / "brain/sub-01/anat/sub-01_desc-brain_mask.nii.gz", np.uint8),
    ):
        file = nib.load(path)
        assert file.get_data_dtype() == kind
        assert file.shape == SIZES["quick"].shape
        assert nib.aff2axcodes(file.affine) == ("R", "A", "S")
        zooms = spacing_mm(SIZES["quick"], HOSPITALS[0])
        np.testing.assert_allclose(file.header.get_zooms(), zooms, rtol=1e-6)
    for folder in (root, derivatives / "vessels", derivatives / "brain"):
        assert json.loads((folder / "dataset_description.json").read_text())["Name"]


@pytest.mark.usefixtures("tiny")
def test_sites_take_turns_and_no_split_is_given(tmp_path: Path) -> None:
    cohort.write_cohort(tmp_path / "c", patients=4)
    names = [s.name for s in HOSPITALS]
    assert [row["site"] for row in table(tmp_path / "c")] == [*names, names[0]]
    assert "split" not in table(tmp_path / "c")[0]


@pytest.mark.usefixtures("tiny")
def test_the_number_of_jobs_changes_no_byte(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    cohort.write_cohort(tmp_path / "one", patients=2, seed=5)
    cohort.write_cohort(
        tmp_path / "two", patients=2, seed=5, jobs=2, progress=lambda *done: told.append(done)
    )
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patients": 0}, "patients of at least 1, got 0"),
        ({"patients": 1, "size": "quik"}, "Did you mean 'quick'"),
        ({"patients": 1, "size": "?"}, "There are: quick, pegasus"),
        ({"patients": 1, "seed": -1}, "seed of at least 0, got -1"),
        ({"patients": 1, "jobs": 0}, "jobs of at least 1, got 0"),
    ],
)
def test_an_error_is_one_sentence_and_writes_nothing(
    tmp_path: Path, options: dict[str, int], words: str
) -> None:
    with pytest.raises(UsageError, match=r"[.]$") as error:
        cohort.write_cohort(tmp_path / "c", **options)
    assert words in str(error.value)
    assert not (tmp_path / "c").exists()


def test_a_folder_in_use_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    for root, words in ((tmp_path, "not empty"), (tmp_path / "note", "a file")):
        with pytest.raises(UsageError, match=words):
            cohort.write_cohort(root, patients=1)
        with pytest.raises(UsageError, match=words):
            cohort.write_embedded(root)
    assert contents(tmp_path) == {"note": b"mine"}


# The embedded cohort


@pytest.mark.parametrize(("version", "tested"), [(2, 6), (3, 20)])
def test_the_embedded_cohort_mixes_hospitals_in_every_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, tested: int
) -> None:
    empty = np.zeros((2, 2, 2), np.uint8)
    blank = Phantom(empty.astype(np.int16), empty, empty, (1.0, 1.0, 1.0))
    monkeypatch.setattr(patient, "simulate", lambda *_: blank)
    root = phantom.embedded(tmp_path / "cache", PhantomCohort(version, 3))
    rows, shifted = table(root / "cohort"), table(root / "shifted")
    splits = defaultdict(list)
    for row in rows:
        splits[row["split"]].append(row["site"])
    counts = {name: len(sites) for name, sites in splits.items()}
    assert counts == {"train": 16, "val": 4, "test": tested}
    hospitals = {s.name for s in HOSPITALS}
    assert all(set(sites) == hospitals for sites in splits.values())
    assert [(row["site"], row["split"]) for row in shifted] == [(UNSEEN.name, "test")] * tested
    identities = [row["participant_id"] for row in (*rows, *shifted)]
    assert len(set(identities)) == 20 + 2 * tested
    assert len(list(root.glob("*/sub-*/anat/*_angio.nii.gz"))) == 20 + 2 * tested


def test_the_embedded_cohort_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def write(root: Path, *_: object, **__: object) -> None:
        made.append(root)
        root.mkdir()

    monkeypatch.setattr(cache, "write_embedded", write)
    first = phantom.embedded(tmp_path, PhantomCohort(seed=1))
    assert phantom.embedded(tmp_path, PhantomCohort(seed=1)) == first
    assert len(made) == 1
    assert made[0] != first
    assert phantom.embedded(tmp_path, PhantomCohort(seed=2)) != first
    assert phantom.embedded(tmp_path, PhantomCohort(seed=1, annotators="broad")) != first
    assert f"v{phantom.VERSION}" in first.name


def test_of_several_at_once_one_makes_the_cohort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def write(root: Path, *_: object, **__: object) -> None:
        made.append(root)
        time.sleep(0.1)
        root.mkdir()

    monkeypatch.setattr(cache, "write_embedded", write)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(phantom.embedded, [tmp_path] * 4))
    assert len(folders) == len(made) == 1


def test_a_half_written_cohort_is_never_taken_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(root: Path, *_: object, **__: object) -> None:
        (root / "cohort").mkdir(parents=True)
        raise KeyboardInterrupt

    def write(root: Path, *_: object, **__: object) -> None:
        root.mkdir()
        (root / "whole").touch()

    monkeypatch.setattr(cache, "write_embedded", die)
    with pytest.raises(KeyboardInterrupt):
        phantom.embedded(tmp_path)
    assert not [f for f in tmp_path.iterdir() if not f.name.startswith(".")]
    monkeypatch.setattr(cache, "write_embedded", write)
    made = phantom.embedded(tmp_path)
    assert sorted(f.name for f in made.iterdir()) == ["SHA256SUMS", "whole"]


# Annotators


@pytest.mark.parametrize(("who", "share"), [("usual", 1.0), ("broad", 2.3), ("narrow", 0.65)])
def test_annotators_end_labels_elsewhere_and_change_nothing_else(who: str, share: float) -> None:
    size = settings.find_size("slab")
    usual = simulate(3, 0, settings.hospitals(size)[0], size)
    other = simulate(3, 0, settings.hospitals(size)[0], annotated(size, who))
    assert np.array_equal(other.image, usual.image)
    assert np.array_equal(other.brain, usual.brain)
    assert other.vessels.sum() / usual.vessels.sum() == pytest.approx(share, abs=0.12)
    inner, outer = sorted([usual.vessels, other.vessels], key=np.sum)
    assert not (inner & ~outer).any(), "one label lies within the other"
    assert not (other.vessels & ~other.brain).any()


def test_an_unknown_annotator_or_cohort_is_named_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="broad"):
        cohort.write_cohort(tmp_path / "c", patients=1, annotators="brod")
    with pytest.raises(UsageError, match="narrow"):
        cohorts.named("narow", 3)


def test_a_cohort_is_found_by_its_digest_and_version() -> None:
    for (name, version), digest in cohorts.DIGESTS.items():
        assert cohorts.behind(digest, version) == cohorts.named(name, version)
        assert cohorts.name_of(digest, version - 1) == cohorts.FIRST
    assert cohorts.name_of("0" * 16, 3) == cohorts.FIRST
    assert cohorts.named("first", 3) == PhantomCohort(3)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "version"), cohorts.DIGESTS)
def test_the_known_digests_are_those_of_the_cohorts(
    tmp_path: Path, name: str, version: int
) -> None:
    inputs = gather(
        None,
        (),
        cache=tmp_path / "cache",
        state=tmp_path / "state",
        jobs=2,
        progress=lambda *_: None,
        phantoms=cohorts.named(name, version),
    )
    assert inputs.data == cohorts.DIGESTS[name, version]


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, benchmark.data.phantom\n"
        "sys.exit(', '.join({'scipy', 'nibabel', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.stderr.strip()
