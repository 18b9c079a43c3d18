"""The table of docs/federation.md for three equal sites is what the plan gives."""

from pathlib import Path

from benchmark.core.budget import epsilon_text
from benchmark.results.observers import by_observer
from benchmark.sweep.consortium import Consortium, consortia
from benchmark.sweep.feasibility import prospects
from benchmark.sweep.request import Request

PAGE = Path(__file__).parents[2] / "docs" / "federation.md"
SIZES = (14, 14, 14)


def planned(cache: Path) -> Consortium:
    request = Request(
        generators=("dp-simulator",),
        epsilons=(2.0,),
        unit="patient",
        segmenters=(),
        bookends=False,
    )
    found = prospects(request, sum(SIZES), cache, lambda *heard: None)
    (made,) = consortia(request, found, SIZES, cache, lambda *heard: None)
    return made


def table_of(made: Consortium) -> str:
    observers = [*by_observer(next(iter(made.ways.values())).seen)]
    lines = [
        f"| added up by | noise | {' | '.join(observers)} |",
        f"|---|---|{len(observers) * '---|'}",
    ]
    for name, way in made.ways.items():
        seen = " | ".join(map(epsilon_text, by_observer(way.seen).values()))
        lines.append(f"| {name} | ×{way.noise:.2f} | {seen} |")
    return "\n".join(lines)


def test_the_table_of_three_equal_sites_is_that_of_the_plan(tmp_path: Path) -> None:
    assert table_of(planned(tmp_path)) in PAGE.read_text(encoding="utf-8")
