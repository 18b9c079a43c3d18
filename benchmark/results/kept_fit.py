"""A fit that cells share, as its folder keeps it: ``DIR/_fits/<fit key>/``.

``begun.json`` is written first and names the cell under whose key the fit runs. ``fit.json`` is
written last, and seals all other files by their digests. So a valid ``fit.json`` means that the fit
is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ValidationError

from benchmark.core.errors import DataError
from benchmark.core.files import read_json, sync_file, sync_folder, write_json
from benchmark.core.forms import Key, Name, Number, Size, named
from benchmark.core.parsers import json_in
from benchmark.core.sums import sum_of
from benchmark.results.fit_key import fit_key
from benchmark.results.form import Form
from benchmark.results.result import Guaranteed, SiteResult
from benchmark.results.spec import RunSpec, first_fault, spec_from
from benchmark.results.store import CANARIES, CHARGE, CURVES, GENERATOR, SEAL, digest_of

FITS = "_fits"
"""The folder of all fits below a store's root. No plug-in's folder can have this name."""

BEGUN, FIT = "begun.json", "fit.json"
ROUNDS = "rounds"
FORMAT: Literal[1] = 1
SEALED = (BEGUN, CHARGE, CURVES, CANARIES, f"{ROUNDS}/*", f"{GENERATOR}/**/*")


class KeptFit(Form):
    """The record of a finished fit.

    Attributes:
        format: The version of this form.
        fit: The fit's key.
        run: The key of the cell that the fit was made for. The ledger's entries and seeded noise
            have it.
        guarantee: The guarantee of the fit; across sites, the worst.
        sites: The guarantee of each site of a federated fit.
        rounds: How many rounds a federated fit took, their bytes and seconds.
        seconds: By stage.
    """

    format: Literal[1]
    fit: Key
    run: Key
    guarantee: Guaranteed
    sites: tuple[SiteResult, ...] = ()
    rounds: Annotated[Mapping[Name, Number], named(20)] = {}
    seconds: Annotated[Mapping[Name, Size], named(20)]


def folder_of_fit(root: Path, spec: RunSpec) -> Path:
    """Return the folder of a cell's fit, which may not exist yet.

    Args:
        root: The store's root.
        spec: The cell.
    """
    return root / FITS / fit_key(spec)


def begun_for(folder: Path) -> RunSpec | None:
    """Return the cell that a fit was begun for; ``None`` if nothing usable says so.

    Args:
        folder: The fit's folder.
    """
    try:
        found = spec_from(read_json(folder / BEGUN))
    except ValueError:
        return None
    return found if fit_key(found) == folder.name else None


def read_fit(folder: Path) -> KeptFit | None:
    """Read a finished fit, and check every file of it.

    Args:
        folder: The fit's folder.

    Returns:
        The record; ``None`` if the fit is not done.

    Raises:
        DataError: If the record or a file is not what the fit wrote.
    """
    try:
        said = json_in(folder / FIT)
        seal = said.pop(SEAL)
        if seal["fit"] != digest_of(said):
            raise ValueError("the record was changed after it was written")
        for name, expected in seal["files"].items():
            if not (folder / name).is_file() or sum_of(folder / name) != expected:
                raise ValueError(f"{name} is gone, or was changed after it was written")
        kept = KeptFit.model_validate(said)
        if kept.fit != folder.name:
            raise ValueError(f"it is the fit {kept.fit}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        why = first_fault(error) if isinstance(error, ValidationError) else error
        raise DataError(
            f"{folder}: this is not the fit that the suite kept ({why}); put it back from a copy, "
            "or remove the folder to fit again, which costs its patients again."
        ) from error
    return kept


def write_fit(folder: Path, kept: KeptFit) -> None:
    """Write the record of a fit, sealed with its files; from then on the fit is done.

    All files are durable before: what a fit goes on from is removed afterwards.
    """
    said = kept.as_dict()
    files = {}
    for file in _sealed(folder):
        sync_file(file)
        files[str(file.relative_to(folder))] = sum_of(file)
    for place in {file.parent for file in _sealed(folder)}:
        sync_folder(place)
    write_json(folder / FIT, {**said, SEAL: {"fit": digest_of(said), "files": files}})


def _sealed(folder: Path) -> Iterator[Path]:
    for name in SEALED:
        yield from sorted(file for file in folder.glob(name) if file.is_file())
