"""An audit of plug-ins from outside ends in a verdict or in one sentence, whatever they show."""

import subprocess
import sys
from pathlib import Path

import pytest
from command import in_process, plug_in

HEAD = """
from dataclasses import dataclass, replace
from types import SimpleNamespace
import numpy as np
import torch
from benchmark.core.patches import Patches
from benchmark.privacy.mechanisms.release import Release
from generators.dp_simulator import DpSimulator

class Guest(DpSimulator):
    name = "NAME"
    presets = {"quick": DpSimulator.smoke}

    def unseen_fit(self, patches, guarantee, context):
        return super().fit(patches, guarantee, replace(context, inspect=lambda shown: None))
"""

SHOWS = {
    "nothing": "pass",
    "an unknown object": "context.inspect(object())",
    "something twice": "r = Release(guarantee); context.inspect(r); context.inspect(r)",
    "two releases": "context.inspect(Release(guarantee)); context.inspect(Release(guarantee))",
    "what cannot be changed": (
        "made = dataclass(frozen=True)(type('Frozen', (), {'__annotations__': "
        "{'guarantee': object, 'mean': object}})); context.inspect(made(guarantee, len))"
    ),
    "a mean of other arguments": (
        "context.inspect(SimpleNamespace(guarantee=guarantee, mean=lambda: np.zeros(3)))"
    ),
    "a critic of other shapes": (
        "context.inspect(SimpleNamespace(critic=torch.nn.Linear(3, 2), step=SimpleNamespace("
        "gradient=lambda *a: torch.zeros(8), clip_norm=1.0, noise_multiplier=1.0, "
        "expected_units=1.0), sampler=SimpleNamespace(draw=lambda: (np.arange(1),) * 2), "
        "guarantee=guarantee, patches=patches, private_steps=1))"
    ),
}


def audited(
    tmp_path: Path, cohort: Path, name: str, code: str, *more: str, kind: str = "generators"
) -> subprocess.CompletedProcess[str]:
    """The audit of a plug-in whose code follows ``HEAD``; every name only once in a process."""
    made = plug_in(tmp_path, kind, name, "Guest", HEAD.replace("NAME", name) + code)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(made))
        patch.setenv("ANGIOBENCH_STATE", str(tmp_path / "state"))
        asked = ["audit", "--generator", name, "--epsilon", "1", "--canaries", "16"]
        done = in_process(*asked, "--data", str(cohort), *more, cwd=tmp_path)
    sys.modules.pop(name, None)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def fit(body: str) -> str:
    return f"    def fit(self, patches, guarantee, context):\n        {body}\n"


