"""Every registered plug-in keeps every law of its contract."""

import pytest

import generators.checks
import segmenters.checks
from benchmark.core import registry


@pytest.mark.parametrize("law", generators.checks.LAWS)
@pytest.mark.parametrize("name", registry.generators.names())
def test_every_generator_keeps_the_law(name: str, law: str) -> None:
    generators.checks.LAWS[law](registry.generators.get(name))


@pytest.mark.parametrize("law", segmenters.checks.LAWS)
@pytest.mark.parametrize("name", registry.segmenters.names())
def test_every_segmenter_keeps_the_law(name: str, law: str) -> None:
    segmenters.checks.LAWS[law](registry.segmenters.get(name))


def test_a_plug_in_is_named_like_its_file() -> None:
    for plug_ins in (registry.generators, registry.segmenters):
        assert [plug_ins.get(name).name for name in plug_ins.names()] == plug_ins.names()
