"""The ledger: durable, chained, composed by the accountant, and never overspent."""

import contextlib
import math
import multiprocessing
import os
import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from benchmark.core.budget import Budget, Guarantee, PublicNumbers
from benchmark.core.identity import Identity
from benchmark.privacy.accounting import composition
from benchmark.privacy.accounting.subsampled_gaussian import epsilon_spent
from benchmark.privacy.accounting.units import patient_epsilon_of_patch_run
from benchmark.privacy.ledger.chain import ChangedError, LedgerError, Pages
from benchmark.privacy.ledger.ledger import DELTA, Kind, Ledger, OverCapError, Spending

SECRET = b"a secret"


def total_epsilon(guarantees: list[Guarantee]) -> float:
    return composition.total_epsilon(guarantees, DELTA)


PUBLIC = PublicNumbers(patients=3, patches_per_patient=10, patch_size=32)
NONE = Guarantee.of(PUBLIC, Budget(epsilon=math.inf, delta=1e-5, unit="patient"), epsilon=math.inf)
FIT = replace(
    NONE,
    epsilon=1.0,
    epsilon_patient=1.0,
    noise_multiplier=4.0,
    sampling_rate=0.1,
    steps=100,
    clip_norm=1.0,
    accountant="prv",
)
BLIND = Guarantee.of(PUBLIC, Budget(epsilon=0.0, delta=1e-5, unit="patient"), epsilon=0.0)


def spending(guarantee: Guarantee = FIT, **changes) -> Spending:
    said = Spending(
        kind="fit",
        run="0123456789ab",
        generator="dp-wgan",
        guarantee=guarantee,
        patients=("p1", "p2"),
        private=True,
    )
    return replace(said, **changes)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state" / "ledger.db", SECRET)


def test_an_entry_says_who_spent_what_on_whom(ledger: Ledger) -> None:
    assert ledger.entries() == []
    assert ledger.charge(spending()) == 1
    assert ledger.charge(spending(kind="tuning", patients=("p2", "p3"))) == 2
    one, two = ledger.entries()
    assert (one.number, one.said["kind"], one.said["patients"]) == (1, "fit", ["p1", "p2"])
    assert two.said["guarantee"]["noise_multiplier"] == 4.0
    assert ledger.verify() == 2


@pytest.mark.parametrize(
    "change",
    [
        {"guarantee": replace(FIT, epsilon=50.0, noise_multiplier=0.5)},
        {"patients": ("p1", "p2", "p3")},
        {"patients": ("p1", "p3")},
        {"run": "f" * 12},
        {"kind": "tuning"},
        {"private": False},
    ],
)
def test_an_entry_pays_for_one_spending_and_no_other(ledger: Ledger, change: dict) -> None:
    number = ledger.charge(spending())
    assert ledger.pays_for(number, spending(patients=("p2", "p1")))
    assert not ledger.pays_for(number + 1, spending())
    assert not ledger.pays_for(None, spending())
    assert not ledger.pays_for(number, spending(**change))


def test_totals_are_composed_by_the_accountant_and_not_added() -> None:
    once, twice = (total_epsilon([FIT] * n) for n in (1, 2))
    for count, total in ((1, once), (2, twice)):
        alone = epsilon_spent(
            noise_multiplier=4.0,
            sampling_rate=0.1,
            steps=100 * count,
            delta=DELTA,
            accountant="pld",
        )
        assert total == pytest.approx(alone, rel=0.01)
    assert once < twice < 2 * once


def test_different_mechanisms_compose_to_less_than_their_sum_and_more_than_each() -> None:
    other = replace(FIT, noise_multiplier=2.0, sampling_rate=0.05, steps=50)
    both = total_epsilon([FIT, other])
    apart = [total_epsilon([guarantee]) for guarantee in (FIT, other)]
    assert max(apart) < both < sum(apart)
    assert total_epsilon([FIT, BLIND]) == pytest.approx(total_epsilon([FIT]))
    assert total_epsilon([]) == 0
    assert total_epsilon([FIT, NONE]) == math.inf


def test_a_fit_whose_unit_is_the_patch_enters_by_what_it_costs_a_patient() -> None:
    patch = replace(FIT, unit="patch", patches_per_patient=10)
    assert total_epsilon([patch]) > 3 * total_epsilon([FIT])
    assert total_epsilon([patch]) < total_epsilon([replace(patch, patches_per_patient=30)])