@pytest.mark.parametrize("shows", SHOWS)
def test_membership_inference_judges_what_shows_nothing_that_is_known(
    shows: str, module_cohort: Path, tmp_path: Path
) -> None:
    code = fit(f"{SHOWS[shows]}; return self.unseen_fit(patches, guarantee, context)")
    done = audited(tmp_path, module_cohort, "guest_shows", code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "guest_shows " in done.stdout
    assert "left out; membership inference judges alone." in done.stdout
    assert "for a patch is not refuted." in done.stdout
    assert "canaries, which prove" not in done.stdout


def test_what_is_shown_twice_or_is_a_subclass_has_canaries(
    module_cohort: Path, tmp_path: Path
) -> None:
    code = "\nclass Mine(Release):\n    pass\n"
    code += "\n_old = DpSimulator.fit\n\nclass Guest(Guest):\n" + fit(
        "inner = lambda r: (setattr(r, '__class__', Mine), context.inspect(r), context.inspect(r));"
        " return _old(self, patches, guarantee, replace(context, inspect=inner))"
    )
    done = audited(tmp_path, module_cohort, "guest_twice", code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "guesses on 16 canaries, which prove" in done.stdout
    assert "All 5 exact laws" in done.stdout


def test_what_is_shown_too_late_is_said_to_be(module_cohort: Path, tmp_path: Path) -> None:
    code = fit(
        "spent = self.unseen_fit(patches, guarantee, context); "
        "context.inspect(Release(guarantee)); return spent"
    )
    done = audited(tmp_path, module_cohort, "guest_late", code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "guest_late does not use what it shows, or shows it too late, so" in done.stdout


KEEPS = """
    def fit(self, patches, guarantee, context):
        spent = self.unseen_fit(patches, guarantee, context)
        keep = np.random.default_rng(0).permutation(len(patches))[: len(patches) // 4]
        self.kept = np.array(patches.images[keep]), np.array(patches.masks[keep])
        return spent

    def sample(self, n, *, seed):
        which = np.random.default_rng(seed).integers(0, len(self.kept[0]), n)
        return Patches(images=self.kept[0][which], masks=self.kept[1][which])
"""


def test_a_plug_in_that_keeps_a_quarter_of_the_patches_is_refuted_and_the_exit_is_1(
    module_cohort: Path, tmp_path: Path
) -> None:
    done = audited(tmp_path, module_cohort, "guest_keeps", KEEPS)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "for a patch is REFUTED." in done.stdout
    assert ": beyond the claim." in done.stdout
    assert (tmp_path / "membership.png").stat().st_size > 1000


FAULTS = {
    "a fit that raises": (
        fit("raise RuntimeError('no\\nluck')"),
        2,
        "as its fit raised RuntimeError: no luck; `bench check",
    ),
    "a plan that raises": (
        "    def plan(self, public, budget):\n        return 1 / 0\n",
        2,
        "as its plan raised ZeroDivisionError: division by zero; `bench check",
    ),
    "a plan above the target": (
        "    def plan(self, public, budget):\n"
        "        return replace(super().plan(public, budget), epsilon=3.0)\n",
        2,
        "plans ε = 3 for a patch where 1 for a patch was asked for",
    ),
    "samples that raise": (
        "    def sample(self, n, *, seed):\n        raise KeyError('weights')\n",
        1,
        "Law broken: samples labelled patches: sampling raised KeyError: 'weights'.",
    ),
    "fewer samples": (
        "    def sample(self, n, *, seed):\n        return super().sample(n // 2, seed=seed)\n",
        1,
        "Law broken: samples labelled patches: 1024 patches of side 32 were asked for, and 512",
    ),
    "samples of no kind": (
        "    def sample(self, n, *, seed):\n        return None\n",
        1,
        "Law broken: samples labelled patches: sampling raised AttributeError",
    ),
    "no charge": (
        fit("return self.unseen_fit(patches, guarantee, replace(context, charge=lambda g: None))"),
        1,
        "Law broken: charges before touching: the fit was not charged; it is now.",
    ),
    "more spent than planned": (
        fit("return replace(super().fit(patches, guarantee, context), epsilon=9.0)"),
        1,
        "Law broken: spends what was planned: ε = 9 was spent, 0.9998 planned.",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_plug_in_gets_one_sentence(
    fault: str, module_cohort: Path, tmp_path: Path
) -> None:
    code, exit_code, sentence = FAULTS[fault]
    done = audited(tmp_path, module_cohort, "guest_fault", code)
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert sentence in (done.stderr if exit_code == 2 else done.stdout)


def test_a_segmenter_that_shows_nothing_has_nothing_to_audit_before_any_patient_is_read(
    tmp_path: Path,
) -> None:
    code = """
from segmenters.dp_segmenter import DpSegmenter

class Guest(DpSegmenter):
    name = "guest_seg"

    def fit_privately(self, patches, guarantee, context):
        return super().fit_privately(patches, guarantee, replace(context, inspect=lambda s: None))
"""
    done = audited(tmp_path, tmp_path / "absent", "guest_seg", code, kind="segmenters")
    assert done.returncode == 2
    assert "guest_seg shows no private step, and a segmenter draws no synthetic" in done.stderr
    assert not (tmp_path / "state").exists()
