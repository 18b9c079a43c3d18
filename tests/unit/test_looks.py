"""Colours and markers: one of each for a generator, seen by everybody on both grounds."""

import itertools

import pytest

from benchmark.core.registry import generators, segmenters
from benchmark.results.bookends import METHODS, UPPER
from benchmark.results.looks import KNOWN, OTHERS, look_of, looks_of

GROUNDS = {"light": "#ffffff", "dark": "#14171b"}
"""The page's."""


def luminance(colour: str) -> float:
    """Relative, by WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", GROUNDS)
def test_every_colour_stands_out_from_its_ground(ground: str) -> None:
    for name, look in [*KNOWN.items(), *(("other", look) for look in OTHERS)]:
        assert contrast(getattr(look, ground), GROUNDS[ground]) >= 3, name


def test_no_two_generators_look_alike() -> None:
    rivals = {
        name: look for name, look in KNOWN.items() if name not in (UPPER, "simulator", *METHODS)
    }
    for (_, one), (_, two) in itertools.combinations(rivals.items(), 2):
        assert one.light != two.light
        assert one.marker != two.marker


def test_every_generator_of_the_suite_has_a_look_and_a_strangers_keeps_its_own() -> None:
    ours = {*generators.names(), *METHODS, "dp-segmenter"}
    assert ours <= {*KNOWN}
    assert set(METHODS) <= {*segmenters.names()}
    assert look_of("somebody-elses") == look_of("somebody-elses")
    assert look_of("somebody-elses") in OTHERS


def test_rows_of_one_generator_share_its_colour_and_differ_in_their_markers() -> None:
    names = ["dp-wgan", "dp-wgan, 3 sites", "dp-wgan, harbour alone", "dp-wgan, hill alone"]
    found = looks_of(dict.fromkeys(names, "dp-wgan"))
    assert found["dp-wgan"] == look_of("dp-wgan")
    assert {look.light for look in found.values()} == {look_of("dp-wgan").light}
    assert len({look.marker for look in found.values()}) == len(names)