def test_patches_of_fits_whose_unit_is_the_patch_are_composed_and_of_others_not() -> None:
    patch = replace(FIT, unit="patch")
    both = composition.total_epsilon([patch, patch], DELTA, unit="patch")
    assert both == pytest.approx(total_epsilon([FIT, FIT]))
    with pytest.raises(ValueError, match="whose unit is the patch"):
        composition.total_epsilon([patch, FIT], DELTA, unit="patch")


def test_a_cohorts_total_is_its_worst_patients(ledger: Ledger) -> None:
    ledger.charge(spending(patients=("p1", "p2", "p3")))
    ledger.charge(spending(patients=("p2",)))
    ledger.charge(spending(NONE, private=False, patients=("phantom",)))
    worst, rest = ledger.totals()
    assert (worst.patients, worst.entries) == (1, (1, 2))
    assert (rest.patients, rest.entries) == (2, (1,))
    assert worst.epsilon > rest.epsilon


def test_what_would_go_over_the_cap_is_refused_and_not_written(ledger: Ledger) -> None:
    cap = total_epsilon([FIT, FIT]) * 1.01
    ledger.set_cap(cap)
    ledger.check([spending(), spending()])
    with pytest.raises(OverCapError, match="dp-wgan would take a patient's total to ε = "):
        ledger.check([spending()] * 3)
    ledger.charge(spending())
    ledger.charge(spending())
    with pytest.raises(OverCapError, match="above the cap"):
        ledger.charge(spending(patients=("p2", "p9")))
    with pytest.raises(OverCapError, match="ε = ∞"):
        ledger.charge(spending(NONE, patients=("p9",)))
    ledger.charge(spending(NONE, private=False))
    ledger.charge(spending(patients=("p9",)))
    ledger.set_cap(math.inf)
    ledger.charge(spending())
    assert [e.said["kind"] for e in ledger.entries()] == ["cap", *["fit"] * 4, "cap", "fit"]
    assert ledger.verify() == 7


def _charge_many(path: Path, count: int, done, together=None) -> None:
    if together is not None:
        together.wait(60)
    for _ in range(count):
        with contextlib.suppress(OverCapError):
            done.send(Ledger(path, SECRET).charge(spending()))
    done.close()


