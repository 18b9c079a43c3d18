"""A fit that cells share: what it costs patients, and what a kill, a copy or a fault leaves."""

import math
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.core.errors import DataError
from benchmark.core.files import held
from benchmark.core.patches import Patches
from benchmark.privacy.ledger.chain import Entry
from benchmark.privacy.ledger.ledger import Ledger, ledger_in
from benchmark.results.kept_fit import FIT, FITS, begun_for, read_fit
from benchmark.results.spec import VALIDATION, RunSpec
from benchmark.results.store import CHARGE, CHECKPOINT, GENERATOR
from benchmark.sweep.fitting import make_fit
from benchmark.sweep.inputs import Inputs, gather
from benchmark.sweep.machine import Bench, Machine
from benchmark.sweep.plan_cells import cells, guarantee_of
from benchmark.sweep.preparation import to_pay
from benchmark.sweep.request import Request
from benchmark.sweep.shared_fit import WAITING, CellFit, Fitted, fitted_generator
from benchmark.sweep.sites import Federation
from benchmark.sweep.watching.stages import Watch

SETTINGS = {
    "protocol": {"patches_per_patient": "20", "samples": "32", "fid_n": "16"},
    "dp-wgan": {
        **{"generator_steps": "6", "generator_width": "4", "critic_width": "4"},
        **{"batch": "16", "patients_per_step": "2", "critic_steps": "1", "accountant": "rdp"},
    },
}
JUDGES = ("frangi", "threshold", "unet")


class KilledError(BaseException):
    """As a kill: nobody catches it."""


@dataclass
class Lab:
    """A store, a machine and the data of a sweep."""

    inputs: Inputs
    root: Path
    machine: Machine

    def specs(self, **asked: object) -> list[RunSpec]:
        """The cells of one generator with each segmenter."""
        request = Request(
            **{
                **{"generators": ("dp-wgan",), "epsilons": (5.0,), "segmenters": JUDGES},
                **{"settings": SETTINGS, "noise": "system", "bookends": False, **asked},
            }
        )
        return cells(request, self.inputs, "")

    def fit(self, spec: RunSpec, root: Path | None = None) -> CellFit:
        """What a cell needs."""
        folder = (root or self.root) / spec.generator.name / spec.key
        folder.mkdir(parents=True, exist_ok=True)
        planned = guarantee_of(spec, self.inputs, self.machine.cache)
        bench = Bench(folder=folder, machine=self.machine)
        return CellFit(spec=spec, planned=planned, inputs=self.inputs, bench=bench)

    @property
    def ledger(self) -> Ledger:
        return ledger_in(self.machine.state)

    def runs_paid(self) -> list[str]:
        """The run of every entry, oldest first."""
        return [str(entry.said["run"]) for entry in self.ledger.entries()]


@pytest.fixture
def lab(tmp_path: Path, module_cohort: Path, cache_with_plans: Callable[[Path], Path]) -> Lab:
    return made_lab(tmp_path, module_cohort, cache_with_plans)


def made_lab(folder: Path, cohort: Path, cache_with_plans: Callable[[Path], Path]) -> Lab:
    cache, state = cache_with_plans(folder / "cache"), folder / "state"
    inputs = gather(cohort, (), cache=cache, state=state, jobs=1, progress=lambda *said: None)
    return Lab(inputs, folder / "runs", Machine(cache=cache, state=state))


def quiet(stage: str, done: int, total: int) -> None:
    """Hears nothing."""


def killed_at(step: int) -> Callable[[str, int, int], None]:
    def listener(stage: str, done: int, total: int) -> None:
        if stage in ("fit", "rounds") and done == step:
            raise KilledError

    return listener


def fitted(fit: CellFit, listener: Callable[[str, int, int], None] = quiet) -> Fitted:
    return fitted_generator(fit, Watch(listener))


def drawn(found: Fitted) -> Patches:
    return found.generator.sample(16, seed=3)


def same(one: Patches, other: Patches) -> bool:
    return np.array_equal(one.images, other.images) and np.array_equal(one.masks, other.masks)


def test_three_cells_pay_once_and_draw_from_one_generator(lab: Lab) -> None:
    specs = lab.specs()
    found = [fitted(lab.fit(spec)) for spec in specs]
    assert lab.runs_paid() == [specs[0].key]
    assert len({spec.key for spec in specs}) == 3
    assert all(same(drawn(found[0]), drawn(one)) for one in found)
    assert [one.more.get("fit_of") for one in found] == [None, specs[0].key, specs[0].key]
    assert len({one.guarantee for one in found}) == 1
    (total,) = lab.ledger.totals()
    assert (total.patients, total.entries) == (3, (1,))
    assert total.epsilon == pytest.approx(found[0].guarantee.epsilon_patient, rel=0.01)


