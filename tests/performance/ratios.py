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
STEP = re.compile(r"test_critic_step\[(\w+)\]")


def read(path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each benchmark's fastest round, and private over plain steps."""
    found = json.loads(path.read_text())["benchmarks"]
    seconds = {one["name"]: one["stats"]["min"] for one in found}
    steps = {m[1]: one["extra_info"] for one in found if (m := STEP.fullmatch(one["name"]))}
    return seconds, {preset: info["over plain"] for preset, info in steps.items()}


def ratios(path: Path) -> dict[str, float]:
    """The private step over the plain one and over Opacus's; sites over pooled patients; sweeps."""
    times, over_plain = read(path)
    made = {}
    for preset, ratio in over_plain.items():
        made[f"{preset}: private / plain"] = ratio
        private, opacus = (times[f"test_{kind}_step[{preset}]"] for kind in ("critic", "opacus"))
        made[f"{preset}: private / opacus"] = private / opacus
    for sites in (3, 20):
        if f"test_sites[{sites}]" in times:
            made[f"{sites} sites / pooled"] = times[f"test_sites[{sites}]"] / times["test_pooled"]
    if "test_segmenters[3]" in times:
        made["3 segmenters / 1"] = times["test_segmenters[3]"] / times["test_segmenters[1]"]
    return made


def main(pinned: str, default: str, *flags: str) -> int:
    now = {"pinned": ratios(Path(pinned)), "default": ratios(Path(default))}
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
    for name, seconds in read(Path(pinned))[0].items():
        if "calibrating" in name or "ledger" in name:
            print(f"{name:49}{1000 * seconds:8.1f} ms")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
