"""A release that holds is accepted, and one that breaks any single law is refused."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import in_process
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from made import INPUTS
from made import spec as cell
from releases import (
    across_sites,
    changed,
    made_by_stand_ins,
    plan_of,
    png_of,
    put,
    released,
    spec_of,
    text_of,
    volume_of,
    with_weights,
    write,
)

import angiobench
from benchmark.core.errors import UsageError
from benchmark.core.sums import SUMS
from benchmark.release.checks import files, remaking
from benchmark.release.schema import SCHEMA, schema
from benchmark.release.seals import PUBLIC_KEY, SIGNATURE, pem_of, seal, sign
from benchmark.release.statement import (
    CROISSANT,
    DOSSIER,
    DOSSIER_PDF,
    LICENCE,
    README,
    SHEET,
    STATEMENT,
    Statement,
)
from benchmark.release.verdict import Verdict
from benchmark.release.verification import verify_release
from benchmark.results.spec import TunedBy

IMAGE, MASK = "imagesTr/synthetic-0001_0000.nii.gz", "labelsTr/synthetic-0001.nii.gz"
COPY = "sub-0001/anat/sub-0001_desc-synthetic_angio.nii.gz"
Change = Callable[[Path], object]
Said = dict[str, Any]


@pytest.fixture(autouse=True)
def _dossier(monkeypatch: pytest.MonkeyPatch) -> None:
    made_by_stand_ins(monkeypatch)


@pytest.fixture(scope="module")
def honest() -> Statement:
    return released()


@pytest.fixture(scope="module")
def federated(cache: Path) -> Statement:
    return across_sites(cache)


@pytest.fixture
def folder(honest: Statement, tmp_path: Path) -> Path:
    return write(tmp_path / "release", honest)


def no_phantoms(version: int) -> Any:
    raise AssertionError("Nobody needs phantoms for a release of patients.")


def checked(folder: Path, **more: Any) -> Verdict:
    return verify_release(folder, **{"phantoms": no_phantoms, **more})


def faults(folder: Path, said: Statement | None = None, **more: Any) -> list[str]:
    """What is found in a folder, or in the release of a statement."""
    if said is not None:
        write(folder, said)
    return list(checked(folder, **more).faults)


def says(found: list[str], words: str) -> bool:
    return any(words in fault for fault in found)


def test_what_was_released_holds(folder: Path, honest: Statement) -> None:
    found = checked(folder)
    assert (found.faults, found.statement, found.signer) == ((), honest, None)
    assert any("number of patients (17)" in what for what in found.unchecked)
    assert any("only whoever has the patients" in what for what in found.unchecked)


def test_a_release_across_sites_holds(federated: Statement, tmp_path: Path) -> None:
    assert faults(tmp_path / "release", federated) == []


def test_a_release_with_its_generator_holds(folder: Path, honest: Statement) -> None:
    with_weights(folder, honest)
    assert not says(faults(folder), "generator")


def test_weights_that_are_listed_are_there(folder: Path, honest: Statement) -> None:
    with_weights(folder, honest)
    shutil.rmtree(folder / "generator")
    assert says(faults(folder), "generator/settings.json is missing")


def not_private(said: Said) -> None:
    said.update(claim="not private", reasons=["the noise was seeded"])


def test_a_release_that_says_that_it_is_not_private_holds(tmp_path: Path) -> None:
    spec = spec_of(noise="seeded")
    said = released(
        spec=spec,
        guarantee=replace(plan_of(spec), seeded=True),
        claim="not private",
        reasons=["The noise was seeded."],
        audit=None,
        replay=None,
    )
    found = checked(write(tmp_path / "release", said))
    assert found.faults == ()
    assert any("NOT PRIVATE" in line for line in found.lines())


# --- Files ---------------------------------------------------------------------------------------


def edited(name: str) -> Change:
    def change(folder: Path) -> None:
        put(folder, name, (folder / name).read_bytes() + b" ")

    return change


def link(folder: Path) -> None:
    (folder / README).unlink()
    (folder / README).symlink_to("/etc/passwd")


def listed(line: str) -> Change:
    def change(folder: Path) -> None:
        with (folder / SUMS).open("a") as sums:
            sums.write(line + "\n")

    return change


OF_FILES: dict[str, tuple[Change, str]] = {
    "changed": (edited(README), "README.md is not the file that SHA256SUMS lists"),
    "changed volume": (edited(COPY), f"{COPY} is not the file"),
    "missing": (lambda f: (f / LICENCE).unlink(), "LICENCE.txt is missing"),
    "more": (lambda f: put(f, "generator/more.json", b"{}"), "more.json is not listed in SHA256"),
    "foreign": (lambda f: put(f, "run.exe", b""), "'run.exe' is no file that a release has"),
    "hidden": (lambda f: put(f, "imagesTr/.x", b""), "'imagesTr/.x' is no file that a release"),
    "deep": (lambda f: put(f, "a/b/c/d/e/f", b""), "is no regular file"),
    "empty folder": (lambda f: (f / "data").mkdir(), "'data' is an empty folder"),
    "link": (link, "'README.md' is a link"),
    "linked folder": (lambda f: (f / "consents").symlink_to("/"), "'consents' is a link"),
    "pipe": (lambda f: os.mkfifo(f / "croissant.txt"), "is no regular file"),
    "terminal": (lambda f: put(f, "\x1b[2J", b""), r"'\x1b[2J' is no file"),
    "no text": (lambda f: put(f, os.fsdecode(b"\xff"), b""), r"'\udcff' is no file"),
    "outside": (listed(f"{'a' * 64}  ../x"), "lists '../x', which no release has"),
    "absolute": (listed(f"{'a' * 64}  /etc/passwd"), "lists '/etc/passwd', which no release"),
    "twice": (listed(f"{'a' * 64}  README.md"), "names a file again"),
    "no line": (listed("hello"), "is no checksum"),
    "another comment": (listed("# hello"), "is not written as the suite writes it"),
    "no sums": (lambda f: (f / SUMS).unlink(), "it has no SHA256SUMS"),
}


@pytest.mark.parametrize("damage", OF_FILES)
def test_no_file_is_changed_missing_foreign_or_more(folder: Path, damage: str) -> None:
    change, words = OF_FILES[damage]
    change(folder)
    found = faults(folder)
    assert says(found, words), found


def test_a_file_has_a_largest_size(folder: Path) -> None:
    with (folder / STATEMENT).open("r+b") as file:
        file.truncate(1 << 40)  # sparse: it takes no place on the disk
    assert says(faults(folder), "and may have 16,777,216")


def test_a_folder_with_more_entries_than_a_release_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_ENTRIES", 10)
    with pytest.raises(Exception, match="that is no release"):
        checked(folder)


# --- Contents: resealed, so that the checksums hold ----------------------------------------------


def resealed(change: Change) -> Change:
    def both(folder: Path) -> None:
        change(folder)
        seal(folder, private=True)

    return both


def stack(dtype: str, shape: tuple[int, ...] = (32, 32, 4), value: int = 1) -> Any:
    return np.full(shape, value, dtype)


def volume(name: str, content: Any, **more: Any) -> Change:
    return lambda folder: put(folder, name, volume_of(content, released(), **more))


def packed(name: str, change: Callable[[bytearray], object]) -> Change:
    """A volume with other bytes inside."""

    def made(folder: Path) -> None:
        content = bytearray(gzip.decompress((folder / name).read_bytes()))
        change(content)
        put(folder, name, gzip.compress(content, mtime=0))

    return made


def at(place: int, value: bytes) -> Callable[[bytearray], object]:
    def change(content: bytearray) -> None:
        content[place : place + len(value)] = value

    return change


def bomb(folder: Path) -> None:
    start = gzip.decompress((folder / MASK).read_bytes())
    put(folder, MASK, gzip.compress(start + bytes(1 << 28)))


SAME_BYTES = f"{COPY} has other bytes than {IMAGE}"
OF_CONTENTS: dict[str, tuple[Change, str]] = {
    "shape": (volume(IMAGE, stack("uint16", (32, 32, 5))), "has the shape (32, 32, 5)"),
    "size": (volume(IMAGE, stack("uint16", (16, 16, 4))), "has the shape (16, 16, 4)"),
    "type": (volume(IMAGE, stack("int16")), "is no plain NIfTI-1 file of uint16"),
    "mask's type": (volume(MASK, stack("int16")), "is no plain NIfTI-1 file of uint8"),
    "13 bits": (volume(IMAGE, stack("uint16", value=4096)), "has values above 4095"),
    "two labels": (volume(MASK, stack("uint8", value=2)), "has values above 1"),
    "spacing": (volume(IMAGE, stack("uint16"), mm=2.0), "has not pixels of 0.8 mm"),
    "words": (volume(MASK, stack("uint8"), descrip="me"), "does not bear the words 'SYNTHETIC"),
    "scaled": (packed(IMAGE, at(112, np.float32(2).tobytes())), "scales its values"),
    "extension": (packed(IMAGE, at(348, b"\x01")), "is no plain NIfTI-1 file"),
    "offset": (packed(IMAGE, at(108, np.float32(368).tobytes())), "is no plain NIfTI-1 file"),
    "huge": (packed(IMAGE, at(42, b"\xff\x7f" * 3)), "has the shape (32767, 32767, 32767)"),
    "truncated": (packed(IMAGE, lambda c: c.pop()), "ends before its last voxel"),
    "no header": (packed(IMAGE, lambda c: c.__delitem__(slice(100, None))), "is too short"),
    "longer": (packed(IMAGE, lambda c: c.append(0)), "holds more than its voxels"),
    "no gzip": (lambda f: put(f, IMAGE, bytes(999)), "is damaged, or no gzip file"),
    "bomb": (bomb, "holds more than its voxels"),
    "another copy": (volume(COPY, stack("uint16")), SAME_BYTES),
    "no copy": (lambda f: (f / COPY).unlink(), f"{COPY} is missing"),
    "another volume": (
        lambda f: shutil.copy(f / IMAGE, f / "imagesTr/synthetic-0003_0000.nii.gz"),
        "synthetic-0003_0000.nii.gz is no file of this release",
    ),
    "consent of nobody": (
        lambda f: put(f, "consents/site.json", b"{}"),
        "consents/site.json is no file of this release",
    ),
    "no picture": (lambda f: put(f, SHEET, b"GIF89a"), "contact-sheet.png is no PNG file"),
    "large picture": (
        lambda f: put(f, SHEET, png_of("x", (30_000, 1))),
        "contact-sheet.png is larger than",
    ),
    "picture's words": (
        lambda f: put(f, SHEET, png_of("sub-17")),
        "contact-sheet.png does not bear the words",
    ),
    "behind the picture": (
        lambda f: put(f, SHEET, (f / SHEET).read_bytes() + b"more of it"),
        "contact-sheet.png holds more than pixels",
    ),
    "json": (lambda f: put(f, CROISSANT, b"{"), "croissant.json cannot be read"),
    "deep json": (lambda f: put(f, CROISSANT, b"[" * 10**5), "nested too deeply"),
    "list": (lambda f: put(f, CROISSANT, b"[]"), "croissant.json is no JSON object"),
    "numTraining": (
        lambda f: put(f, "dataset.json", b'{"numTraining": 3}'),
        "dataset.json is of another number of volumes",
    ),
    "weights": (
        lambda f: put(f, "generator/settings.json", b"[]"),
        "its generator is not the one that its statement names",
    ),
    "statement": (lambda f: put(f, STATEMENT, b"{}"), "privacy.json is no statement"),
    "deep statement": (lambda f: put(f, STATEMENT, b"[" * 10**5), "nested too deeply"),
    "dossier": (lambda f: put(f, DOSSIER, b"<p>eps = 0.1</p>"), "dossier.html is not what the"),
    "readme": (lambda f: put(f, README, b"Private."), "README.md is not what the statement gives"),
    "croissant": (lambda f: put(f, CROISSANT, b"{}"), "croissant.json is not what the statement"),
    "pdf": (lambda f: put(f, DOSSIER_PDF, b"%PDF"), "dossier.pdf is not what the statement"),
    "sheet": (
        lambda f: put(f, SHEET, png_of("SYNTHETIC eps=1.999 delta=1e-05 unit=patient", (99, 9))),
        "dossier.html is not what the statement gives",
    ),
}


@pytest.mark.parametrize("damage", OF_CONTENTS)
def test_what_is_sealed_anew_must_still_be_what_the_statement_says(
    folder: Path, damage: str
) -> None:
    change, words = OF_CONTENTS[damage]
    resealed(change)(folder)
    found = faults(folder)
    assert says(found, words), found


def test_a_large_volume_takes_no_more_memory_than_a_piece(tmp_path: Path) -> None:
    import tracemalloc

    from benchmark.release.checks.volumes import Due, fault_of

    due = Due(shape=(512, 512, 400), dtype="uint8", most=1, mm=1.0, stamp="x")
    content = volume_of(np.zeros(due.shape, np.uint8), released(), descrip="x", mm=1.0)
    put(tmp_path, "mask.nii.gz", content)
    tracemalloc.start()
    assert fault_of(tmp_path / "mask.nii.gz", due) == ""
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert due.bytes >= 100 << 20
    assert most < 16 << 20


@pytest.mark.parametrize("name", [README, LICENCE, DOSSIER, CROISSANT, "dataset.json", SUMS])
def test_every_file_of_a_release_that_is_not_private_says_so(
    honest: Statement, tmp_path: Path, name: str
) -> None:
    said = changed(honest, not_private)
    folder = write(tmp_path / "release", said)
    seal(folder, private=False)
    assert not says(faults(folder), "NOT PRIVATE")
    text = (folder / name).read_bytes()
    put(folder, name, text.replace(b"NOT PRIVATE", b"PRIVATE"))
    if name != SUMS:
        seal(folder, private=False)
    words = "not written as the suite writes it" if name == SUMS else f"{name} does not say"
    assert says(faults(folder), words)


# --- What is promised: everything else in the folder fits the changed statement -------------------


def of(*way: str, **said: Any) -> Callable[[Said], None]:
    def change(content: Said) -> None:
        for step in way:
            content = content[step]
        content.update(said)

    return change


def without(name: str) -> Callable[[Said], None]:
    return lambda content: content.update({name: None})


PROMISES: dict[str, tuple[Callable[[Said], object], str]] = {
    "run": (of(run="0" * 12), "its run is 000000000000, and its spec's key is"),
    "ε": (
        lambda c: [
            c["guarantee"].update(epsilon=1.0, epsilon_patient=1.0),
            c["audit"].update(claim=2.0),
        ],
        "epsilon is 1.0, and its mechanism's",
    ),
    "ε of a patch": (of("guarantee", epsilon_patch=0.1), "epsilon_patch is 0.1"),
    "σ": (of("guarantee", noise_multiplier=1.0), "its mechanism's numbers give"),
    "σ and steps": (of("guarantee", clip_norm=1.0, sensitivity=1.0), "is not the one that its se"),
    "relation": (of("guarantee", relation="add-one"), "is for other neighbours than zero-out"),
    "δ": (of("guarantee", delta=1e-6), "is for another unit or δ than the spec"),
    "patches": (of("guarantee", patches_per_patient=5), "is for 5 patches, the spec for 1000"),
    "seeded": (of("guarantee", seeded=True), "its noise was seeded"),
    "infinite": (of("guarantee", epsilon="inf"), "its ε is infinite"),
    "no audit": (without("audit"), "nobody attacked it"),
    "refuted": (of("audit", refuted=True), "its own audit refutes it"),
    "proven": (of("audit", proven=50.0), "its own audit refutes it"),
    "another attack": (of("audit", claim=99.0), "its audit attacks ε = 99"),
    "not searched": (without("nearest_real"), "free of copies of patients"),
    "copies": (of("nearest_real", passed=False), "free of copies of patients"),
    "few patches": (of("nearest_real", samples=6), "did not compare all patches"),
    "few patients": (of("nearest_real", fitted=16), "did not compare all patches"),
    "no replay": (without("replay"), "not shown to keep the laws by replay"),
    "broken replay": (of("replay", held=False), "not shown to keep the laws by replay"),
    "no laws": (of("replay", laws=[]), "not shown to keep the laws by replay"),
    "no ledger": (without("ledger"), "no ledger was charged"),
    "no entries": (of("ledger", entries=[]), "no ledger was charged"),
    "refunded": (of("ledger", before=3.0, after=2.0), "less after the fit than before"),
    "volumes": (of("samples", volumes=3), "are not in 3 volumes"),
    "patches in volumes": (of("samples", n=8), "has the shape (32, 32, 3), and not (32, 32, 4)"),
    "patch size": (of("samples", size=16), "have not the size or the spacing"),
    "spacing": (of("samples", spacing_mm=0.5), "have not the size or the spacing"),
    "huge patches": (
        lambda c: [c["samples"].update(size=2048), c["spec"]["protocol"].update(patch_size=2048)],
        "it has volumes of more than 1024 pixels",
    ),
    "billions": (of("samples", n=10**7, per_volume=1, volumes=10**7), "10000000 volumes"),
    "without a field": (lambda c: c["spec"].pop("sites"), "not written as the suite writes it"),
    "free text": (of(mechanism="x" * 101), "at 'mechanism'"),
    "markup": (of("suite", version="<script>"), "at 'suite/version'"),
}


@pytest.mark.parametrize("lie", PROMISES)
def test_nothing_false_can_be_promised(folder: Path, honest: Statement, lie: str) -> None:
    change, words = PROMISES[lie]
    content = json.loads(json.dumps(honest.as_dict()))
    change(content)
    if content["samples"] == honest.as_dict()["samples"]:
        with_all_that_follows(folder, content)
    put(folder, STATEMENT, text_of(content))
    seal(folder, private=True)
    found = faults(folder)
    assert says(found, words), found


def with_all_that_follows(folder: Path, content: Said) -> None:
    """The volumes, pictures and dossier of a changed statement, if it is one."""
    with suppress(ValueError):
        write(folder, Statement.read(content))


def test_an_unlawful_delta_is_found_though_spec_and_mechanism_agree(tmp_path: Path) -> None:
    spec = replace(spec_of(), delta=1e-4)
    assert says(faults(tmp_path / "r", released(spec=spec)), "its δ is not lawful")


def test_seeded_noise_is_not_private_though_spec_and_guarantee_agree(tmp_path: Path) -> None:
    spec = spec_of(noise="seeded")
    said = released(spec=spec, guarantee=replace(plan_of(spec), seeded=True))
    assert faults(tmp_path / "r", said) == ["it claims to be private, and its noise was seeded"]


def test_no_privacy_is_not_private_though_everything_agrees(tmp_path: Path) -> None:
    spec = spec_of(epsilons=(float("inf"),))
    assert says(faults(tmp_path / "r", released(spec=spec)), "its ε is infinite")


@pytest.mark.parametrize(
    ("on", "selection"), [("private", "not accounted"), ("private", "free of private data")]
)
def test_settings_that_were_chosen_on_patients_are_not_private(
    tmp_path: Path, on: Any, selection: Any
) -> None:
    spec = replace(spec_of(), tuned=TunedBy(epsilon=2.0, study="s", on=on, selection=selection))
    assert says(faults(tmp_path / "r", released(spec=spec)), "chosen by looking at patients")
    free = TunedBy(epsilon=2.0, study="s", on="phantom", selection="free of private data")
    assert faults(tmp_path / "r", released(spec=replace(spec_of(), tuned=free))) == []


def test_more_patients_than_one_plans_for_are_found_by_the_plan(tmp_path: Path) -> None:
    """The noise of a fit with two releases is not that of one."""
    spec = spec_of()
    more = replace(plan_of(spec), steps=2)
    assert says(faults(tmp_path / "r", released(spec=spec, guarantee=more)), "numbers give")
    settings = {**spec.generator.settings, "clip_norm": 7.5}
    other = replace(spec, generator=replace(spec.generator, settings=settings))
    said = released(spec=other, guarantee=plan_of(spec))
    assert says(faults(tmp_path / "r", said), "is not the one that its settings give")


def test_of_another_version_the_plan_is_not_checked_and_the_epsilon_is(tmp_path: Path) -> None:
    spec = spec_of()
    later = replace(spec, generator=replace(spec.generator, version=99))
    said = released(spec=later, guarantee=plan_of(spec))
    found = checked(write(tmp_path / "r", said))
    assert found.faults == ()
    assert any(what.startswith("the plan, as dp-simulator is of") for what in found.unchecked)
    less = replace(plan_of(spec), noise_multiplier=1.0)
    assert says(faults(tmp_path / "r", released(spec=later, guarantee=less)), "numbers give")


def of_nobody(name: str) -> Statement:
    """A release that says that its generator reads no patient."""
    spec = spec_of(generators=("simulator",))
    plan = plan_of(spec)
    spec = replace(spec, generator=replace(spec.generator, name=name))
    gone = dict.fromkeys(("audit", "nearest_real", "replay", "ledger"))
    made = released(spec=spec, guarantee=plan)
    return changed(made, lambda content: content.update(gone))


def test_a_generator_that_reads_no_patient_needs_no_audit_if_it_is_known(tmp_path: Path) -> None:
    assert faults(tmp_path / "r", of_nobody("simulator")) == []
    assert says(faults(tmp_path / "r", of_nobody("my-simulator")), "is not installed")


def site(**said: Any) -> Callable[[Said], None]:
    return lambda content: content["sites"][0].update(said)


OF_SITES: dict[str, tuple[Callable[[Said], object], str]] = {
    "best site's": (
        lambda c: c.update(guarantee=c["sites"][-1]["guarantee"]),
        "is not that of the site with the largest ε",
    ),
    "site's ε": (
        lambda c: c["sites"][1]["guarantee"].update(epsilon=1.0),
        "epsilon at site-2 is 1.0",
    ),
    "site's patches": (
        lambda c: c["sites"][2]["guarantee"].update(patches_per_patient=5),
        "the guarantee at site-3 is for 5 patches",
    ),
    "another consent": (site(consent="0" * 64), "consents/site-1.json is not the consent"),
    "no site": (lambda c: c["sites"].pop(), "it has guarantees of 2 sites, and its spec has 3"),
    "twice": (lambda c: c["sites"].append(c["sites"][0]), "it names a site twice"),
    "renamed": (site(site="clinic"), "its sites are not those of its partition"),
}


@pytest.mark.parametrize("lie", OF_SITES)
def test_nothing_false_can_be_promised_of_a_site(
    federated: Statement, tmp_path: Path, lie: str
) -> None:
    change, words = OF_SITES[lie]
    said = changed(federated, change)
    found = faults(tmp_path / "release", said)
    assert says(found, words), found


def test_a_site_without_consent_is_found(federated: Statement, tmp_path: Path) -> None:
    folder = write(tmp_path / "release", federated)
    (folder / "consents" / "site-2.json").unlink()
    seal(folder, private=True)
    assert says(faults(folder), "consents/site-2.json is missing")


def test_of_phantoms_their_number_and_their_digest_are_known(tmp_path: Path) -> None:
    known = {"phantoms": lambda version: INPUTS}
    spec = cell(generators=("dp-simulator",), epsilons=(2.0,), unit="patient", noise="system")
    said = released(spec=spec, guarantee=plan_of(spec, 16), phantoms=True)
    assert faults(tmp_path / "r", said, **known) == []
    more = released(spec=spec, guarantee=plan_of(spec, 1600), phantoms=True)
    assert says(faults(tmp_path / "r", more, **known), "N is 1600, and there are 16 phantoms")
    own = released(spec=replace(spec, data="e" * 16), guarantee=plan_of(spec, 16), phantoms=True)
    assert says(faults(tmp_path / "r", own, **known), "and their digests are others")


def test_rules_that_no_run_can_have_are_a_fault(folder: Path, honest: Statement) -> None:
    for rules, words in (
        ({"edition": "1999-1"}, "privacy.json is no statement"),
        ({"spacing_mm": 0.05}, "Expected protocol.spacing_mm to be 0"),
    ):
        content = json.loads(text_of(honest.as_dict()))
        content["spec"]["protocol"].update(rules)
        put(folder, STATEMENT, text_of(content))
        assert says(faults(folder), words)


# --- The dossier, the signature and the commands --------------------------------------------------


def test_a_dossier_of_another_version_is_not_checked(honest: Statement, tmp_path: Path) -> None:
    said = changed(honest, of("suite", version="9.9.9"))
    folder = write(tmp_path / "r", said)
    put(folder, DOSSIER, b"another")
    seal(folder, private=True)
    found = checked(folder)
    assert found.faults == ()
    assert any(
        "the descriptions, as they are by another version (9.9.9)" in w for w in found.unchecked
    )


def test_a_dossier_that_cannot_be_made_is_a_fault(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(said: Statement, sheet: bytes) -> Any:
        raise OverflowError

    monkeypatch.setattr(remaking, "remade", fails)
    assert faults(folder) == ["its statement gives no dossier or description (OverflowError)"]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key.pem"
    pem = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    file.write_bytes(Ed25519PrivateKey.generate().private_bytes(*pem))
    return file


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
