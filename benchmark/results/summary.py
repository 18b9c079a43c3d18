"""The rows of ``summary.csv``: one for each cell and test set of a sweep."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

from benchmark.core.budget import rounded_up
from benchmark.core.files import write_text
from benchmark.metrics.scores import DICE, NAMES, Scores
from benchmark.results.bookends import FREE, UPPER, Choice, FreeRows, fraction, gain, is_free
from benchmark.results.observers import secure
from benchmark.results.outcome import Outcome
from benchmark.results.over_seeds import dice_together, is_certain
from benchmark.results.result import Result
from benchmark.results.scored import TestSet
from benchmark.results.spec import RunSpec
from benchmark.results.spec_parts import PlugIn

SUMMARY = "summary.csv"
ALL = "all"
"""The value of ``trained_at`` for a generator that was not trained at one site alone."""

BESIDE_DICE = [name for name in NAMES if name != DICE.name]


class Kept(Protocol):
    """An object that has the results of cells, such as a ``Store``."""

    def result(self, spec: RunSpec) -> Result | None:
        """Return the cell's result; ``None`` if it is not done."""


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One cell on one test set. Values that are not known are ``None``.

    ``dice`` is the mean over the ``patients`` of the test set, for this one fit, with its interval
    ``dice_low`` to ``dice_high``. ``scores`` are the other metrics by name. ``dice_mean`` is the
    mean over all ``seeds`` of the row, with its interval over seeds and patients and the standard
    deviations over both. A single draw has no interval and no deviations. ``free`` names the best
    free row.
    ``over_free`` is Dice minus that of its cell of the same seed. ``gain`` is that over the upper
    bookend's difference to it.
    """

    generator: str
    segmenter: str
    epsilon: float
    unit: str
    epsilon_patch: float | None = None
    epsilon_patient: float | None = None
    delta: float
    seed: int
    sites: int
    test_set: str
    dice: float | None = None
    dice_low: float | None = None
    dice_high: float | None = None
    fraction_of_real: float | None
    fid: float | None = None
    fid_dims: int | None = None
    fid_n: int | None = None
    offline_distance: float | None = None
    seconds: float | None = None
    status: str
    run_key: str
    scores: Scores = field(default_factory=dict)
    kid: float | None = None
    trained_at: str = ALL
    epsilon_sites: str | None = None
    selection: str | None = None
    noise: str = ""
    lost_steps: int | None = None
    control: str = ""
    patients: int | None = None
    free: str | None = None
    over_free: float | None = None
    gain: float | None = None
    mask_distance: float | None = None
    seeds: int | None = None
    dice_mean: float | None = None
    dice_mean_low: float | None = None
    dice_mean_high: float | None = None
    seed_sd: float | None = None
    patient_sd: float | None = None
    curious: int | None = None

    @classmethod
    def names(cls) -> list[str]:
        """Return the columns of ``summary.csv``; each metric beside Dice has its own."""
        return [
            name
            for one in fields(cls)
            for name in (BESIDE_DICE if one.name == "scores" else [one.name])
        ]

    def value(self, name: str) -> Any:
        """Return the value in a column; ``None`` for what is not known."""
        return self.scores.get(name) if name in BESIDE_DICE else getattr(self, name)

    @property
    def line(self) -> tuple[str, str, float, str]:
        """What cells that differ in the seed alone share: name, segmenter, ε and test set."""
        return self.who, self.segmenter, self.epsilon, self.test_set

    @property
    def dice_of_real(self) -> float | None:
        """The upper bookend's Dice of the same seed; its own of that itself."""
        if self.generator == UPPER:
            return self.dice
        return self.dice / self.fraction_of_real if self.dice and self.fraction_of_real else None

    @property
    def dice_of_free(self) -> float | None:
        """The best free row's Dice, of the same seed."""
        if self.dice is None or self.over_free is None:
            return None
        return self.dice - self.over_free

    @property
    def is_direct(self) -> bool:
        """Whether the segmenter itself was fitted, without synthetic patches."""
        return self.generator == self.segmenter

    @property
    def is_free(self) -> bool:
        """Whether the row is free: no patient was used."""
        return self.generator in FREE

    @property
    def is_best_free(self) -> bool:
        """Whether this is the free row that the others are compared with."""
        return self.is_free and self.generator == self.free

    @property
    def who(self) -> str:
        """The generator with its sites, and whether it is a control or tuned."""
        tuned = "" if self.selection is None else ", tuned"
        name = who(self.generator, self.sites, self.trained_at, self.control, self.curious)
        return name + tuned


