"""The words of a deployment mean what they mean in ``bench run --sites``."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.core.editions import DEFAULT, EDITIONS, FIRST
from benchmark.core.errors import UsageError
from benchmark.core.registry import generators
from benchmark.data.cohort import Patient
from benchmark.sweep import site_plans
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.plan_cells import cells
from benchmark.sweep.request import Request
from benchmark.sweep.sites import Federation
from federation.configuration import job_of
from federation.job import NO_RUN, Job

APP = tomllib.loads((Path("federation") / "pyproject.toml").read_text())
DEFAULTS: Mapping[str, Any] = APP["tool"]["flwr"]["app"]["config"]
NOWHERE = Path("nowhere")
PATIENTS = tuple(
    Patient(id=f"sub-{number:02d}", image=NOWHERE, vessels=NOWHERE, site="abc"[number % 3])
    for number in range(12)
)
INPUTS = Inputs(
    train=PATIENTS,
    tests={"test": ()},
    data="d",
    test_data={"test": "t"},
    private=False,
    patients=tuple(patient.id for patient in PATIENTS),
)


def deployed(**config: Any) -> Job:
    """The job of a deployment, but for its run's key."""
    said = {name.replace("_", "-"): value for name, value in config.items()}
    return replace(job_of({**DEFAULTS, **said}, patients=len(PATIENTS)), run=NO_RUN)


def simulated(generator: str, how: Mapping[str, Any] | None = None, **asked: Any) -> Job:
    """The job of the same words in a sweep, but for its run's key."""
    request = Request(
        generators=[generator],
        epsilons=[5.0],
        bookends=False,
        noise="system",
        federation=Federation(sites=3, **(how or {})),
        **asked,
    )
    (spec,) = cells(request, INPUTS, "")
    return replace(site_plans.job_of(spec), run=NO_RUN)


PRIVATE = [
    name
    for name in generators.names()
    if generators.get(name).is_private and generators.get(name).needs_data
]


@pytest.mark.parametrize("protocol", EDITIONS)
@pytest.mark.parametrize("generator", PRIVATE)
def test_a_deployment_has_the_settings_of_the_same_words_in_a_sweep(
    generator: str, protocol: str
) -> None:
    for preset in generators.get(generator).presets:
        job = deployed(generator=generator, preset=preset, protocol=protocol)
        assert job == simulated(generator, preset=preset, protocol=protocol)


def test_what_is_said_beside_the_preset_means_the_same_too() -> None:
    texts = {"clip_norm": "0.5", "batch": "128"}
    own = {"patch_size": "48", "spacing_mm": "0.5", "patches_per_patient": "40"}
    how = {"design": "fedgan", "rounds": 7, "local_steps": 3}
    said = {"unit": "patient", "preset": "standard"}
    job = deployed(
        settings="clip_norm=0.5 batch=128",
        patch_size=48,
        spacing_mm=0.5,
        patches_per_patient=40,
        **how,
        **said,
    )
    assert job == simulated("dp-wgan", how, settings={"dp-wgan": texts, "protocol": own}, **said)
    assert job.settings["pixel_mm"] == 0.5, "vessels have the millimetres of the patches"


def test_by_default_a_deployment_is_the_present_edition() -> None:
    assert DEFAULTS["protocol"] == DEFAULT
    job = deployed()
    assert (job.patch_size, job.patches_per_patient, job.spacing_mm) == (32, 1000, 0.8)
    assert job.schedule.steps == 440
    assert deployed(preset="standard").patch_size == 64
    assert deployed(protocol=FIRST).schedule.steps == 880


def test_zero_is_each_volumes_own_pixels() -> None:
    assert deployed(spacing_mm=0).spacing_mm == deployed(spacing_mm=0.0).spacing_mm == 0
    assert deployed(spacing_mm=-1).spacing_mm == deployed().spacing_mm
    with pytest.raises(UsageError, match="Expected spacing_mm to be 0, or from"):
        deployed(spacing_mm=True)
