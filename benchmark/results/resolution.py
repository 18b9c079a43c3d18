"""The differences in Dice that a sweep's seeds and patients can show, stated before it runs.

The numbers come from the variance parts of the shipped board (``variance_parts``). These are for
phantoms under its protocol; other data may differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from benchmark.core.budget import Unit
from benchmark.core.editions import DEFAULT
from benchmark.metrics.crossed import Parts
from benchmark.metrics.power import seeds_for, smallest_difference
from benchmark.results.bookends import FREE, UPPER
from benchmark.results.variance_parts import Known, shipped

WANTED = 0.03
"""A difference in Dice that would matter to many users."""


def resolution(generators: Sequence[str], unit: Unit, seeds: int, patients: int) -> list[str]:
    """Write one or two sentences on the smallest difference that a sweep can show.

    Args:
        generators: Their names; bookends among them are ignored.
        unit: What is protected.
        seeds: How many seeds each row has.
        patients: How many test patients there are.

    Returns:
        Two sentences; one where no difference can be shown; none if there are bookends alone.
    """
    parts = shipped()
    known = {name: parts.known(name, unit) for name in generators if name not in (UPPER, *FREE)}
    if not known:
        return []
    if patients < 2:
        return [f"{patients} test patient shows no difference in Dice, whatever the seeds."]
    needed = f"A difference of {WANTED:g} takes {_seeds(known, patients)}."
    return [_smallest(known, seeds, patients), f"{needed} {_basis(known, parts.edition)}"]


def _smallest(known: Mapping[str, Known], seeds: int, patients: int) -> str:
    def text(parts: Parts) -> str:
        smallest = smallest_difference(parts, seeds, patients) or 1
        return f"{math.ceil(smallest * 100) / 100:.2f}" if smallest < 1 else "none"

    if seeds == 1:
        spread = _each(known, lambda parts: f"{parts.seeds:.2f}")
        return (
            "One seed is one draw: it shows no difference in Dice between two rows. From one pair "
            f"of fits to the next that difference has a standard deviation of {spread}."
        )
    return (
        f"The smallest difference in Dice to another generator's row that {seeds} seeds and "
        f"{patients} test patients show: {_each(known, text)}."
    )


def _seeds(known: Mapping[str, Known], patients: int) -> str:
    def text(parts: Parts) -> str:
        seeds = seeds_for(parts, patients, WANTED)
        return "more test patients, whatever the seeds" if seeds is None else f"{seeds} seeds"

    return _each(known, text)


def _each(known: Mapping[str, Known], text: Callable[[Parts], str]) -> str:
    """A text with the names that it is of, for each text."""
    texts = {parts: text(parts) for parts in {one.parts for one in known.values()}}
    names: dict[str, list[str]] = {}
    for name, (parts, is_measured) in known.items():
        names.setdefault(texts[parts], []).append(name if is_measured else f"{name}*")
    return "; ".join(f"{said} ({', '.join(of)})" for said, of in names.items())


def _basis(known: Mapping[str, Known], edition: str) -> str:
    measured = all(one.is_measured for one in known.values())
    star = "" if measured else "*: not measured, so the largest. "
    present = "" if edition == DEFAULT else f"; under {DEFAULT} rows may vary less or more"
    return (
        f"{star}Of one pair, two-sided at 5 %, power 0.8; estimated from the board's phantoms "
        f"under protocol {edition}{present}, so a guide and no promise."
    )