def test_two_processes_at_once_cannot_overspend(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    allowed = 3
    Ledger(path, SECRET).set_cap(total_epsilon([FIT] * allowed) * 1.001)
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    ends = [context.Pipe(duplex=False) for _ in range(2)]
    workers = [
        context.Process(target=_charge_many, args=(path, allowed, sender, together))
        for _, sender in ends
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(Ledger(path, SECRET).entries()) == 1 + allowed
    assert Ledger(path, SECRET).verify() == 1 + allowed


def test_a_kill_at_any_point_neither_loses_nor_halves_an_entry(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    rng = random.Random(0)
    path = tmp_path / "ledger.db"
    said = 0
    for _ in range(6):
        receiver, sender = context.Pipe(duplex=False)
        worker = context.Process(target=_charge_many, args=(path, 10_000, sender))
        worker.start()
        sender.close()
        assert receiver.poll(60)
        time.sleep(rng.uniform(0, 0.1))
        worker.kill()
        worker.join()
        with contextlib.suppress(EOFError):
            while receiver.poll(1):
                said = receiver.recv()
        count = Ledger(path, SECRET).verify()
        assert said <= count <= said + 1, "what was said is there; at most one was not yet said"


def test_a_kill_while_the_file_is_made_leaves_none_or_a_whole_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    rng = random.Random(0)
    for attempt in range(8):
        path = tmp_path / f"{attempt}.db"
        receiver, sender = context.Pipe(duplex=False)
        worker = context.Process(target=_charge_many, args=(path, 3, sender))
        worker.start()
        while not path.exists() and worker.is_alive():
            time.sleep(0)
        time.sleep(rng.uniform(0, 0.004))
        worker.kill()
        worker.join()
        receiver.close()
        count = Ledger(path, SECRET).verify()
        assert Ledger(path, SECRET).charge(spending()) == count + 1


def test_the_first_writers_at_once_lose_no_entry(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    for attempt in range(2):
        path = tmp_path / str(attempt) / "ledger.db"
        together = context.Barrier(4)
        ends = [context.Pipe(duplex=False) for _ in range(4)]
        workers = [
            context.Process(target=_charge_many, args=(path, 2, sender, together))
            for _, sender in ends
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
        assert [worker.exitcode for worker in workers] == [0] * 4
        assert Ledger(path, SECRET).verify() == 8
        assert sorted(f.name for f in path.parent.iterdir()) == [
            ".lock",
            "ledger.begun",
            "ledger.db",
        ]
        assert path.stat().st_mode & 0o077 == 0


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _of_tables_alone(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as by_hand:
        by_hand.executescript("DROP TRIGGER no_removal; DELETE FROM entries; DELETE FROM head")
        by_hand.executescript("DELETE FROM spending; VACUUM")


def _of_no_tables(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as by_hand:
        by_hand.executescript("CREATE TABLE t (n); DROP TABLE t")


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _a_link_to_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def _halved(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGES = (_emptied, _of_tables_alone, _of_no_tables, _a_folder, _a_link_to_nowhere, _halved)


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_is_not_a_new_one(
    ledger: Ledger, tmp_path: Path, damage: Callable[[Path], None], noted: bool
) -> None:
    ledger.charge(spending())
    path = tmp_path / "state" / "ledger.db"
    damage(path)
    if not noted:
        path.with_suffix(".begun").unlink()
    before = _everything_in(path.parent)
    for use in (
        *(ledger.entries, ledger.verify, ledger.cap, ledger.totals),
        lambda: ledger.check([spending()]),
        lambda: ledger.charge(spending()),
        lambda: ledger.set_cap(3.0),
    ):
        with pytest.raises(LedgerError) as said:
            use()
        assert not isinstance(said.value, ChangedError)
        assert str(said.value).count(". ") == 0, "one sentence"
    assert _everything_in(path.parent) == before, "nothing is written"


def _everything_in(folder: Path) -> dict[str, bytes]:
    return {
        file.name: file.read_bytes() if file.is_file() else b""
        for file in folder.iterdir()
        if file.name != ".lock"
    }


def test_a_ledger_cut_off_anywhere_is_refused_or_says_what_it_said(
    ledger: Ledger, tmp_path: Path
) -> None:
    for _ in range(3):
        ledger.charge(spending())
    path = tmp_path / "state" / "ledger.db"
    whole, before = path.read_bytes(), ledger.entries()
    refused = 0
    for length in (0, 1, 15, 50, 99, 100, 511, 512, *range(1024, len(whole), 2048)):
        path.write_bytes(whole[:length])
        try:
            assert ledger.entries() == before
        except LedgerError:
            refused += 1
    assert refused >= 8


def test_a_ledger_that_is_gone_is_not_an_empty_one(ledger: Ledger, tmp_path: Path) -> None:
    ledger.charge(spending())
    (tmp_path / "state" / "ledger.db").unlink()
    for use in (ledger.entries, ledger.verify, ledger.cap, lambda: ledger.charge(spending())):
        with pytest.raises(LedgerError, match="the ledger is gone"):
            use()


def test_a_damaged_file_is_said_in_one_sentence(ledger: Ledger, tmp_path: Path) -> None:
    ledger.charge(spending())
    (tmp_path / "state" / "ledger.db").write_bytes(b"no database at all" * 100)
    for use in (ledger.entries, ledger.verify, ledger.cap, lambda: ledger.set_cap(3.0)):
        with pytest.raises(LedgerError, match="cannot be used"):
            use()


@pytest.mark.parametrize("text", ['"words"', "7", "null", "{}", "[]"])
def test_an_entry_that_makes_no_sense_is_said_in_one_sentence(
    ledger: Ledger, tmp_path: Path, text: str
) -> None:
    ledger.charge(spending())
    with sqlite3.connect(tmp_path / "state" / "ledger.db") as file:
        file.execute("INSERT INTO entries VALUES (2, ?, '')", (text,))
    for use in (ledger.entries, ledger.cap, lambda: ledger.charge(spending())):
        with pytest.raises(LedgerError, match="cannot be used"):
            use()
    with pytest.raises(LedgerError, match="entry 2 was changed, removed or put in"):
        ledger.verify()


def test_seeded_noise_on_patients_counts_as_no_privacy(ledger: Ledger) -> None:
    seeded = replace(FIT, seeded=True)
    ledger.charge(spending(seeded, private=False))
    assert ledger.totals() == []
    ledger.charge(spending(seeded))
    assert [total.epsilon for total in ledger.totals()] == [math.inf]
    ledger.set_cap(100.0)
    with pytest.raises(OverCapError, match="--noise system"):
        ledger.charge(spending(seeded, patients=("p9",)))


def test_one_changed_byte_is_found(ledger: Ledger, tmp_path: Path) -> None:
    for _ in range(4):
        ledger.charge(spending())
    path = tmp_path / "state" / "ledger.db"
    whole, before = path.read_bytes(), ledger.entries()
    text = whole.index(b'{"generator"')
    places = [*range(text, text + 400, 7), *random.Random(0).sample(range(len(whole)), 200)]
    found = 0
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 0x01
        path.write_bytes(changed)
        try:
            ledger.verify()
        except LedgerError:
            found += 1
        else:
            assert ledger.entries() == before, f"byte {place} changed what the ledger says"
            assert place not in range(text, text + 400)
    assert found >= 50
    path.write_bytes(whole)
    assert ledger.verify() == 4


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM entries WHERE number = 4",
        "DELETE FROM entries WHERE number = 2",
        "UPDATE entries SET entry = replace(entry, '4.0', '9.0') WHERE number = 3",
        "DELETE FROM spending WHERE number = 1",
        "UPDATE spending SET patient = 'p7' WHERE patient = 'p1'",
        "DELETE FROM head",
        "DELETE FROM entries WHERE number = 4; DELETE FROM spending WHERE number = 4;"
        "UPDATE head SET number = 3, hash = (SELECT hash FROM entries WHERE number = 3)",
    ],
)
def test_what_is_changed_removed_or_put_in_by_hand_is_found(
    damage: str, ledger: Ledger, tmp_path: Path
) -> None:
    for _ in range(4):
        ledger.charge(spending())
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as by_hand:
        if "entries" in damage:
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                by_hand.executescript(damage)
        by_hand.executescript(f"DROP TRIGGER no_change; DROP TRIGGER no_removal; {damage}")
        by_hand.commit()
    with pytest.raises(LedgerError, match=r"changed|removed"):
        ledger.verify()


def test_another_secret_cannot_forge_the_chain(ledger: Ledger, tmp_path: Path) -> None:
    ledger.charge(spending())
    with pytest.raises(LedgerError, match="entry 1 was changed"):
        Ledger(tmp_path / "state" / "ledger.db", b"another").verify()


A, B = "1" * 32, "2" * 32
NAME, ALIAS = "a" * 32, "b" * 32


def seen(*digests: str) -> Identity:
    return Identity.of(*digests)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([seen(A, NAME)], seen(B, NAME)),
        ([seen(A, NAME)], seen(A, ALIAS)),
        ([A], seen(A, ALIAS)),
        ([A, seen(A, NAME)], seen(B, NAME)),
        ([seen(A, NAME), seen(B, NAME)], seen(B, ALIAS)),
    ],
    ids=["other voxels", "another id", "an old entry", "an old entry, renewed", "both in turn"],
)
def test_a_patient_pays_under_the_voxels_and_under_the_id(
    ledger: Ledger, before: list[str], now: str
) -> None:
    for one in before:
        ledger.charge(spending(patients=(one,)))
    ledger.set_cap(1.001 * total_epsilon([FIT] * len(before)))
    for act in (ledger.check, lambda many: ledger.charge(many[0])):
        with pytest.raises(OverCapError):
            act([spending(patients=(now,))])
    ledger.charge(spending(patients=(seen("3" * 32, "c" * 32),)))
    ledger.set_cap(math.inf)
    ledger.charge(spending(patients=(now,)))
    worst, other = ledger.totals()
    assert (worst.patients, other.patients) == (1, 1)
    assert worst.epsilon == total_epsilon([FIT] * (len(before) + 1))
    assert ledger.total_of(["0123456789ab"], unit="patient") == worst.epsilon
    assert ledger.verify() == len(before) + 4


def test_two_spendings_of_one_plan_join_a_patient_whom_each_names_otherwise(
    ledger: Ledger,
) -> None:
    ledger.set_cap(1.001 * total_epsilon([FIT]))
    ledger.check([spending(patients=(seen(A, NAME),)), spending(patients=(seen(B, ALIAS),))])
    with pytest.raises(OverCapError):
        ledger.check([spending(patients=(seen(A, NAME),)), spending(patients=(seen(B, NAME),))])


@pytest.mark.parametrize("unit", ["patient", "patch"])
def test_a_patient_who_was_two_of_a_fit_pays_for_two(ledger: Ledger, unit: str) -> None:
    fit = replace(FIT, unit=unit)
    ledger.charge(spending(fit, patients=(seen(A, NAME), seen(B, ALIAS), seen("3" * 32, "c"))))
    alone = ledger.totals()[0].epsilon
    ledger.charge(spending(BLIND, patients=(seen(A, ALIAS),)))
    twice, once = ledger.totals()
    assert (twice.patients, once.patients) == (1, 1)
    assert once.epsilon == alone
    twofold = patient_epsilon_of_patch_run(
        noise_multiplier=4.0,
        sampling_rate=0.1,
        steps=100,
        delta=DELTA,
        patches_per_patient=2 if unit == "patient" else 2 * fit.patches_per_patient,
    )
    assert twice.epsilon == pytest.approx(twofold, rel=0.01)
    assert twice.epsilon > math.sqrt(2) * once.epsilon, "composing the fit twice is too little"
    ledger.set_cap(0.99 * twice.epsilon)
    with pytest.raises(OverCapError):
        ledger.check([spending(BLIND, patients=(seen(A, "d"),))])


def test_phantoms_pay_for_no_patient(ledger: Ledger) -> None:
    ledger.charge(spending(NONE, private=False, patients=(seen(A, ""),)))
    ledger.set_cap(10.0)
    ledger.charge(spending(patients=(seen(B, NAME),)))
    assert [total.patients for total in ledger.totals()] == [1]


def test_patients_whom_the_ledger_knows_by_their_ids_alone_are_counted(ledger: Ledger) -> None:
    ledger.charge(spending(patients=(seen(A, NAME),)))
    known = (seen(A, NAME), seen(A, ALIAS), seen(B, NAME), seen(B, ALIAS), A, B)
    assert ledger.known_by_id_alone(known) == 1


def every_kind_counts(ledger: Ledger) -> None:
    """The law: what a patient paid for counts everywhere, whatever it was for."""
    one = total_epsilon([FIT])
    for number, kind in enumerate(get_args(Kind), 1):
        patient = seen(f"{number:032x}", "")
        ledger.set_cap(math.inf)
        ledger.charge(spending(kind=kind, run=kind, patients=(patient,)))
        paid = [total.epsilon for total in ledger.totals()]
        assert paid == [one] * number, f"totals: {kind}"
        assert ledger.total_of([kind], unit="patient") == one, f"total_of: {kind}"
        ledger.set_cap(1.001 * one)
        for act in (ledger.check, lambda many: ledger.charge(many[0])):
            assert refuses(act, spending(patients=(patient,))), f"cap: {kind}"


def refuses(act: Callable[[list[Spending]], object], asked: Spending) -> bool:
    try:
        act([asked])
    except OverCapError:
        return True
    return False


def test_every_kind_of_entry_counts_in_every_total_and_under_the_cap(ledger: Ledger) -> None:
    assert set(get_args(Kind)) == {"fit", "statistics", "tuning", "selection"}
    every_kind_counts(ledger)


@pytest.mark.parametrize("forgotten", get_args(Kind))
@pytest.mark.parametrize("where", ["totals", "total_of", "cap"])
def test_a_ledger_that_forgets_a_kind_of_entry_breaks_that_law(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, where: str, forgotten: str
) -> None:
    if where == "cap":
        entries, numbers_of = Pages.entries, Pages.numbers_of

        def remembered(pages: Pages, patient: str) -> list[int]:
            kinds = {entry.number: entry.said["kind"] for entry in entries(pages)}
            return [n for n in numbers_of(pages, patient) if kinds[n] != forgotten]

        monkeypatch.setattr(Pages, "numbers_of", remembered)
    else:
        right, all_entries = getattr(Ledger, where), Ledger.entries

        def wrong(self: Ledger, *given: object, **named: object) -> object:
            kept = [e for e in all_entries(self) if e.said["kind"] != forgotten]
            with monkeypatch.context() as patch:
                patch.setattr(Ledger, "entries", lambda _: kept)
                return right(self, *given, **named)

        monkeypatch.setattr(Ledger, where, wrong)
    with pytest.raises(AssertionError, match=f"{where}: {forgotten}"):
        every_kind_counts(ledger)
