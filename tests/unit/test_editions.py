"""Editions of the protocol: what they change, and that nothing of two editions mixes."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from benchmark.cli.catalogue import show
from benchmark.core.editions import EDITIONS, FIRST, PROTOCOL, edition_of, preset_in
from benchmark.core.errors import UsageError
from benchmark.core.protocol import PROTOCOLS
from benchmark.core.registry import generators, segmenters
from benchmark.data.phantom.cohort import DESIGNS
from benchmark.results.tuned_settings import SHIPPED, Found, Wanted, nearest
from benchmark.sweep.request import Request, check, plug_in_of, protocol_of
from leaderboard.schema import SCHEMA

NEXT = "2026-2"


def asked(
    edition: str = NEXT, preset: str = "quick", settings: dict[str, dict[str, str]] | None = None
) -> Request:
    return Request(
        generators=["real"],
        epsilons=[float("inf")],
        preset=preset,
        protocol=edition,
        settings=settings or {},
    )


def test_the_first_edition_is_every_presets_own_but_for_the_simulator() -> None:
    for registry in (generators, segmenters):
        for name in registry.names():
            presets = registry.get(name).presets
            if name == "simulator":
                assert preset_in(FIRST, presets, name, "quick").as_dict()["design"] == "arcs"
                continue
            for preset, own in presets.items():
                assert preset_in(FIRST, presets, name, preset) == own
    for preset, own in PROTOCOLS.items():
        assert protocol_of(asked(FIRST, preset)) == own
        assert "edition" not in own.as_dict(), "else earlier results would lose their keys"


def test_every_other_edition_names_itself_in_every_protocol() -> None:
    for name in EDITIONS.keys() - {FIRST}:
        for preset in PROTOCOLS:
            said = protocol_of(asked(name, preset)).as_dict()
            assert edition_of(said) == said["edition"] == name
    assert edition_of(PROTOCOLS["quick"].as_dict()) == FIRST


def test_every_setting_of_an_edition_is_one_that_its_plug_in_has() -> None:
    for name, edition in EDITIONS.items():
        assert edition.phantoms in DESIGNS
        for preset, plug_ins in edition.settings.items():
            for plug_in, changed in plug_ins.items():
                if plug_in == PROTOCOL:
                    made = protocol_of(asked(name, preset)).as_dict()
                else:
                    registry = generators if plug_in in generators.names() else segmenters
                    made = dict(plug_in_of(registry, plug_in, asked(name, preset)).settings)
                assert changed.items() <= made.items()


def test_what_a_user_sets_goes_before_the_edition() -> None:
    request = asked(settings={"unet": {"iterations": "7"}, PROTOCOL: {"spacing_mm": "0.5"}})
    assert plug_in_of(segmenters, "unet", request).settings["iterations"] == 7
    assert protocol_of(request).as_dict()["spacing_mm"] == 0.5


def test_vessels_have_the_millimetres_of_the_patches_pixels() -> None:
    wide = asked(settings={PROTOCOL: {"spacing_mm": "0.5"}})
    for name in ("simulator", "dp-wgan", "dp-simulator", "private-selection"):
        assert plug_in_of(generators, name, wide).settings["pixel_mm"] == 0.5
        assert (
            dict(plug_in_of(generators, name, asked(preset="standard")).settings)["pixel_mm"] == 0.6
        )
    for name in ("simulator", "dp-wgan"):  # whatever spacing the protocol allows
        coarse = asked(settings={PROTOCOL: {"spacing_mm": "5"}})
        assert plug_in_of(generators, name, coarse).settings["pixel_mm"] == 5
    own = asked(settings={PROTOCOL: {"spacing_mm": "0.5"}, "simulator": {"pixel_mm": "0.7"}})
    assert plug_in_of(generators, "simulator", own).settings["pixel_mm"] == 0.7
    with pytest.raises(UsageError, match="spacing_mm"):
        plug_in_of(generators, "simulator", asked(settings={PROTOCOL: {"spacing_mm": "0.01"}}))


def test_an_edition_is_chosen_in_one_way() -> None:
    with pytest.raises(UsageError, match=r"protocol is called '2026-3'. Did you mean '2026-"):
        check(asked("2026-3"))
    with pytest.raises(UsageError, match="by --protocol, not by --set"):
        check(asked(settings={PROTOCOL: {"edition": FIRST}}))


def test_settings_tuned_under_one_edition_are_left_alone_by_others() -> None:
    file = next(SHIPPED.glob("dp-wgan/patch/*.toml"))
    found = Found.read(file)
    assert found.provenance.protocol == FIRST, "files from before editions are the first's"
    wanted = Wanted("dp-wgan", "patch", found.provenance.preset)
    assert nearest((SHIPPED,), wanted, found.epsilon) is not None
    assert nearest((SHIPPED,), replace(wanted, protocol=NEXT), found.epsilon) is None


def test_show_has_the_presets_of_an_edition() -> None:
    said = CliRunner().invoke(show, ["unet", "--protocol", NEXT])
    assert said.exit_code == 0
    assert f"of protocol {NEXT}" in said.output
    assert "unet.iterations = 1000" in said.output
    unknown = CliRunner().invoke(show, ["unet", "--protocol", "old"])
    assert "protocol is called 'old'" in str(unknown.exception)


def test_results_of_every_edition_can_be_published() -> None:
    spec = json.loads(SCHEMA.read_text())["$defs"]["RunSpec"]["properties"]
    known = spec["protocol"]["properties"]
    assert known.keys() == PROTOCOLS["quick"].ranges().keys()
    assert known["edition"]["enum"] == [*EDITIONS]
