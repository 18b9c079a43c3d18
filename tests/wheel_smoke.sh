#!/bin/sh
# Builds the wheel, installs it where the sources are not, and uses it once.
# The dependencies are those of the environment that builds; only our packages are fresh.
set -eu
python="$PWD/.venv/bin/python"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m build --wheel --outdir "$scratch" . >"$scratch/build.log" 2>&1 || {
    cat "$scratch/build.log"
    exit 1
}
"$python" -m pip install --quiet --no-deps --target "$scratch/site" "$scratch"/angiobench-*.whl
shipped=$(find benchmark/tuned -name '*.toml' 2>/dev/null | wc -l)
cd "$scratch"
[ "$(find site/benchmark/tuned -name '*.toml' 2>/dev/null | wc -l)" = "$shipped" ] || {
    echo "wheel: tuned settings are missing"
    exit 1
}
export PYTHONPATH="$scratch/site"
"$python" - <<'PYTHON'
import pathlib

import angiobench
import benchmark
import federation
import generators
import leaderboard
import segmenters
from benchmark.results import variance_parts

packages = (angiobench, benchmark, federation, generators, leaderboard, segmenters)
homes = {pathlib.Path(p.__file__).parents[1] for p in packages}
assert homes == {pathlib.Path.cwd() / "site"}, f"not the wheel's own packages: {homes}"
app = pathlib.Path(federation.__file__).parent
assert variance_parts.FILE.exists(), "no variance parts"
assert callable(angiobench.run), "no front door"
assert (app / "pyproject.toml").exists() and (app / "LICENSE").exists(), "no Flower app"
PYTHON
"$python" -m benchmark list
"$python" -m benchmark data phantom "$scratch/cohort" --patients 2 --seed 1
echo "wheel: installed, listed, made a cohort"
