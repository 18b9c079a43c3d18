"""A small release on the disk, as `bench release` would leave it, and ways to change one."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import spec as cell
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from statements import statement

from benchmark.core.budget import Guarantee, PublicNumbers
from benchmark.core.federation import worst
from benchmark.core.files import plain
from benchmark.core.patches import Patches
from benchmark.core.registry import generators
from benchmark.core.sums import sum_of_folder
from benchmark.release.checks import remaking
from benchmark.release.checks.layout import BIDS, IGNORED, NNUNET, SIDECARS, consent_name
from benchmark.release.consent import Consent, today
from benchmark.release.contents.volumes import WHITE, header_of, packer, unstored, write_data
from benchmark.release.seals import seal
from benchmark.release.statement import (
    CROISSANT,
    DOSSIER,
    DOSSIER_PDF,
    LICENCE,
    README,
    SHEET,
    STATEMENT,
    WEIGHTS,
    Statement,
)
from benchmark.release.stating import mechanism_of
from benchmark.release.verdict import Verdict
from benchmark.release.verification import verify_release
from benchmark.release.wording import pixel_mm, stamp
from benchmark.results.provenance import suite
from benchmark.results.spec import RunSpec
from benchmark.sweep.site_plans import plan_at_site, plan_together
from benchmark.sweep.sites import Federation

PATIENTS, PATCHES, PER_VOLUME, SIDE = 17, 7, 4, 32
ACROSS = {"site-1": 7, "site-2": 5, "site-3": 5}
PRIVATE_DATA = "f" * 16
Change = Callable[[Path], object]
Said = dict[str, Any]
IMAGE, MASK = "imagesTr/synthetic-0001_0000.nii.gz", "labelsTr/synthetic-0001.nii.gz"
COPY = "sub-0001/anat/sub-0001_desc-synthetic_angio.nii.gz"


def spec_of(**asked: Any) -> RunSpec:
    """A cell of dp-simulator on a hospital's data, protected by patient with the system's noise."""
    said = {"generators": ("dp-simulator",), "epsilons": (2.0,), "unit": "patient", **asked}
    made = cell(**{"noise": "system", **said})
    tests = {name: f"{number:016x}" for number, name in enumerate(made.test_data, 900)}
    return replace(made, data=PRIVATE_DATA, test_data=tests)


def plan_of(spec: RunSpec, patients: int = PATIENTS) -> Guarantee:
    """What the generator itself plans."""
    kind = generators.get(spec.generator.name)
    numbers = ("patches_per_patient", "patch_size")
    public = PublicNumbers(patients=patients, **{n: int(spec.protocol[n]) for n in numbers})
    made: Guarantee = kind(kind.Params(**spec.generator.settings)).plan(public, spec.budget)
    return made


def released(**changes: Any) -> Statement:
    """The statement of that cell's release."""
    spec = changes.pop("spec", None) or spec_of()
    guarantee = changes.pop("guarantee", None) or plan_of(spec)
    ours = statement().as_dict()
    said = {
        "run": spec.key,
        "spec": plain(spec.as_dict()),
        "guarantee": plain(guarantee.as_dict()),
        "audit": {
            **ours["audit"],
            "claim": plain(2 * guarantee.epsilon_patient),
            "further": [
                {**ours["audit"]["further"][0], "claim": plain(2 * guarantee.epsilon_patch)}
            ],
        },
        "nearest_real": {**ours["nearest_real"], "samples": PATCHES, "fitted": PATIENTS},
        "samples": {
            **ours["samples"],
            "n": PATCHES,
            "per_volume": PER_VOLUME,
            "volumes": 2,
            "spacing_mm": spec.protocol.get("spacing_mm", 0.0),
        },
        "mechanism": mechanism_of(guarantee),
        "utility": utility_of(ours["utility"], spec.generator.name, guarantee),
        "suite": suite(),
    }
    return Statement.read(plain({**ours, **said, **changes}))


def utility_of(rows: list[Said], name: str, guarantee: Guarantee) -> list[Said]:
    """The rows of a statement, the first of which is that of its own fit."""
    own, *others = rows
    own = {**own, "generator": name, "epsilon": plain(guarantee.epsilon), "is_released": True}
    return [own, *(row for row in others if row["generator"] != name)]


def across_sites(cache: Path) -> Statement:
    """The same across three sites, each with its consent."""
    spec = spec_of(federation=Federation(sites=3, partition="size-skew:7,5,5"))
    plans = {name: plan_at_site(spec, many, PATIENTS, cache) for name, many in ACROSS.items()}
    return consented(released(spec=spec, guarantee=worst([*plans.values()])), plans)


def across_secure_sums(cache: Path, curious: int = 1) -> Statement:
    """The same by secure sums: every site has the guarantee of the whole fit."""
    how = Federation(sites=3, partition="size-skew:7,5,5", curious=curious)
    spec = spec_of(federation=how)
    plan = plan_together(spec, PATIENTS, cache)
    return consented(released(spec=spec, guarantee=plan), dict.fromkeys(ACROSS, plan))


CONSENTS: dict[str, bytes] = {}
"""The sites' files of all statements that were made, by SHA-256."""


