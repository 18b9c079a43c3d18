"""The gate on ratios: each family of processors is compared with its own baseline alone."""

import importlib.util
import json
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "performance" / "ratios.py"


@pytest.fixture
def ratios(tmp_path: Path):
    spec = importlib.util.spec_from_file_location("ratios", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.BASELINE = tmp_path / "baseline.json"
    module.BASELINE.write_text("{}")
    return module


def measured(file: Path, over_plain: float) -> str:
    names = ("test_critic_step[quick]", "test_opacus_step[quick]")
    benchmarks = [{"name": name, "stats": {"min": 1.0}, "extra_info": {}} for name in names]
    benchmarks[0]["extra_info"] = {"over plain": over_plain}
    file.write_text(json.dumps({"benchmarks": benchmarks}))
    return str(file)


def test_a_family_is_held_to_its_own_baseline_and_a_new_one_to_none(ratios, tmp_path: Path) -> None:
    fast, slow = (measured(tmp_path / f"{ratio}.json", ratio) for ratio in (1.0, 1.3))
    ratios.family = lambda: "GenuineIntel 6/143"
    assert ratios.main(slow, slow) == 0
    assert ratios.main(fast, fast, "--keep") == 0
    assert ratios.main(slow, slow) == 1
    ratios.family = lambda: "AuthenticAMD 25"
    assert ratios.main(slow, slow) == 0
    assert set(json.loads(ratios.BASELINE.read_text())) == {"GenuineIntel 6/143"}


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\n", "AuthenticAMD 25"),
        ("vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n", "GenuineIntel 6/143"),
    ],
)
def test_a_family_is_read_from_what_the_processor_says(
    text: str, family: str, ratios, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert ratios.family(tmp_path / "cpuinfo") == family
    assert ratios.family(tmp_path / "missing")