def test_a_sweep_is_held_against_the_cap_once_for_a_fit(lab: Lab) -> None:
    specs = [*lab.specs(), *lab.specs(epsilons=(2.0,))]
    due = to_pay([lab.fit(spec) for spec in specs])
    assert {fit.spec.epsilon for fit in due} == {5.0, 2.0}
    assert len(due) == 2
    fitted(lab.fit(specs[1]))
    assert [fit.spec.epsilon for fit in to_pay([lab.fit(spec) for spec in specs])] == [2.0]


def test_every_cell_gets_the_files_of_a_fit_of_its_own(lab: Lab) -> None:
    folders = []
    for spec in lab.specs():
        one = lab.fit(spec)
        fitted(one).keep()
        folders.append(one.bench.folder)
    charges = {(folder / CHARGE).read_bytes() for folder in folders}
    weights = {(folder / GENERATOR / "weights.safetensors").read_bytes() for folder in folders}
    assert (len(charges), len(weights)) == (1, 1)
    assert not list(lab.root.rglob(CHECKPOINT)), "a critic is not kept"


@pytest.mark.parametrize("step", [1, 3, 6])
def test_a_fit_that_was_killed_is_continued_by_any_of_its_cells(lab: Lab, step: int) -> None:
    first, second, third = (lab.fit(spec) for spec in lab.specs())
    with pytest.raises(KilledError):
        fitted(first, killed_at(step))
    assert lab.fit(second.spec).costs_nothing()
    found = fitted(second)
    fitted(third)
    fitted(lab.fit(first.spec))
    assert lab.runs_paid() == [first.spec.key]
    assert found.guarantee.interruptions == 1
    assert found.more == {"fit_of": first.spec.key}


def test_a_kill_before_the_record_of_the_fit_keeps_its_entry(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*said: object) -> None:
        raise KilledError

    one, other, _ = (lab.fit(spec) for spec in lab.specs())
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.sweep.shared_fit.write_fit", kill)
        with pytest.raises(KilledError):
            fitted(one)
    assert read_fit(one.folder) is None
    fitted(other)
    assert lab.runs_paid() == [one.spec.key]


def test_a_kill_behind_the_record_of_the_fit_costs_nothing_and_leaves_no_critic(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*said: object) -> None:
        raise KilledError

    one, other, _ = (lab.fit(spec) for spec in lab.specs())
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.sweep.shared_fit.forget", kill)
        with pytest.raises(KilledError):
            fitted(one)
    assert list(lab.root.rglob(CHECKPOINT))
    fitted(other)
    assert lab.runs_paid() == [one.spec.key]
    assert not list(lab.root.rglob(CHECKPOINT))


@pytest.mark.parametrize(
    "asked",
    [
        {"epsilons": (2.0,)},
        {"first_seed": 1},
        {"unit": "patient"},
        {"settings": {**SETTINGS, "dp-wgan": {**SETTINGS["dp-wgan"], "latent": "5"}}},
        {
            "settings": {
                **SETTINGS,
                "protocol": {**SETTINGS["protocol"], "patches_per_patient": "9"},
            }
        },
    ],
)
def test_another_fit_is_paid_for_by_itself(lab: Lab, asked: dict) -> None:
    one, *_ = lab.specs()
    another, *_ = lab.specs(**asked)
    fitted(lab.fit(one))
    assert not lab.fit(another).costs_nothing()
    assert fitted(lab.fit(another)).more == {}
    assert lab.runs_paid() == [one.key, another.key]


def test_a_protocol_that_only_judges_otherwise_shares_the_fit(lab: Lab) -> None:
    more = {**SETTINGS, "protocol": {**SETTINGS["protocol"], "samples": "48"}}
    one, other = lab.specs()[0], lab.specs(settings=more)[0]
    assert one.key != other.key
    fitted(lab.fit(one))
    fitted(lab.fit(other))
    assert lab.runs_paid() == [one.key]


def test_tuning_and_final_fits_keep_their_kinds(lab: Lab) -> None:
    final, _, _ = lab.specs()
    trial = replace(final, test_data={VALIDATION: "t"})
    for spec in (trial, final):
        fitted(lab.fit(spec))
    assert [entry.said["kind"] for entry in lab.ledger.entries()] == ["tuning", "fit"]


