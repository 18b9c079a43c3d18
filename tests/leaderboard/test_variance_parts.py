"""The shipped variance parts are those of the shipped results, and what is said from them."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from benchmark.core.budget import UNITS
from benchmark.core.editions import EDITIONS
from benchmark.metrics.crossed import Grid, Parts
from benchmark.metrics.power import POWER, power, smallest_difference
from benchmark.results.resolution import WANTED, resolution
from benchmark.results.variance_parts import FILE, shipped
from leaderboard import variance_parts
from leaderboard.board import tables_of
from leaderboard.entries import entries_of
from leaderboard.page import RESULTS
from leaderboard.rows import Row, Table
from leaderboard.variance_parts import measured, shipped_tables


@pytest.mark.skipif(not [*RESULTS.glob("*.json")], reason="no results are shipped")
def test_the_shipped_file_is_measured_from_the_shipped_results() -> None:
    assert FILE.read_text(encoding="utf-8") == measured(shipped_tables()).text


def test_the_shipped_file_names_its_protocol_and_has_both_units() -> None:
    parts = shipped()
    assert parts.edition in EDITIONS
    assert set(parts.of) == set(UNITS)
    assert all("dp-wgan" in parts.of[unit] for unit in UNITS)


def test_the_parts_of_a_pair_are_unbiased() -> None:
    rng = np.random.default_rng(0)
    drawn = [
        0.2 * rng.standard_normal((3, 1))
        + 0.1 * rng.standard_normal((1, 6))
        + 0.05 * rng.standard_normal((3, 6))
        for _ in range(4000)
    ]
    mean = np.mean([variance_parts._variances(values) for values in drawn], axis=0)
    assert np.sqrt(mean) == pytest.approx([0.2, 0.1, 0.05], rel=0.05)


def test_a_generator_that_is_not_measured_gets_the_largest_parts_and_is_said_so() -> None:
    parts, is_measured = shipped().known("my-own", "patient")
    assert not is_measured
    largest = max(math.hypot(*one) for one in shipped().of["patient"].values())
    assert math.hypot(*parts) == largest
    said = " ".join(resolution(["my-own", "dp-wgan"], "patient", 3, 20))
    assert "my-own*" in said
    assert "*: not measured, so the largest." in said
    assert "dp-wgan*" not in said
    assert "*" not in " ".join(resolution(["dp-wgan"], "patient", 3, 20))


def test_what_is_said_is_what_the_power_says() -> None:
    parts = shipped().of["patient"]["wgan"]
    smallest, seeds = resolution(["wgan", "simulator"], "patient", 5, 40)
    found = smallest_difference(parts, 5, 40)
    assert found is not None
    assert f"5 seeds and 40 test patients show: {math.ceil(100 * found) / 100:.2f}" in smallest
    told = int(seeds.removeprefix(f"A difference of {WANTED:g} takes ").split()[0])
    assert power(parts, told, 40, WANTED) >= POWER > power(parts, told - 1, 40, WANTED)
    assert "simulator" not in smallest
    assert f"phantoms under protocol {shipped().edition}" in seeds


def test_one_seed_shows_no_difference() -> None:
    one, _ = resolution(["dp-wgan"], "patch", 1, 20)
    assert one.startswith("One seed is one draw: it shows no difference in Dice between two rows.")
    assert re.search(r"a standard deviation of 0\.\d\d \(", one)


def test_where_patients_are_too_few_no_number_of_seeds_is_named() -> None:
    assert "takes more test patients" in resolution(["dp-wgan"], "patient", 3, 6)[1]
    (one,) = resolution(["dp-wgan"], "patient", 3, 1)
    assert one == "1 test patient shows no difference in Dice, whatever the seeds."


def test_a_difference_that_dice_cannot_have_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    wild = Parts(seeds=0.3, patients=0.1, rest=0.1)
    assert smallest_difference(wild, 2, 20) > 1
    parts = replace(shipped(), of={"patient": {"dp-merf": wild}, "patch": {}})
    monkeypatch.setattr("benchmark.results.resolution.shipped", lambda: parts)
    assert "show: none (dp-merf)" in resolution(["dp-merf"], "patient", 2, 20)[0]


def test_of_bookends_alone_nothing_is_said() -> None:
    assert not resolution(["real", "simulator", "frangi"], "patch", 3, 20)


def test_a_pair_is_measured_on_the_seeds_that_both_have(monkeypatch: pytest.MonkeyPatch) -> None:
    table = next(t for t in shipped_tables() if t.common.unit == "patient")
    whole = measured([table])
    real = variance_parts._rows

    def cut(table: Table) -> Iterator[tuple[str, Row, Grid]]:
        for name, row, told in real(table):
            yield name, row, _from_second(told) if name == "dp-merf" else told

    monkeypatch.setattr(variance_parts, "_rows", cut)
    found = measured([table])
    assert found.of["patient"]["dp-merf"] != whole.of["patient"]["dp-merf"]
    assert found.alone["patient"]["dp-wgan"] == whole.alone["patient"]["dp-wgan"]


def _from_second(told: Grid) -> Grid:
    return replace(told, seeds=told.seeds[1:], values=told.values[1:])


def test_tables_of_several_protocols_are_not_measured_together() -> None:
    tables = tables_of(entries_of([RESULTS]))
    with pytest.raises(ValueError, match="of one protocol"):
        measured(tables)


def test_no_variance_is_below_zero() -> None:
    assert all(sd >= 0 for unit in UNITS for one in shipped().of[unit].values() for sd in one)
    assert all(isinstance(one, Parts) for unit in UNITS for one in shipped().of[unit].values())
