"""What the released patches are worth: Dice beside real patches and the free methods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmark.core.errors import DataError
from benchmark.release.statement import UtilityRow
from benchmark.results.bookends import FREE, METHODS, UPPER
from benchmark.results.disclosure import without_few, without_patients
from benchmark.results.result import Result
from benchmark.results.scored import ShareMean
from benchmark.results.store import RESULT, read_result


def utility_of(result: Result, out: Path) -> tuple[UtilityRow, ...]:
    """Collect the Dice of a run and of the cells that it is compared with.

    Means over few patients are left out, as everywhere.

    Args:
        result: The run's result.
        out: The store with the other cells of the sweep.
    """
    found = {UPPER: None, **dict.fromkeys(FREE)} | {
        other.spec.generator.name: other for other in _peers(result, out)
    }
    others = [other for other in found.values() if other is not None]
    return tuple(
        row
        for one in (result, *others)
        for row in _rows(one, is_released=one.run_key == result.run_key)
    )


def _peers(result: Result, out: Path) -> Iterator[Result]:
    """Cells on the same data by the same rules, of one seed and segmenter."""
    spec = result.spec
    for name in (UPPER, *FREE):
        for file in sorted(out.glob(f"{name}/*/{RESULT}")):
            try:
                other = read_result(file.parent)
            except DataError:
                continue
            if other is None or other.run_key == result.run_key:
                continue
            said = other.spec
            same = (said.data, dict(said.protocol)) == (spec.data, dict(spec.protocol))
            alike = said.is_direct or said.segmenter == spec.segmenter
            if same and alike and said.seed == (0 if name in METHODS else spec.seed):
                yield other


def _rows(result: Result, *, is_released: bool) -> Iterator[UtilityRow]:
    for test in without_few(without_patients(result)).test_sets:
        if test.many:
            yield UtilityRow(
                generator=result.spec.generator.name,
                epsilon=result.guarantee.epsilon,
                test_set=test.name,
                patients=test.many,
                seeds=1,
                dice=ShareMean(**test.dice.as_dict()),
                is_released=is_released,
            )
