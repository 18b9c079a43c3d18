"""Tests of a released generator at the place where the patients are, for example by a site."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.core.editions import PROTOCOL, preset_in
from benchmark.core.errors import DataError, UsageError
from benchmark.core.files import read_json
from benchmark.core.folders import machine_secret
from benchmark.core.generator import Generator, drawn
from benchmark.core.memory import memory_limit
from benchmark.core.names import unknown
from benchmark.core.protocol import NATIVE, PROTOCOLS
from benchmark.core.registry import generators, segmenters
from benchmark.core.segmenter import TrainContext
from benchmark.data.cohort import Patient
from benchmark.data.digest import Digests
from benchmark.data.layouts import read_cohort
from benchmark.data.notes import Note, refuse, together
from benchmark.data.reading import Reading
from benchmark.data.twins import FITTED
from benchmark.results.scored import TestSet
from benchmark.results.spec_parts import PlugIn
from benchmark.results.store import GENERATOR, SPEC, check_files
from benchmark.sweep.fit_files import generator_in
from benchmark.sweep.inputs import compared
from benchmark.sweep.judging.testing import Listener, tested, train_segmenter
from federation.finished import RESULT
from federation.job import lawful

SPLIT = "test"
MEMORY_GIB = 4.0
"""What another's generator may take to draw its patches."""


def released(run: Path) -> Generator:
    """Load the generator in the folder of a sweep's cell or of a deployed federation.

    Args:
        run: The folder.

    Raises:
        UsageError: If there is none.
        DataError: If what is there is damaged, or of another version.
    """
    said = read_json(run / RESULT).get("job") or read_json(run / SPEC)
    name = said.get("generator")
    name = name.get("name") if isinstance(name, dict) else name
    if name is None or not (run / GENERATOR).is_dir():
        raise UsageError(
            f"{run}: there is no released generator; expected the folder of a run, with "
            f"{GENERATOR}/ and {RESULT} or {SPEC} in it."
        )
    check_files(run, below=GENERATOR)
    across = said.get("schedule") or said.get("federation") or {}
    return generator_in(run, generators.get(str(name)), str(across.get("design", "")))


def spacing_in(run: Path) -> float:
    """Return the side of the pixels in mm of what the generator in a folder draws.

    It is that of the patches which it was fitted on, whatever protocol is asked for now.

    Args:
        run: The folder of a sweep's cell or of a deployed federation. It may come from anybody.

    Returns:
        Millimetres; ``NATIVE`` for each volume's own pixels.

    Raises:
        DataError: If the folder does not say it.
    """
    file, rules = run / RESULT, read_json(run / RESULT).get("job")
    if rules is None:
        file, rules = run / SPEC, read_json(run / SPEC).get("protocol")
    if not isinstance(rules, Mapping):
        raise DataError(f"{file}: it does not say how patches were taken; ask for it anew.")
    try:
        return float(lawful("spacing_mm", rules.get("spacing_mm", NATIVE)))
    except UsageError as error:
        raise DataError(f"{file}: {error}") from error


def score_released(
    run: Path,
    data: Path,
    *,
    reading: Reading,
    state: Path,
    segmenter: str,
    preset: str,
    protocol: str,
    seed: int,
    listener: Listener,
    memory_gib: float = MEMORY_GIB,
) -> tuple[TestSet, list[str]]:
    """Train a segmenter on a released generator's samples, and test it on a cohort's test patients.

    Test volumes get the pixel size of the patches that the generator was fitted on. The edition
    decides the segmenter's settings and the number of samples alone.

    Args:
        run: The folder with the generator.
        data: The cohort's folder.
        reading: How it is read.
        state: The state folder.
        segmenter: The segmenter's name.
        preset: The name of its settings.
        protocol: The edition of the protocol.
        seed: Seeds samples and training.
        listener: Called for every stage.
        memory_gib: The most memory that the generator may take to draw its patches.

    Returns:
        The scores, and the notes on the cohort.

    Raises:
        UsageError: If there is no such generator, segmenter, preset or protocol.
        DataError: If the cohort cannot be used, or a note stops it.
    """
    plug_in = _plug_in(segmenter, preset, protocol)
    samples = int(preset_in(protocol, PROTOCOLS, PROTOCOL, preset).as_dict()["samples"])
    patients, notes = _held_out(data, reading, state)
    try:
        with memory_limit(memory_gib):
            synthetic = drawn(released(run), samples, seed=seed)
    except MemoryError as error:
        raise DataError(
            f"{run}: its generator wants more than {memory_gib:g} GiB to draw "
            f"{samples} patches; if you trust it, raise --memory."
        ) from error
    spacing_mm = spacing_in(run)

    def progress(step: int, total: int, curves: Any, /) -> None:
        listener("segmenter", step, total)

    found = train_segmenter(plug_in, synthetic, TrainContext(seed=seed, progress=progress))
    return tested(found, SPLIT, patients, listener, spacing_mm=spacing_mm), notes


def _held_out(data: Path, reading: Reading, state: Path) -> tuple[tuple[Patient, ...], list[str]]:
    """The test patients, who are in no other split, and what is to be said of the cohort."""
    cohort = read_cohort(data, layout=reading.layout, acquisition=reading.acquisition)
    roles: dict[str, list[Patient]] = {FITTED: []}
    for patient in cohort.patients:
        roles.setdefault(FITTED if patient.split == "train" else patient.split, []).append(patient)
    held_out, digests = cohort.split(SPLIT), Digests(state, machine_secret(state))
    admitted = {role: digests.admit(patients) for role, patients in roles.items() if patients}
    notes = [*map(Note, cohort.notes), *compared(admitted, digests)]
    refuse(notes, reading.accepted)
    return held_out, together(notes)


def _plug_in(segmenter: str, preset: str, protocol: str) -> PlugIn:
    kind = segmenters.get(segmenter)
    presets = [name for name in PROTOCOLS if name in kind.presets]
    if preset not in presets:
        raise UsageError(unknown("preset", preset, presets))
    params = preset_in(protocol, kind.presets, segmenter, preset)
    return PlugIn(name=segmenter, version=kind.version, settings=params.as_dict())