@pytest.mark.parametrize("name", ["generator/weights.safetensors", "charge.json", "begun.json"])
def test_a_fit_that_was_changed_is_refused_in_one_sentence(lab: Lab, name: str) -> None:
    one, other, _ = (lab.fit(spec) for spec in lab.specs())
    fitted(one)
    file = one.folder / name
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    for ask in (lambda: fitted(other), other.costs_nothing):
        with pytest.raises(DataError, match="this is not the fit that the suite kept") as refused:
            ask()
        assert f"{name} is gone, or was changed" in str(refused.value)
        assert str(refused.value).count("\n") == 0
    assert lab.runs_paid() == [one.spec.key]


def test_a_record_that_was_changed_is_refused(lab: Lab) -> None:
    one, other, _ = (lab.fit(spec) for spec in lab.specs())
    fitted(one)
    file = one.folder / FIT
    file.write_text(file.read_text().replace(one.spec.key, other.spec.key))
    with pytest.raises(DataError, match="the record was changed"):
        fitted(other)


def test_a_store_that_was_copied_when_the_fit_was_done_costs_nothing(
    lab: Lab, tmp_path: Path
) -> None:
    first, second, _ = lab.specs()
    found = fitted(lab.fit(first))
    copy = Path(shutil.copytree(lab.root, tmp_path / "copy"))
    assert same(drawn(found), drawn(fitted(lab.fit(second, copy))))
    assert lab.runs_paid() == [first.key]


def test_a_store_that_was_copied_in_the_middle_does_not_fit_twice_under_one_entry(
    lab: Lab, tmp_path: Path
) -> None:
    first, second, _ = lab.specs()
    with pytest.raises(KilledError):
        fitted(lab.fit(first), killed_at(3))
    copy = Path(shutil.copytree(lab.root, tmp_path / "copy"))
    one, other = fitted(lab.fit(first)), fitted(lab.fit(second, copy))
    assert lab.runs_paid() == [first.key]
    assert one.guarantee.lost_steps == 1
    assert other.guarantee.lost_steps == 4, (
        "all but those from before the copy were run by the first"
    )


def test_a_kept_fit_that_the_ledger_does_not_have_is_made_and_paid_for_anew(lab: Lab) -> None:
    first, second, _ = lab.specs()
    before = drawn(fitted(lab.fit(first)))
    for file in lab.machine.state.glob("ledger*"):
        file.unlink()
    assert not lab.fit(second).costs_nothing()
    after = drawn(fitted(lab.fit(second)))
    assert lab.runs_paid() == [first.key]
    assert not same(before, after), "another draw"


@pytest.mark.parametrize(
    "asked",
    [
        {"noise": "seeded"},
        {"epsilons": (math.inf,)},
        {"generators": ("real",), "epsilons": (math.inf,)},
    ],
)
def test_what_may_not_be_kept_is_fitted_and_paid_for_by_each_cell(lab: Lab, asked: dict) -> None:
    specs = lab.specs(**asked)
    for spec in specs:
        one = lab.fit(spec)
        fitted(one).keep()
        assert not (one.bench.folder / GENERATOR).exists()
    assert lab.runs_paid() == [spec.key for spec in specs]
    assert not (lab.root / FITS).exists()


def test_phantoms_share_also_what_is_seeded_or_not_private(lab: Lab) -> None:
    phantoms = replace(lab, inputs=replace(lab.inputs, private=False))
    for asked in ({"noise": "seeded"}, {"epsilons": (math.inf,)}):
        found = [fitted(phantoms.fit(spec)) for spec in phantoms.specs(**asked)]
        assert same(drawn(found[0]), drawn(found[2]))
    assert len(phantoms.runs_paid()) == 2
    first, *_ = phantoms.specs(generators=("real",), epsilons=(math.inf,))
    assert not phantoms.fit(first).is_shared, "its files would be patients' own"


def test_the_named_cell_decides_the_noise_and_not_the_first_process(lab: Lab) -> None:
    phantoms = replace(lab, inputs=replace(lab.inputs, private=False))
    first, second, _ = phantoms.specs(noise="seeded")
    alone = drawn(fitted(phantoms.fit(first, lab.root / "alone")))
    phantoms.fit(first).name()
    phantoms.fit(second).name()
    assert begun_for(phantoms.fit(first).folder) == first
    late = fitted(phantoms.fit(second))
    assert late.more == {"fit_of": first.key}
    assert same(alone, drawn(late))


