"""What the configuration of a deployed run asks for: a job, rules and a folder.

``pyproject.toml`` beside this file has its keys and their defaults. The same words are the same fit
as in ``bench run --sites``: edition, preset and settings are read as a sweep reads them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.core.budget import parse_epsilon
from benchmark.core.designs import check_shares_noise, federated
from benchmark.core.errors import UsageError
from benchmark.core.federation import FederatedGenerator
from benchmark.core.presets import Words, protocol_from, settings_from
from benchmark.core.protocol import Recipe, protocol_recipe
from benchmark.core.registry import generators
from benchmark.privacy.accounting.units import default_delta
from federation.deployment import CURIOUS, curious_of
from federation.job import Job, lawful
from federation.joining import Rules

BY_PRESET = -1
"""The value of ``spacing-mm`` for the preset's; 0 is each volume's own."""


def job_of(config: Mapping[str, Any], *, patients: int) -> Job:
    """Return the job that a run's configuration asks for.

    Args:
        config: The configuration.
        patients: The number of patients at all sites.

    Raises:
        UsageError: For anything that is not allowed.
    """
    words = Words(edition=str(config["protocol"]), preset=str(config["preset"]))
    recipe, unit = _recipe(config, words), lawful("unit", config["unit"])
    name, design = str(config["generator"]), str(config["design"])
    kind = generators.get(name)
    trained = federated(kind, design)
    texts, mm = _texts(str(config["settings"])), recipe.spacing_mm
    generator = trained(settings_from(words, name, kind.presets, spacing_mm=mm, texts=texts))
    schedule = generator.schedule(
        design=design or next(iter(generator.designs)),
        rounds=_if_said("rounds", config["rounds"]),
        local_steps=_if_said("local_steps", config["local-steps"]),
    )
    curious = curious_of(config)
    epsilon = parse_epsilon(str(config["epsilon"]))
    _check_secure(curious, epsilon, trained, schedule.design)
    return Job.of(
        generator=name,
        version=kind.version,
        settings=generator.params.as_dict(),
        patch_size=recipe.size,
        patches_per_patient=recipe.per_patient,
        spacing_mm=mm,
        epsilon=epsilon,
        delta=_if_said("delta", config["delta"])
        or default_delta(patients * (recipe.per_patient if unit == "patch" else 1)),
        unit=unit,
        seed=config["seed"],
        noise=config["noise"],
        schedule=schedule,
        curious=curious,
    )


def _recipe(config: Mapping[str, Any], words: Words) -> Recipe:
    """How patches are taken: by the preset, but for what the configuration says itself."""
    preset = protocol_recipe(protocol_from(words, {}).as_dict())
    said = config["spacing-mm"]
    by_preset = type(said) in (int, float) and said == BY_PRESET
    return Recipe(
        size=_if_said("patch_size", config["patch-size"]) or preset.size,
        per_patient=_if_said("patches_per_patient", config["patches-per-patient"])
        or preset.per_patient,
        spacing_mm=preset.spacing_mm if by_preset else float(lawful("spacing_mm", said)),
    )


def _check_secure(
    curious: int | None, epsilon: float, kind: type[FederatedGenerator], design: str
) -> None:
    if curious is None:
        return
    check_shares_noise(kind, design)
    if math.isinf(epsilon):
        raise UsageError(
            f"{CURIOUS}={curious} shares noise among the sites, so it needs a finite epsilon; at "
            "inf, leave it out."
        )


def _if_said(name: str, value: Any) -> Any:
    """A number; ``None`` for 0, which says nothing."""
    return None if type(value) in (int, float) and value == 0 else lawful(name, value)


def _texts(settings: str) -> dict[str, str]:
    words = settings.split()
    wrong = next((word for word in words if "=" not in word), None)
    if wrong is not None:
        raise UsageError(f"settings: expected NAME=VALUE, got {wrong!r}.")
    return dict(word.split("=", 1) for word in words)


def rules_of(config: Mapping[str, Any]) -> Rules:
    """Return how the server proceeds.

    Args:
        config: The configuration.

    Raises:
        UsageError: For a number that is not allowed.
    """
    return Rules(
        sites=lawful("sites", config["sites"]),
        timeout_s=lawful("timeout", config["timeout"]),
        start_s=lawful("start", config["start"]),
    )


def out_of(config: Mapping[str, Any]) -> Path:
    """Return the folder of the results.

    Args:
        config: The configuration.

    Raises:
        UsageError: If it is not absolute.
    """
    out = Path(str(config["out"]))
    if not out.is_absolute():
        raise UsageError(
            f"out={str(out)!r}: expected an absolute folder, as Flower runs the app elsewhere."
        )
    return out
