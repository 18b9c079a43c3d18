"""Ratios from pytest-benchmark's JSON files, against the committed ones of the same processors.

``python ratios.py pinned.json default.json [--keep]``: prints a table, and fails where a ratio is a
quarter above ``baseline.json``, where ``--keep`` writes those of this processor's family anew. The
same step is 1.1 times another on one family and 1.7 times on the next, so a family is compared with
itself alone. On one without a baseline nothing is compared, and that is said.
"""

from __future__ import annotations

import json
import platform
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
    """The private step over the plain one and over Opacus's; sites over pooled patients."""
    times, over_plain = read(path)
    made = {}
    for preset, ratio in over_plain.items():
        made[f"{preset}: private / plain"] = ratio
        private, opacus = (times[f"test_{kind}_step[{preset}]"] for kind in ("critic", "opacus"))
        made[f"{preset}: private / opacus"] = private / opacus
    for sites in (3, 20):
        if f"test_sites[{sites}]" in times:
            made[f"{sites} sites / pooled"] = times[f"test_sites[{sites}]"] / times["test_pooled"]
    return made


def family(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's maker and family, as ``AuthenticAMD 25``; elsewhere, its architecture."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    said = dict(reversed([(n.strip(), v.strip()) for n, _, v in (s.partition(":") for s in lines)]))
    maker, number = said.get("vendor_id"), said.get("cpu family")
    if maker is None or number is None:
        return platform.machine()
    # Intel has had one family for decades; its models tell them apart.
    return f"{maker} {number}" + (f"/{said.get('model')}" if number == "6" else "")


def main(pinned: str, default: str, *flags: str) -> int:
    now = {"pinned": ratios(Path(pinned)), "default": ratios(Path(default))}
    kept, mine = json.loads(BASELINE.read_text()), family()
    if "--keep" in flags:
        kept[mine] = now
        BASELINE.write_text(json.dumps(kept, indent=1) + "\n")
    if mine not in kept:
        print(f"{BASELINE.name} has no processor {mine}, so nothing is compared; --keep adds it.")
    before = kept.get(mine, now)
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
