"""The sweep as rows: one for each cell and test set, as ``summary.csv`` has them."""

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
from benchmark.results.bookends import FREE, UPPER, Choice, FreeRows, fraction, gain
from benchmark.results.outcome import Outcome
from benchmark.results.over_seeds import dice_together, is_certain
from benchmark.results.result import Result
from benchmark.results.scored import TestSet
from benchmark.results.spec import PlugIn, RunSpec

SUMMARY = "summary.csv"
ALL = "all"
"""Where a generator was trained, if not at one site alone."""

BESIDE_DICE = [name for name in NAMES if name != DICE.name]


class Kept(Protocol):
    """Whoever has the results of cells, as a ``Store``."""

    def result(self, spec: RunSpec) -> Result | None:
        """The cell's result, if it is done."""


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One cell on one test set; what is not known, as distances to further ones, is ``None``.

    ``scores`` are those beside Dice, by the names of their metrics. ``patients`` are those of the
    test set, which the interval of this one fit, ``dice_low`` to ``dice_high``, is over.
    ``dice_mean`` is of the ``seeds`` of its row together, with the interval over seeds and
    patients, and what it varies by; one draw has neither. ``free`` is the best free row,
    ``over_free`` Dice less that of its cell of the same seed, ``gain`` that over what the upper
    bookend has above it.
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

    @classmethod
    def names(cls) -> list[str]:
        """The columns of ``summary.csv``; scores beside Dice have one each."""
        return [
            name
            for one in fields(cls)
            for name in (BESIDE_DICE if one.name == "scores" else [one.name])
        ]

    def value(self, name: str) -> Any:
        """What stands in a column; ``None`` for what is not known."""
        return self.scores.get(name) if name in BESIDE_DICE else getattr(self, name)

    @property
    def line(self) -> tuple[str, str, float, str]:
        """What cells that differ in the seed alone have in common."""
        return self.who, self.segmenter, self.epsilon, self.test_set

    @property
    def is_direct(self) -> bool:
        """Whether there is the segmenter itself, and nothing synthetic."""
        return self.generator == self.segmenter

    @property
    def is_free(self) -> bool:
        """Whether no patient was looked at."""
        return self.generator in FREE

    @property
    def is_best_free(self) -> bool:
        """Whether the others are compared with it."""
        return self.is_free and self.generator == self.free

    @property
    def who(self) -> str:
        """The generator, at which sites it was trained, and whether as a control or tuned."""
        tuned = "" if self.selection is None else ", tuned"
        return who(self.generator, self.sites, self.trained_at, self.control) + tuned


def who(generator: str, sites: int, trained_at: str, control: str) -> str:
    """A generator's name with the sites that it was trained at, unless all patients were pooled.

    A control, which no patient reaches, is called one.
    """
    name = f"{generator}, control: {control}" if control else generator
    if sites > 1:
        return f"{name}, {sites} sites"
    return name if trained_at == ALL else f"{name}, {trained_at} alone"


def called(spec: RunSpec) -> str:
    """A cell's generator, as ``who`` names it."""
    return who(spec.generator.name, spec.sites, spec.alone_at or ALL, spec.control)


def rows(
    outcomes: Sequence[Outcome], references: dict[str, RunSpec | None], store: Kept
) -> list[SummaryRow]:
    """Every cell's rows, in the sweep's order; failed cells have rows without scores."""
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
    """The free rows of a sweep."""
    found = ((outcome.spec, store.result(outcome.spec)) for outcome in outcomes)
    return FreeRows((spec, result) for spec, result in found if result)


def choices(outcomes: Sequence[Outcome], store: Kept) -> list[Choice]:
    """With which free rows a sweep's cells are compared: one for each segmenter."""
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
        segmenter=spec.segmenter.name,
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
    """Writes the rows as CSV, whole or not at all."""
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