def who(
    generator: str, sites: int, trained_at: str, control: str, curious: int | None = None
) -> str:
    """Name a generator with the sites at which it was trained, unless all patients were pooled.

    Args:
        generator: Its name.
        sites: How many sites trained it together.
        trained_at: The only site that trained it, or ``ALL``.
        control: The name of the control, which uses no patient; empty for none.
        curious: t of secure sums; ``None`` for local noise.
    """
    name = f"{generator}, control: {control}" if control else generator
    if sites > 1:
        return f"{name}, {sites} sites" + ("" if curious is None else f", {secure(curious)}")
    return name if trained_at == ALL else f"{name}, {trained_at} alone"


def called(spec: RunSpec) -> str:
    """Name a cell's generator, as ``who`` does."""
    place = spec.alone_at or ALL
    return who(spec.generator.name, spec.sites, place, spec.control, spec.curious)


def rows(
    outcomes: Sequence[Outcome], references: dict[str, RunSpec | None], store: Kept
) -> list[SummaryRow]:
    """Make the rows of every cell, in the sweep's order.

    Failed cells have rows without scores.

    Args:
        outcomes: The sweep's cells.
        references: The upper bookend's cell of each cell, by key.
        store: Has the results.
    """
    made = []
    free = free_rows(outcomes, store)
    for outcome in outcomes:
        spec = outcome.spec
        result = store.result(spec)
        reference = references.get(spec.key)
        yardstick = store.result(reference) if reference else None
        shares = fraction(result, yardstick) if result else {}
        segmenter = _beside(spec, outcomes)
        choice = free.choice(segmenter)
        for name in spec.test_data:
            row = _row(outcome, name, result, (shares or {}).get(name))
            real = _dice(result if spec.generator.name == UPPER else yardstick, name)
            base = free.dice(choice, segmenter, spec.seed, name) if choice else None
            made.append(_compared(row, choice, base, real))
    return _over_seeds(made, outcomes, store)


def _over_seeds(
    table: Sequence[SummaryRow], outcomes: Sequence[Outcome], store: Kept
) -> list[SummaryRow]:
    """The rows with what their seeds say together."""
    of = {outcome.spec.key: outcome.spec for outcome in outcomes}
    groups: dict[tuple[str, str, float, str], list[SummaryRow]] = {}
    for row in table:
        groups.setdefault(row.line, []).append(row)
    told = {line: _line(group, of, store) for line, group in groups.items()}
    return [replace(row, **told[row.line]) for row in table]


def _line(group: Sequence[SummaryRow], of: Mapping[str, RunSpec], store: Kept) -> dict[str, Any]:
    specs = [of[row.run_key] for row in group if row.dice is not None]
    tests = {spec.seed: _test(store.result(spec), group[0].test_set) for spec in specs}
    done = {seed: test for seed, test in tests.items() if test}
    return dice_together(done, certain=is_certain(specs[0])) if done else {}


def free_rows(outcomes: Sequence[Outcome], store: Kept) -> FreeRows:
    """Collect the free rows of a sweep."""
    free = (outcome.spec for outcome in outcomes if is_free(outcome.spec))
    found = ((spec, store.result(spec)) for spec in free)
    return FreeRows((spec, result) for spec, result in found if result)


