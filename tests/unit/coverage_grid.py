"""How often the interval of a mean over seeds and patients has the true mean in it.

The designs, their numbers of seeds and patients, and the shares of the variance that the shipped
board's rows have (seeds, patients, the rest); effects are normal, or skewed (gamma). Run as a
script it prints the table of docs/experiments.md.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from benchmark.metrics.crossed import of_values, spread

SEEDS = (2, 3, 4, 5, 7, 10, 15, 20)
PATIENTS = (3, 4, 6, 8, 10, 15, 20, 30, 40)
SHARES = (
    (0.00, 0.96, 0.04),
    (0.02, 0.96, 0.02),
    (0.10, 0.70, 0.20),
    (0.30, 0.60, 0.10),
    (0.40, 0.40, 0.20),
    (0.25, 0.40, 0.35),
    (0.00, 0.31, 0.69),
    (0.56, 0.35, 0.09),
    (0.80, 0.15, 0.05),
    (0.97, 0.02, 0.01),
)
"""Of seeds, patients and the rest: the corners and the middle of the shipped board's rows."""

Share = tuple[float, float, float]


class Design(NamedTuple):
    seeds: int
    patients: int
    share: Share
    skewness: float


def designs(seeds: Sequence[int], patients: Sequence[int], skewness: float) -> Iterator[Design]:
    for many in seeds:
        for few in patients:
            yield from (Design(many, few, share, skewness) for share in SHARES)


def effects(rng: np.random.Generator, shape: tuple[int, ...], skewness: float) -> NDArray:
    """Of mean 0 and variance 1; a gamma of shape k has the skewness 2 / √k."""
    if not skewness:
        return rng.standard_normal(shape)
    k = 4 / skewness**2
    return (rng.standard_gamma(k, shape) - k) / np.sqrt(k)


def covered(design: Design, draws: int, rng: np.random.Generator) -> float:
    """The percentage of simulated studies whose 95 % interval has the true mean, 0."""
    seeds, patients, share, skewness = design
    shapes = ((draws, seeds, 1), (draws, 1, patients), (draws, seeds, patients))
    parts = (np.sqrt(s) * effects(rng, of, skewness) for s, of in zip(share, shapes, strict=True))
    found = of_values(np.asarray(sum(parts)))
    error, df = spread(found)
    return float(100 * (np.abs(found.mean) <= error * stdtrit(df, 0.975)).mean())


def main(draws: int) -> None:
    rng = np.random.default_rng(25)
    for skewness in (0.0, 1.0, 2.0):
        found = {d: covered(d, draws, rng) for d in designs(SEEDS, PATIENTS, skewness)}
        write(f"\nSkewness {skewness:g}\n\n| seeds | {' | '.join(map(str, PATIENTS))} | in 93–97 |")
        write("| --: " * (len(PATIENTS) + 2) + "|")
        for seeds in SEEDS:
            row = [[v for d, v in found.items() if d[:2] == (seeds, p)] for p in PATIENTS]
            cells = [f"{min(each):.1f}–{max(each):.1f}" for each in row]
            flat = [value for each in row for value in each]
            inside = sum(93 <= value <= 97 for value in flat)
            write(f"| {seeds} | {' | '.join(cells)} | {inside} of {len(flat)} |")


def write(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
