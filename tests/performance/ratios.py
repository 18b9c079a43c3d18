"""Ratios from pytest-benchmark's JSON files, against the committed ones.

``python ratios.py pinned.json default.json [--keep]``: prints a table, and fails where a ratio is a
quarter above ``baseline.json``, which ``--keep`` writes anew.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

BASELINE = Path(__file__).with_name("baseline.json")
MOST_WORSE = 1.25
STEP = re.compile(r"test_critic_step\[(\w+)-(\w+)-([\w-]+)\]")


def fastest(path: Path) -> dict[str, float]:
    """Seconds of the fastest round: whatever else runs on a machine only adds to it."""
    found = json.loads(path.read_text())["benchmarks"]
    return {one["name"]: one["stats"]["min"] for one in found}


def ratios(times: dict[str, float]) -> dict[str, float]:
    """The private step over the best plain one and over Opacus's; sites over pooled patients."""
    steps = {m.groups(): t for name, t in times.items() if (m := STEP.fullmatch(name))}
    made = {}
    for preset in dict.fromkeys(preset for preset, _, _ in steps):
        plain = min(t for (p, kind, _), t in steps.items() if (p, kind) == (preset, "plain"))
        private = steps[preset, "private", "contiguous"]
        made[f"{preset}: private / plain"] = private / plain
        made[f"{preset}: private / opacus"] = private / steps[preset, "opacus", "contiguous"]
    for sites in (3, 20):
        if f"test_sites[{sites}]" in times:
            made[f"{sites} sites / pooled"] = times[f"test_sites[{sites}]"] / times["test_pooled"]
    return made


def main(pinned: str, default: str, *flags: str) -> int:
    times = fastest(Path(pinned))
    now = {"pinned": ratios(times), "default": ratios(fastest(Path(default)))}
    if "--keep" in flags:
        BASELINE.write_text(json.dumps(now, indent=1) + "\n")
    before = json.loads(BASELINE.read_text())
    worse = 0
    print(f"{'ratio':32}{'malloc':>9}{'now':>8}{'baseline':>10}")
    for malloc, found in now.items():
        for name, value in found.items():
            old = before[malloc][name]
            worse += value > MOST_WORSE * old
            mark = "  WORSE" if value > MOST_WORSE * old else ""
            print(f"{name:32}{malloc:>9}{value:8.2f}{old:10.2f}{mark}")
    for name, seconds in times.items():
        if "calibrating" in name or "ledger" in name:
            print(f"{name:49}{1000 * seconds:8.1f} ms")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
