"""The tables of a consortium: the noise of each way of adding up, and who could see what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.core.budget import RELATION, delta_text, epsilon_text
from benchmark.results.observers import LOCAL, Observed, by_observer

if TYPE_CHECKING:
    from benchmark.sweep.consortium import Consortium, Way

UNKNOWN = "–"
NOISES = (
    "×: the noise of a step's sum, over that of a fit with all patients at one place. Then noise / "
    "signal and its verdict, as above. Local noise: each site reaches the target ε by itself. "
    "Secure sums: the sites share the noise, so that the target holds against the server and one "
    "curious site. Rounds: exchanges of messages, with local noise / with secure sums."
)
OBSERVERS = (
    "Upper bounds on ε, each for one unit at δ, for the patients of the worst-off site; "
    f"neighbours: {RELATION}. Everybody follows the protocol and looks at all they get. Outsider: "
    "sees only what is released. One site: also knows its own patients and noise; the bound is for "
    "the patients of the others. The last column is for the patients of the one site left. ∞: no "
    "bound is known, as for a server that has the patients."
)
ADDED_EXACTLY = (
    "Local noise, outsider and one site: where this is below the server's, replies must be added "
    "exactly. A run adds floating-point numbers, so claim no less than the server's ε there."
)
HOLDS = "A federated result's own ε holds against the server and the other sites."
HOLDS_IN_SUMS = (
    "With secure sums a result's own ε holds against the server and any t other sites together."
)


def noise_table(made: Sequence[Consortium], sizes: Sequence[int]) -> Table:
    """Make a table of the noise of each way, with one line for each generator and ε.

    Args:
        made: The planned ways.
        sizes: The public number of patients of each site.
    """
    from benchmark.sweep.consortium import POOLED, SECURE

    table = _table(f"{_sizes_text(sizes)} {NOISES}")
    for heading in ("generator", "unit"):
        table.add_column(heading)
    for heading in ("ε asked", "rounds", LOCAL, SECURE, POOLED):
        table.add_column(heading, justify="right")
    for one in made:
        ways = [one.ways.get(name) for name in (LOCAL, SECURE, POOLED)]
        rounds = " / ".join(UNKNOWN if way is None else str(way.rounds) for way in ways[:2])
        noises = [_noise_text(way) for way in ways]
        table.add_row(one.generator, one.unit, epsilon_text(one.epsilon), rounds, *noises)
    return table


def observers_table(found: Sequence[Observed], *, of_run: bool = False) -> Table:
    """Make a table of the ε that each observer has. Generators with the same numbers share a line.

    Args:
        found: What could be seen, of plans or of results.
        of_run: Whether it is of results.
    """
    names: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        names.setdefault(_cells(one), []).append(one.generator)
    words = [OBSERVERS, *([ADDED_EXACTLY] if any(map(_is_amplified, found)) else [])]
    table = _table(" ".join([*words, *(_holds(found) if of_run else [])]))
    for heading in ("generator", "unit"):
        table.add_column(heading)
    for heading in ("ε asked", "δ"):
        table.add_column(heading, justify="right")
    table.add_column("added up by")
    for heading in by_observer(found[0].seen):
        table.add_column(heading, justify="right")
    for cells, who in names.items():
        table.add_row(", ".join(dict.fromkeys(who)), *cells)
    return table


def _holds(found: Sequence[Observed]) -> list[str]:
    """Against whom the results' own ε hold: one sentence for each way of adding up."""
    local = [one.way == LOCAL for one in found]
    return [*([HOLDS] if any(local) else []), *([HOLDS_IN_SUMS] if not all(local) else [])]


def _is_amplified(one: Observed) -> bool:
    return one.way == LOCAL and one.seen.outsider < one.seen.server


def _cells(one: Observed) -> tuple[str, ...]:
    head = (one.unit, epsilon_text(one.epsilon), delta_text(one.delta), one.way)
    return (*head, *map(epsilon_text, by_observer(one.seen).values()))


def _noise_text(way: Way | None) -> str:
    if way is None or way.noise is None:
        return UNKNOWN
    ratio = UNKNOWN if way.noise_to_signal is None else f"{way.noise_to_signal:.2g}"
    return f"×{way.noise:.2f}, {ratio}, {way.verdict}"


def _sizes_text(sizes: Sequence[int]) -> str:
    if len(sizes) > 10:
        return f"{len(sizes)} sites of {min(sizes)} to {max(sizes)} patients."
    return f"{len(sizes)} sites of {', '.join(map(str, sizes))} patients."


def _table(caption: str) -> Table:
    return Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        caption=Text(caption),
        caption_justify="left",
    )
