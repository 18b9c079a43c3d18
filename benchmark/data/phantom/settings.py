"""What can be simulated: the sizes of a volume and the scanners of the hospitals.

Only constants, so that reading them costs nothing.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from benchmark.core.errors import UsageError

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Size:
    """A matrix of voxels, and the head that fits in it.

    Attributes:
        shape: Voxels along x, y and z.
        spacing_mm: A voxel's nominal sides; a scanner departs from them by its ``voxel_scale``.
        head_scale: The head's size over an adult's.
        feeder_radius_mm: The radius of a carotid artery where it divides.
        richness: Leaves of the arterial trees over those of the smallest ones.
        slab_bottom_mm: Where the lowest slice lies, below the circle of Willis, in an adult's mm.
    """

    shape: tuple[int, int, int]
    spacing_mm: Triple
    head_scale: float
    feeder_radius_mm: float
    richness: float
    slab_bottom_mm: float


SIZES = {
    "quick": Size(
        shape=(128, 144, 40),
        spacing_mm=(0.80, 0.80, 1.00),
        head_scale=0.57,
        feeder_radius_mm=1.50,
        richness=1.0,
        slab_bottom_mm=-24.0,
    ),
    "pegasus": Size(
        shape=(312, 384, 127),
        spacing_mm=(0.50, 0.50, 0.70),
        head_scale=0.93,
        feeder_radius_mm=2.00,
        richness=3.5,
        slab_bottom_mm=-34.0,
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
        slow_radius_mm: The radius at which slow flow has taken half of what it can take.
        texture: Standard deviation of the tissue's texture.
        bias: Relative amplitude of the receive field.
        noise: Standard deviation of the noise in either channel.
        blur_voxels: Standard deviation of the point spread.
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


def find_size(name: str) -> Size:
    """The size of that name.

    Raises:
        UsageError: If there is none.
    """
    if name in SIZES:
        return SIZES[name]
    near = difflib.get_close_matches(name, SIZES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"No phantom size is called {name!r}.{hint} There are: {', '.join(SIZES)}.")


def spacing_mm(size: Size, scanner: Scanner) -> Triple:
    """A voxel's sides on that scanner."""
    x, y, z = (round(s * f, 3) for s, f in zip(size.spacing_mm, scanner.voxel_scale, strict=True))
    return (x, y, z)