def consented(said: Statement, plans: Mapping[str, Guarantee]) -> Statement:
    """The statement with what its sites consent to."""
    content = json.loads(json.dumps(said.as_dict()))
    content["sites"] = [
        {"site": name, "guarantee": plain(plan.as_dict()), "consent": ""}
        for name, plan in plans.items()
    ]
    return Statement.read(with_consents(content, known=("",)))


def with_consents(content: Said, known: Collection[str]) -> Said:
    """A statement's content with a consent of each site to what stands there, as a forger has it.

    Args:
        content: The content.
        known: The digests of consents to replace.
    """
    for one in content.get("sites", ()):
        consent = {
            "format": 1,
            "run": content["run"],
            "site": one["site"],
            "guarantee": one["guarantee"],
            "generator": content["samples"]["generator"],
            "approved_by": "the data steward",
            "created": today(),
        }
        if one["consent"] in known:
            file = text_of(plain(Consent.model_validate(consent).as_dict()))
            one["consent"] = hashlib.sha256(file).hexdigest()
            CONSENTS[one["consent"]] = file
    return content


def changed(said: Statement, change: Callable[[dict[str, Any]], object]) -> Statement:
    """The statement with something else in its file, to which its sites consent."""
    content = json.loads(json.dumps(said.as_dict()))
    change(content)
    return Statement.read(with_consents(content, known={*CONSENTS}))


def stand_in(said: Statement, sheet: bytes) -> Mapping[str, bytes]:
    """A dossier and descriptions for tests of everything else."""
    words = f"{stamp(said)} {said.run} {len(sheet)}"
    description = {"numTraining": said.samples.volumes, "description": words}
    return {
        DOSSIER: f"<p>{words}</p>".encode(),
        DOSSIER_PDF: f"%PDF {words}".encode(),
        NNUNET: text_of(description),
        BIDS: text_of({"Name": words}),
        **dict.fromkeys(SIDECARS, text_of({"Description": words})),
        IGNORED: b"imagesTr/\n",
        README: words.encode(),
        LICENCE: f"CC-BY-4.0, {words}".encode(),
    }


def croissant_stand_in(said: Statement, folder: Path) -> dict[str, Any]:
    """Its metadata."""
    return {"description": stamp(said)}


def made_by_stand_ins(patch: pytest.MonkeyPatch) -> None:
    """Lets the check make again what ``write`` has written."""
    patch.setattr(remaking, "remade", stand_in)
    patch.setattr(remaking, "remade_croissant", croissant_stand_in)


def write(folder: Path, said: Statement) -> Path:
    """A whole release, sealed.

    Args:
        folder: It is made anew.
        said: Its statement.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_data(folder, patches_of(said), said)
    sheet, croissant = (folder / SHEET).read_bytes(), text_of(croissant_stand_in(said, folder))
    consents = {consent_name(one.site): CONSENTS.get(one.consent, b"{}") for one in said.sites}
    whole = {STATEMENT: text_of(said.as_dict()), CROISSANT: croissant, **consents}
    for name, content in {**whole, **stand_in(said, sheet)}.items():
        put(folder, name, content)
    seal(folder, private=said.is_private)
    return folder


def patches_of(said: Statement) -> Patches:
    """As many patches as a statement has."""
    rng, shape = np.random.default_rng(0), (said.samples.n, 1, said.samples.size, said.samples.size)
    images = rng.integers(0, WHITE + 1, shape)
    masks = rng.integers(0, 2, shape)
    return Patches(images=unstored(images.astype(np.uint16)), masks=masks.astype(np.uint8))


def with_weights(folder: Path, said: Statement) -> Statement:
    """Adds a generator's files to a release, and names them in its statement."""
    put(folder, f"{WEIGHTS}/settings.json", b"{}")
    digest = sum_of_folder(folder / WEIGHTS)
    named = changed(said, lambda content: content["samples"].update(generator=digest))
    put(folder, STATEMENT, text_of(named.as_dict()))
    seal(folder, private=named.is_private)
    return named


def put(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).unlink(missing_ok=True)  # the other name of the same file keeps its content
    (folder / name).write_bytes(content)


def text_of(said: Any) -> bytes:
    return json.dumps(plain(said), indent=1).encode()


def png_of(words: str, size: tuple[int, int] = (8, 8)) -> bytes:
    described, packed = PngInfo(), io.BytesIO()
    described.add_text("Description", words)
    Image.new("L", size).save(packed, "png", pnginfo=described)
    return packed.getvalue()


def volume_of(stack: Any, said: Statement, *, descrip: str | None = None, mm: float = 0) -> bytes:
    """A stack as a packed NIfTI file."""
    mm = mm or pixel_mm(said.samples)
    words = stamp(said) if descrip is None else descrip
    made = io.BytesIO()
    with packer(made) as file:
        file.write(header_of(stack.shape, stack.dtype.name, mm=mm, text=words))
        file.write(stack.tobytes(order="F"))
    return made.getvalue()


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


def edited(name: str) -> Change:
    def change(folder: Path) -> None:
        put(folder, name, (folder / name).read_bytes() + b" ")

    return change


def of(*way: str, **said: Any) -> Callable[[Said], None]:
    def change(content: Said) -> None:
        for step in way:
            content = content[step]
        content.update(said)

    return change
