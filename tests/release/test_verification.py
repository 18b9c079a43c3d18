"""A release that holds is accepted: its dossier, its signature, and the commands."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import in_process
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made import INPUTS
from made import spec as cell
from releases import (
    Change,
    checked,
    edited,
    faults,
    plan_of,
    put,
    released,
    says,
    with_weights,
    write,
)

import angiobench
from benchmark.core.errors import UsageError
from benchmark.core.sums import SUMS
from benchmark.release.checks import remaking
from benchmark.release.schema import SCHEMA, schema
from benchmark.release.seals import PUBLIC_KEY, SIGNATURE, pem_of, sign
from benchmark.release.statement import (
    README,
    Statement,
)

pytestmark = pytest.mark.usefixtures("stand_ins")


def test_what_was_released_holds(folder: Path, honest: Statement) -> None:
    found = checked(folder)
    assert (found.faults, found.statement, found.signer) == ((), honest, None)
    assert any("number of patients (17)" in what for what in found.unchecked)
    assert any("only whoever has the patients" in what for what in found.unchecked)
    assert any("the generator's own draws" in what for what in found.unchecked)


def test_a_release_across_sites_holds(federated: Statement, tmp_path: Path) -> None:
    """Whoever has the run can write a consent, so the check says what it cannot know."""
    found = checked(write(tmp_path / "release", federated))
    assert not found.faults
    signed = sum(one.signer is not None for one in federated.sites)
    (told,) = [what for what in found.unchecked if "who wrote the consents" in what]
    assert f"of its {len(federated.sites)} sites: {len(federated.sites) - signed} are not" in told


def test_a_release_with_its_generator_holds(folder: Path, honest: Statement) -> None:
    with_weights(folder, honest)
    assert not says(faults(folder), "generator")


def test_weights_that_are_listed_are_there(folder: Path, honest: Statement) -> None:
    with_weights(folder, honest)
    shutil.rmtree(folder / "generator")
    assert says(faults(folder), "generator/settings.json is missing")


def test_a_release_that_says_that_it_is_not_private_holds(tmp_path: Path) -> None:
    asked = {"generators": ("dp-simulator",), "epsilons": (2.0,), "unit": "patient"}
    spec = cell(**asked, noise="seeded")
    gone = dict.fromkeys(("audit", "nearest_real", "replay", "ledger"))
    said = released(
        spec=spec,
        guarantee=replace(plan_of(spec, 16), seeded=True),
        claim="not private",
        reasons=["The noise was seeded."],
        phantoms=True,
        **gone,
    )
    found = checked(write(tmp_path / "release", said), phantoms=lambda version: INPUTS)
    assert found.faults == ()
    assert any("NOT PRIVATE" in line for line in found.lines())


def test_a_dossier_that_cannot_be_made_is_a_fault(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(said: Statement, sheet: bytes) -> Any:
        raise OverflowError

    monkeypatch.setattr(remaking, "remade", fails)
    assert faults(folder) == ["its statement gives no dossier or description (OverflowError)"]


def test_a_signature_tells_its_key_and_whether_the_receiver_named_it(
    folder: Path, key: Path, tmp_path: Path
) -> None:
    said = sign(folder, key)
    found = checked(folder)
    assert found.holds
    assert (found.signer.fingerprint, found.signer.given) == (said, False)
    assert any(said in line and "only if you compared" in line for line in found.lines())
    mine = tmp_path / "owner.pem"
    shutil.copy(folder / PUBLIC_KEY, mine)
    assert checked(folder, key=mine).signer.given


OF_SIGNATURES: dict[str, tuple[Change, str]] = {
    "changed": (lambda f: put(f, SIGNATURE, bytes(64)), "its signature is not that of its SHA"),
    "short": (lambda f: put(f, SIGNATURE, b""), "its signature is not that of its SHA"),
    "other sums": (
        lambda f: [put(f, "README.md", b"x"), put(f, SUMS, b"# x\n")],
        "its signature is not that of its SHA256SUMS",
    ),
    "no key": (lambda f: (f / PUBLIC_KEY).unlink(), "without the rest of a signature"),
    "no signature": (lambda f: (f / SIGNATURE).unlink(), "without the rest of a signature"),
    "nonsense": (lambda f: put(f, PUBLIC_KEY, b"x"), "is no public Ed25519 key"),
    "another form": (edited(PUBLIC_KEY), "SHA256SUMS.pub is not written as the suite writes it"),
}


@pytest.mark.parametrize("damage", OF_SIGNATURES)
def test_no_signature_but_a_whole_one_holds(folder: Path, key: Path, damage: str) -> None:
    sign(folder, key)
    change, words = OF_SIGNATURES[damage]
    change(folder)
    found = checked(folder)
    assert says(list(found.faults), words), found.faults
    assert found.signer is None


def test_who_expects_a_key_accepts_no_other_and_no_unsigned_release(
    folder: Path, key: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(pem_of(Ed25519PrivateKey.generate().public_key()))
    assert faults(folder, key=other) == ["it is not signed, and you expect a signature"]
    sign(folder, key)
    assert says(faults(folder, key=other), "it is signed by another key")
    with pytest.raises(UsageError, match="no public Ed25519 key"):
        checked(folder, key=key)


def test_the_command_says_what_holds_and_its_exit_code_too(folder: Path, tmp_path: Path) -> None:
    done = in_process("verify-release", str(folder), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "It promises: ε = 1.999 for one patient, at δ = 1e-05." in done.stdout
    assert "The release holds: 23 files" in done.stdout
    put(folder, README, b"x")
    done = in_process("verify-release", str(folder), cwd=tmp_path)
    assert done.returncode == 1
    assert "Fault: README.md is not the file that SHA256SUMS lists." in done.stdout
    for nothing in (tmp_path / "nowhere", tmp_path):
        done = in_process("verify-release", str(nothing), cwd=tmp_path)
        assert done.returncode == 2
        assert "there is no release" in done.stderr


def test_the_front_door_checks_a_release_too(folder: Path) -> None:
    assert angiobench.verify_release(folder).holds
    assert not angiobench.verify_release(str(folder), key=None).faults


def test_of_many_faults_some_are_printed(folder: Path) -> None:
    for number in range(60):
        put(folder, f"{number}.exe", b"")
    lines = [*checked(folder).lines()]
    assert sum(line.startswith("Fault: ") for line in lines) == 50
    assert "And 10 faults more." in lines


def test_the_schema_for_readers_without_the_suite_is_that_of_the_types() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == schema()
