"""The constants of the simulation: anatomies, the sizes of volumes and the hospitals' scanners.

There are only constants here, so that the import is cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.core.errors import UsageError
from benchmark.core.names import unknown

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """The parameters of the vessels and the head. The defaults are version 2's.

    Attributes:
        feeder_radius_mm: The radius of a carotid artery where it divides, mean over people.
        feeder_spread: Its relative standard deviation.
        carotid: A carotid's radius over that, at even steps from the neck to where it divides.
        basilar: The basilar artery's radius over that, where it begins.
        basilar_taper: The basilar's radius at its end over that at its beginning.
        basilar_spread: The relative standard deviation of its radius.
        bridges: How often the anterior and a posterior communicating artery can be seen.
        hypoplastic: How often an A1 is much thinner than the other.
        richness: Leaves of the arterial trees over those of the smallest ones.
        richness_spread: Its standard deviation between people, in logarithms.
        flow_spread: Standard deviation, in logarithms, of the blood's signal between vessels.
        sinus_flow: The range of sinuses' signal, as shares of an artery's.
        vein_flow: The same of veins.
        labelled_signal: The least share of a voxel that is blood, times its signal over fast
            arterial blood's, at which an annotator marks a vessel. What cannot be seen is not
            marked.
        labelled_step: The least depth within the wall at which an annotator marks a voxel: 0 for
            any voxel that it touches, 0.5 for one with its middle on the wall, 1 for whole ones
            only.
        labelled_margin: How many voxels further an annotator marks, on every side.
        veins: Whether there are deep and cortical veins and choroid plexus, all unlabelled.
        marrow: Whether bright marrow lies inside the brain mask.
    """

    feeder_radius_mm: float
    richness: float
    feeder_spread: float = 0.05
    carotid: tuple[float, ...] = (1.0, 0.97)
    basilar: float = 0.82
    basilar_taper: float = 0.97
    basilar_spread: float = 0.06
    bridges: tuple[float, float] = (1.0, 1.0)
    hypoplastic: float = 0.0
    richness_spread: float = 0.0
    flow_spread: float = 0.0
    sinus_flow: tuple[float, float] = (0.15, 0.38)
    vein_flow: tuple[float, float] = (0.15, 0.38)
    labelled_signal: float = 0.40
    labelled_step: float = 0.5
    labelled_margin: int = 0
    veins: bool = False
    marrow: bool = True


PUBLISHED = Anatomy(
    feeder_radius_mm=1.8,  # terminus 3.6 ± 0.4 mm wide (Rai 2013, J NeuroIntervent Surg)
    feeder_spread=0.11,
    carotid=(1.39, 1.39, 1.39, 1.2, 1.0),  # cavernous part 5.0 ± 0.6 mm (Rai 2013)
    basilar=1.0,  # 3.6 ± 0.6 to 3.1 ± 0.5 mm (Rai 2013, posterior circulation)
    basilar_taper=0.86,
    basilar_spread=0.16,
    bridges=(0.85, 0.5),  # a circle is complete in 12 to 17 % (doi 10.1155/2015/976340)
    hypoplastic=0.1,
    richness=4.0,
    richness_spread=0.25,
    flow_spread=0.2,
    sinus_flow=(0.25, 0.6),  # a guess: saturation bands leave some
    vein_flow=(0.1, 0.3),  # a guess: brighter than tissue, darker than most arteries
    labelled_step=0.3,  # a guess: with the wall's voxels the share nears that of public masks
    veins=True,
    marrow=False,
)
"""The anatomy of version 3, after published figures."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """The part of a head that is scanned, and its voxels.

    Attributes:
        spacing_mm: A voxel's nominal sides; a scanner departs from them by its ``voxel_scale``.
        head_scale: The head's size over an adult's.
        slab_bottom_mm: The position of the lowest slice relative to the circle of Willis, in an
            adult's mm; negative below it.
        anatomy: The vessels and the head.
        shape: Voxels along x, y and z; ``None`` where a scanner's own voxels fill ``extent_mm``.
        extent_mm: The sides of the volume, where ``shape`` is ``None``.
        tissue_mm: The sides of the grid on which tissue is computed; the voxels' if ``None``.
    """

    spacing_mm: Triple = (0.60, 0.60, 0.80)
    head_scale: float
    slab_bottom_mm: float
    anatomy: Anatomy
    shape: tuple[int, int, int] | None = None
    extent_mm: Triple = (0.0, 0.0, 0.0)
    tissue_mm: float | None = None


SIZES = {
    "quick": Size(
        shape=(128, 144, 40),
        spacing_mm=(0.80, 0.80, 1.00),
        head_scale=0.57,
        slab_bottom_mm=-24.0,
        anatomy=Anatomy(feeder_radius_mm=1.50, richness=1.0),
    ),
    "pegasus": Size(
        shape=(312, 384, 127),
        spacing_mm=(0.50, 0.50, 0.70),
        head_scale=0.93,
        slab_bottom_mm=-34.0,
        anatomy=Anatomy(feeder_radius_mm=2.00, richness=3.5),
    ),
    "slab": Size(
        extent_mm=(150.0, 184.0, 30.0),
        head_scale=0.95,
        slab_bottom_mm=-13.0,
        anatomy=PUBLISHED,
        tissue_mm=1.0,
    ),
    "head": Size(
        extent_mm=(170.0, 204.0, 90.0),
        head_scale=0.95,
        slab_bottom_mm=-36.0,
        anatomy=PUBLISHED,
        tissue_mm=1.0,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """One hospital's scanner and protocol. Signals are relative to white matter's 1.

    Attributes:
        name: The site, as ``participants.tsv`` has it.
        voxel_scale: A voxel's sides over the size's nominal ones.
        gain: Stored units for white matter's signal.
        gain_spread: Relative standard deviation of the gain between patients.
        grey, fluid, fat, muscle, bone: Signals of these tissues.
        blood: Signal of fast arterial blood.
        inflow_loss_per_mm: Relative loss of blood's signal per mm (an adult's) upwards.
        slow_radius_mm: The radius at which slow flow halves the signal.
        texture: Standard deviation of the tissue's texture.
        bias: Relative amplitude of the receive field.
        noise: Standard deviation of the noise in either channel.
        blur_voxels: Standard deviation of the point spread.
        stripped: Whether everything outside the brain has been set to 0.
    """

    name: str
    voxel_scale: Triple
    gain: float
    gain_spread: float = 0.12
    grey: float = 0.86
    fluid: float = 0.50
    fat: float = 1.90
    muscle: float = 0.75
    bone: float = 0.18
    blood: float = 2.80
    inflow_loss_per_mm: float = 0.006
    slow_radius_mm: float = 0.10
    texture: float = 0.06
    bias: float = 0.22
    noise: float = 0.025
    blur_voxels: float = 0.38
    stripped: bool = False


HOSPITALS = (
    Scanner(name="north", voxel_scale=(1.0, 1.0, 1.0), gain=260.0),
    Scanner(
        name="harbour",
        voxel_scale=(0.95, 0.95, 0.90),
        gain=410.0,
        grey=0.90,
        fluid=0.58,
        fat=1.60,
        blood=2.60,
        texture=0.07,
        bias=0.25,
        noise=0.03,
    ),
    Scanner(
        name="hill",
        voxel_scale=(1.07, 1.07, 1.10),
        gain=180.0,
        grey=0.82,
        fluid=0.42,
        fat=2.20,
        blood=3.00,
        inflow_loss_per_mm=0.008,
        texture=0.05,
        bias=0.20,
        noise=0.022,
        blur_voxels=0.42,
    ),
)

UNSEEN = Scanner(
    name="island",
    voxel_scale=(0.93, 0.93, 1.20),
    gain=600.0,
    grey=0.94,
    fluid=0.66,
    fat=1.45,
    blood=2.45,
    inflow_loss_per_mm=0.008,
    texture=0.08,
    bias=0.25,
    noise=0.04,
    blur_voxels=0.46,
)


FIELD = (
    Scanner(
        name="north",  # 3 T, as PEGASUS and many since: half a millimetre, interpolated
        voxel_scale=(0.90, 0.90, 1.00),
        gain=260.0,
        blood=2.8,
        slow_radius_mm=0.15,
        bias=0.26,
        noise=0.06,
        texture=0.07,
    ),
    Scanner(
        name="harbour",  # 3 T, shared after its skull was stripped, as PEGASUS was
        voxel_scale=(0.87, 0.87, 1.00),
        gain=410.0,
        grey=0.90,
        fluid=0.55,
        fat=1.60,
        blood=2.5,
        slow_radius_mm=0.18,
        texture=0.08,
        bias=0.3,
        noise=0.06,
        stripped=True,
    ),
    Scanner(
        name="hill",  # 1.5 T: larger voxels, less contrast, more noise
        voxel_scale=(1.13, 1.13, 1.25),
        gain=180.0,
        grey=0.84,
        fluid=0.45,
        fat=2.10,
        blood=2.3,
        inflow_loss_per_mm=0.009,
        slow_radius_mm=0.2,
        texture=0.07,
        bias=0.2,
        noise=0.08,
        blur_voxels=0.45,
    ),
)
"""The hospitals of version 3. In plane IXI has 0.47 mm, PEGASUS 0.5, BraVa 0.62; slices are 0.6 to
1 mm thick."""

FIELD_UNSEEN = Scanner(
    name="island",
    voxel_scale=(0.78, 0.78, 1.10),
    gain=600.0,
    gain_spread=0.25,
    grey=0.93,
    fluid=0.62,
    fat=1.50,
    blood=2.6,
    inflow_loss_per_mm=0.004,
    slow_radius_mm=0.18,
    texture=0.09,
    bias=0.3,
    noise=0.07,
    blur_voxels=0.55,
)


def find_size(name: str) -> Size:
    """Return the size with a name.

    Raises:
        UsageError: If there is none.
    """
    if name in SIZES:
        return SIZES[name]
    raise UsageError(unknown("phantom size", name, SIZES))


def spacing_mm(size: Size, scanner: Scanner) -> Triple:
    """Return a voxel's sides on a scanner."""
    x, y, z = (round(s * f, 3) for s, f in zip(size.spacing_mm, scanner.voxel_scale, strict=True))
    return (x, y, z)


def shape_of(size: Size, spacing_mm: Triple) -> tuple[int, int, int]:
    """Return how many voxels of these sides a volume has."""
    if size.shape is not None:
        return size.shape
    x, y, z = (round(side / step) for side, step in zip(size.extent_mm, spacing_mm, strict=True))
    return (x, y, z)


def hospitals(size: Size) -> tuple[Scanner, ...]:
    """Return the scanners of a cohort's hospitals."""
    return HOSPITALS if size.anatomy != PUBLISHED else FIELD


def unseen(size: Size) -> Scanner:
    """Return the scanner of the shifted test set."""
    return UNSEEN if size.anatomy != PUBLISHED else FIELD_UNSEEN