def test_a_fit_begun_by_an_earlier_version_goes_on_in_the_cell_under_its_entry(lab: Lab) -> None:
    first, second, third = lab.specs()
    begun = lab.fit(first)
    with pytest.raises(KilledError):  # as it was: every cell fits in its own folder
        make_fit(first, begun.planned, lab.inputs, begun.bench, Watch(killed_at(3)))
    assert (begun.bench.folder / CHECKPOINT).exists()
    again = lab.fit(first)
    assert again.costs_nothing()
    found = fitted(again)
    assert lab.runs_paid() == [first.key]
    assert found.guarantee.interruptions == 1
    assert found.more == {}
    for spec in (second, third):
        fitted(lab.fit(spec))
    assert lab.runs_paid() == [first.key, second.key]


def test_a_damaged_checkpoint_of_an_earlier_version_is_paid_for_anew(lab: Lab) -> None:
    first, *_ = lab.specs()
    begun = lab.fit(first)
    with pytest.raises(KilledError):
        make_fit(first, begun.planned, lab.inputs, begun.bench, Watch(killed_at(3)))
    (begun.bench.folder / CHECKPOINT).write_bytes(b"damaged")
    assert not lab.fit(first).costs_nothing()
    fitted(lab.fit(first))
    assert lab.runs_paid() == [first.key, first.key]


def test_sites_pay_once_for_three_cells_also_when_they_are_killed(lab: Lab) -> None:
    first, second, third = lab.specs(federation=Federation(sites=2))
    with pytest.raises(KilledError):
        fitted(lab.fit(first), killed_at(3))
    found = [fitted(lab.fit(spec)) for spec in (second, third, first)]
    assert lab.runs_paid() == [first.key, first.key], "one entry for each site"
    assert all(same(drawn(found[0]), drawn(one)) for one in found)
    assert {one.more["sites"] for one in found} == {found[0].more["sites"]}
    assert [one.more.get("fit_of") for one in found] == [first.key, first.key, None]
    assert found[0].more["rounds"] == found[2].more["rounds"]
    assert not list(lab.root.rglob("reply.safetensors"))


def test_entries_of_other_guarantees_do_not_pay_for_a_kept_fit_of_sites(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = lab.specs(federation=Federation(sites=2))
    fitted(lab.fit(first))
    known = Ledger.fits_of

    def twice_the_first(ledger: Ledger, run: str) -> list[Entry]:
        return known(ledger, run)[:1] * 2

    assert lab.fit(second).kept()
    monkeypatch.setattr(Ledger, "fits_of", twice_the_first)
    assert lab.fit(second).kept() is None, "as many entries, and one site's is missing"


def test_sites_that_an_earlier_version_began_go_on_in_the_cell(lab: Lab) -> None:
    first, *_ = lab.specs(federation=Federation(sites=2))
    begun = lab.fit(first)
    with pytest.raises(KilledError):
        make_fit(first, begun.planned, lab.inputs, begun.bench, Watch(killed_at(3)))
    again = lab.fit(first)
    assert not again.is_shared
    fitted(again)
    assert lab.runs_paid() == [first.key, first.key]


def test_a_process_waits_for_another_that_fits_and_says_so(lab: Lab) -> None:
    first, second, _ = (lab.fit(spec) for spec in lab.specs())
    fitted(first)
    heard, found = threading.Event(), []

    def listener(stage: str, done: int, total: int) -> None:
        if stage == WAITING:
            heard.set()

    with held(second.folder) as mine:
        assert mine
        other = threading.Thread(target=lambda: found.append(fitted(second, listener)))
        other.start()
        assert heard.wait(timeout=60)
        time.sleep(0.1)
        assert not found
    other.join(timeout=60)
    assert len(found) == 1
    assert lab.runs_paid() == [first.spec.key]


def test_after_a_failed_fit_each_cell_tries_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from generators.dp_wgan import DpWgan

    tried = []

    def fail(*said: object, **more: object) -> None:
        tried.append(1)
        raise RuntimeError("this fit was never going to work")

    monkeypatch.setattr(DpWgan, "fit", fail)
    for spec in lab.specs():
        with pytest.raises(RuntimeError, match="never going to work"):
            fitted(lab.fit(spec))
    assert len(tried) == 3


def test_a_fit_of_sites_with_other_patients_is_made_and_paid_for_anew(lab: Lab) -> None:
    across = Federation(sites=2)
    first, second, _ = lab.specs(federation=across)
    fitted(lab.fit(first))
    assert lab.fit(second).kept()
    other = {"a": "b", "b": "a"}
    swapped = [replace(one, site=other[one.site]) for one in lab.inputs.train]
    lab.inputs = replace(lab.inputs, train=tuple(swapped))
    _, moved, _ = lab.specs(federation=across)
    assert moved.key != second.key
    assert lab.fit(moved).kept() is None
    fitted(lab.fit(moved))
    assert len(lab.runs_paid()) == 4
