"""Published results: one self-contained JSON file for each cell, checked before it is believed.

A file may come from a stranger, so it must fit ``schema.json``, which allows no free text and no
path. ``verification`` checks whether what it claims adds up.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.core.addresses import folder_name
from benchmark.core.errors import DataError
from benchmark.core.files import plain, write_json
from benchmark.core.parsers import json_in
from benchmark.results.disclosure import coarse
from benchmark.results.result import OF_MAIN, Result, carried_over
from benchmark.results.spec import RunSpec
from leaderboard.pictures import check_png
from leaderboard.schema import FORMAT, check, schema

BEFORE = 1
"""The earlier format, with distances beside the test sets and exact durations."""

LARGEST = 2_000_000
"""The largest file in bytes that is read; the suite's own have about 60,000."""

SIDE = 4096


class Verdict(NamedTuple):
    """The result of checking a published file.

    Attributes:
        faults: What does not add up.
        unchecked: What could not be recomputed.
    """

    faults: Sequence[str]
    unchecked: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published cell.

    Attributes:
        spec: The cell's spec.
        result: Its result, without patients' scores if the data are not phantoms.
        curves: The training curves, thinned.
        pictures: PNG files.
    """

    spec: RunSpec
    result: Result
    curves: Mapping[str, Sequence[tuple[int, float]]]
    pictures: Mapping[str, bytes]

    def write(self, folder: Path) -> Path:
        """Write ``<generator>-<key>.json`` in a folder.

        Returns:
            The file.

        Raises:
            DataError: If a reader would refuse it; the message says what is wrong.
        """
        file = folder / f"{folder_name(self.spec.generator.name)}-{self.spec.key}.json"
        pictures = {name: base64.b64encode(png).decode() for name, png in self.pictures.items()}
        said = plain(
            {
                "format": FORMAT,
                "result": self.result.as_dict(),
                "curves": self.curves,
                "pictures": pictures,
            }
        )
        try:
            _check(said)
        except ValueError as error:
            raise DataError(
                f"{file.stem} cannot be published ({error}); rename what breaks the form."
            ) from error
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, said)
        return file

    @classmethod
    def read(cls, file: Path) -> Published:
        """Read a file that ``write`` wrote.

        Raises:
            DataError: If it does not fit the schema; the message says what is wrong.
        """
        try:
            said = _as_now(json_in(file, most=LARGEST))
            _check(said)
            pictures = {n: _picture(n, text) for n, text in said["pictures"].items()}
            result = Result.read(said["result"])
            if plain(result.spec.as_dict()) != said["result"]["spec"]:
                raise ValueError("its spec is not written as the suite writes it")
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(
                f"{file}: this is no published result ({error}); remove it, or ask its author."
            ) from error
        curves = {n: [(s, v) for s, v in curve] for n, curve in said["curves"].items()}
        return cls(spec=result.spec, result=result, curves=curves, pictures=pictures)


def _as_now(said: Any) -> Any:
    """The file in the present format, if it is one of the last; what it claims is checked later."""
    try:
        if said["format"] != BEFORE:
            return said
        result = carried_over(said["result"])
        if result["private_data"] is True:
            result |= {"seconds": coarse(result["seconds"])}
            if "rounds" in result:
                result["rounds"] = {n: v for n, v in result["rounds"].items() if n != "seconds"}
            result.pop("peak_mib", None)
        return {**said, "format": FORMAT, "result": result}
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ValueError(f"it is not whole: {type(error).__name__}") from error


def _check(said: Any) -> None:
    """Refuses what breaks the schema, or tests other sets than its spec names."""
    check(said, _validator())
    named, tests = said["result"]["spec"]["test_data"], said["result"]["test_sets"]
    names = [tested["name"] for tested in tests]
    if len({*names}) < len(names) or not {*names} <= {*named}:
        raise ValueError("its test sets are not those of its spec")
    if any(name in said["result"].get("validation", {}) for name in OF_MAIN):
        raise ValueError("its distances are to validation patients")
    main = next(iter(named))
    for tested in tests:
        if any(name in tested for name in OF_MAIN) is not (tested["name"] == main):
            raise ValueError("its distances are not those to its main test set")


@cache
def _validator() -> Any:
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator(schema())


def _picture(name: str, text: str) -> bytes:
    """The PNG file, which is one, and none that grows beyond all measure."""
    png = base64.b64decode(text, validate=True)
    try:
        check_png(png, most=SIDE)
    except ValueError as error:
        raise ValueError(f"the picture {name} {error}") from error
    return png