def choices(outcomes: Sequence[Outcome], store: Kept) -> list[Choice]:
    """Return the free rows with which a sweep's cells are compared: one for each segmenter."""
    free = free_rows(outcomes, store)
    found = (free.choice(_beside(outcome.spec, outcomes)) for outcome in outcomes)
    return list({choice.words: choice for choice in found if choice}.values())


def _beside(spec: RunSpec, outcomes: Sequence[Outcome]) -> PlugIn:
    """The segmenter whose rows a cell stands beside: its own, or else the sweep's first."""
    if not spec.is_direct:
        return spec.segmenter
    return next((o.spec.segmenter for o in outcomes if not o.spec.is_direct), spec.segmenter)


def _compared(
    row: SummaryRow, choice: Choice | None, base: float | None, real: float | None
) -> SummaryRow:
    over = None if row.dice is None or base is None else row.dice - base
    free = choice.name if choice else None
    return replace(row, free=free, over_free=over, gain=gain(row.dice, base, real))


def _dice(result: Result | None, test_set: str) -> float | None:
    test = _test(result, test_set)
    return test.dice.mean if test else None


def _test(result: Result | None, test_set: str) -> TestSet | None:
    return result.test(test_set) if result else None


def _row(outcome: Outcome, test_set: str, result: Result | None, share: float | None) -> SummaryRow:
    spec = outcome.spec
    return SummaryRow(
        generator=spec.generator.name,
        segmenter=spec.segmenter.title,
        epsilon=spec.epsilon,
        unit=spec.unit,
        delta=spec.delta,
        seed=spec.seed,
        sites=spec.sites,
        test_set=test_set,
        fraction_of_real=share,
        status="done" if outcome.state == "kept" else outcome.state,
        run_key=spec.key,
        trained_at=spec.alone_at or ALL,
        selection=spec.tuned.selection if spec.tuned else None,
        noise=spec.noise,
        control=spec.control,
        curious=spec.curious,
        **(_found(result) if result else {}),
        **(_scored(test) if (test := _test(result, test_set)) else {}),
    )


def _found(result: Result) -> dict[str, Any]:
    """What a cell says beside its scores."""
    guarantee = result.guarantee
    return {
        "epsilon_patch": guarantee.epsilon_patch,
        "epsilon_patient": guarantee.epsilon_patient,
        "epsilon_sites": _by_site(result),
        "lost_steps": guarantee.lost_steps,
        "seconds": result.seconds["total"],
    }


def _scored(test: TestSet) -> dict[str, Any]:
    """What a cell says of a test set."""
    said = {
        "dice": test.dice.mean,
        "dice_low": test.dice.low,
        "dice_high": test.dice.high,
        "patients": test.many,
        "offline_distance": test.offline_distance,
        "mask_distance": test.mask_distance,
    }
    if test.fid:
        fid = test.fid
        said |= {"fid": fid.value, "fid_dims": fid.dims, "fid_n": fid.n, "kid": fid.kid}
    means = {name: test.mean(name) for name in BESIDE_DICE}
    return said | {"scores": {name: found.mean for name, found in means.items() if found}}


def _by_site(result: Result) -> str | None:
    """What was spent at each site, for its unit."""
    spent = {site: one.epsilon for site, one in result.guarantees.items()}
    told = " ".join(f"{site}={_text('epsilon', epsilon)}" for site, epsilon in spent.items())
    return told or None


def write_summary(path: Path, table: Sequence[SummaryRow]) -> None:
    """Write the rows as CSV, whole or not at all."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(SummaryRow.names())
    for row in table:
        writer.writerow([_text(name, row.value(name)) for name in SummaryRow.names()])
    write_text(path, out.getvalue())


def _text(name: str, value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value):
        bound = name == "delta" or name.startswith("epsilon")
        return f"{rounded_up(value, 6) if bound else value:.6g}"
    return "" if value is None else value
