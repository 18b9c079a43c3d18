"""What a reader follows leads somewhere: links of front pages, names, the size of the example."""

import re
import tomllib
from pathlib import Path

import pytest

from benchmark.metrics.scores import ON_BOARD, Metric

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "private-band"
FRONT = ("README.md", "CONTRIBUTING.md")
MOST_WORDS = 1100
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """Headings as GitHub and the site link them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", text.strip().lower()) for text in headings)
    return {text.replace(" ", "-") for text in kept}


def dead(text: str, folder: Path) -> list[str]:
    """Targets of relative links that are not there; code is no link."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    found = []
    for name, anchor in LINK.findall(prose):
        page = folder / name
        if not page.exists() or (anchor and anchor not in anchors(page)):
            found.append(f"{name}#{anchor}")
    return found


@pytest.mark.parametrize("name", FRONT)
def test_every_link_of_a_front_page_leads_somewhere(name: str) -> None:
    assert dead((ROOT / name).read_text(encoding="utf-8"), ROOT) == []


def test_a_dead_link_is_found() -> None:
    text = "[a](docs/none.md) [b](docs/privacy.md#none) [c](docs/privacy.md#the-ledger)"
    assert dead(text, ROOT) == ["docs/none.md#", "docs/privacy.md#none"]


def test_the_readme_is_short() -> None:
    """What is computed from the board counts apart: its rows decide how long it is."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    by_hand, computed = re.subn(r"<!-- computed.*?<!-- end -->", "", text, flags=re.DOTALL)
    assert computed == 1
    assert len(by_hand.split()) < MOST_WORDS


def test_every_page_stands_in_the_navigation_of_the_site() -> None:
    said = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [file.relative_to(ROOT / "docs").as_posix() for file in ROOT.glob("docs/**/*.md")]
    assert [page for page in pages if f" {page}\n" not in said] == []


def test_what_the_first_sweep_is_said_to_show_is_in_its_table() -> None:
    told = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    rows = [re.split(r"  +", line.strip()) for line in told.splitlines() if line.startswith(" ")]
    names = ("real", "dp-wgan", "simulator *")
    dice = [(row[0], row[1], float(row[4])) for row in rows if row[0] in names]
    best = {name: max(score for who, _, score in dice if who == name) for name in names}
    assert best["simulator *"] > 0.95 * best["real"]
    private = [score for who, asked, score in dice if who == "dp-wgan" and asked != "∞"]
    assert len(private) == 3
    assert max(private) <= best["simulator *"]
    assert len(dice) == 6


def test_the_example_of_the_guide_has_60_lines_of_code_at_most_and_is_shown_in_it() -> None:
    code = (EXAMPLE / "private_band.py").read_text(encoding="utf-8")
    assert len([line for line in code.splitlines() if line.strip()]) <= 60
    guide = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    for file in ("pyproject.toml", "private_band.py"):
        assert f'--8<-- "examples/private-band/{file}"' in guide


@pytest.mark.parametrize("metric", ON_BOARD, ids=lambda metric: metric.name)
def test_every_metric_of_the_board_is_explained_with_its_direction(metric: Metric) -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith(f"| `{metric.heading}` |")]
    better = line.split("|")[3].strip()
    assert better.split(",")[0] == ("higher" if metric.higher_is_better else "lower")
    assert better.endswith("to 1") == (metric.higher_is_better and metric.most == 1)
    assert ("in millimetres" in line) == (metric.unit == "mm")


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in cited
    assert f"\nlicense: {project['license']}\n" in cited


def test_every_supported_python_is_checked_and_only_tested_ones_are_claimed() -> None:
    flow = (ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    claimed = [c.rpartition(" ")[2] for c in project["classifiers"] if "Python :: 3." in c]
    assert claimed
    assert all(f'"{version}"' in flow for version in claimed)
    targets = re.findall(r"make ([\w-]+)", flow)
    known = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert all(f"\n{target}:" in known for target in targets)
