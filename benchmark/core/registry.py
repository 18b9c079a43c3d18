"""The registry that finds plug-ins by name.

A name is a file name: ``dp-wgan`` is ``generators/dp_wgan.py`` with the class ``DpWgan``. So
listing imports no plug-in. Other distributions add theirs through entry points.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.core.directory import kept_directory
from benchmark.core.errors import PlugInError, UsageError
from benchmark.core.generator import Generator
from benchmark.core.names import unknown
from benchmark.core.segmenter import FreeSegmenter, PrivateSegmenter, Segmenter
from benchmark.core.source_text import first_sentence

ADDRESS = re.compile(r"https?://[!-~]{1,200}")
_NOT_PLUG_INS = {"__init__", "checks"}


class Origin(NamedTuple):
    """The distribution that a plug-in comes from.

    Attributes:
        distribution: Its name.
        version: Its version.
        address: The address of its project, from its metadata; empty if there is none.
    """

    distribution: str
    version: str
    address: str


@dataclass(frozen=True)
class Registry:
    """The plug-ins of one kind: those of the project's own package and those of entry points.

    Attributes:
        kind: What a plug-in is called in a message.
        package: The package whose modules are plug-ins.
        base: The contract that a plug-in's class fulfils.
    """

    kind: str
    package: str
    base: type

    def names(self) -> list[str]:
        """Return every name, sorted. No plug-in is imported."""
        return sorted(self._loaders())

    def get(self, name: str) -> Any:
        """Import a plug-in.

        Args:
            name: As ``bench list`` prints it.

        Returns:
            The plug-in's class, a subclass of ``base`` with all its class attributes.

        Raises:
            UsageError: For an unknown name.
            PlugInError: For a plug-in that cannot be imported or breaks the contract.
        """
        loaders = self._loaders()
        if name not in loaders:
            raise UsageError(unknown(self.kind, name, sorted(loaders)))
        try:
            with kept_directory():
                found = loaders[name]()
        except (Exception, SystemExit) as error:  # a plug-in's module may raise anything
            raise PlugInError(
                f"The {self.kind} {name!r} cannot be imported ({type(error).__name__}: {error})."
            ) from error
        if not (isinstance(found, type) and issubclass(found, self.base)):
            law = f"is not a subclass of {self.base.__name__}"
            raise PlugInError(f"The {self.kind} {name!r} {law}.")
        lacking = [said for said in self.base.__annotations__ if not hasattr(found, said)]
        if lacking:
            law = f"lacks the class attributes {', '.join(lacking)}"
            raise PlugInError(f"The {self.kind} {name!r} {law}; see docs/plugins.md.")
        return found

    def summary(self, name: str) -> str:
        """Say what a plug-in is, by its class's docstring. No plug-in is imported.

        Args:
            name: As ``bench list`` prints it.

        Returns:
            The first sentence, without its full stop; empty if there is none.
        """
        module = name.replace("-", "_")
        if module in _modules(self.package):
            own = _Own(self.package, module)
            return first_sentence(f"{self.package}.{module}", own.class_name)
        named = (e for e in _entry_points(f"angiobench.{self.package}") if e.name == name)
        return next((first_sentence(entry.module, entry.attr) for entry in named), "")

    def origin(self, name: str) -> Origin | None:
        """Say which distribution a plug-in comes from.

        Args:
            name: As ``bench list`` prints it.

        Returns:
            The distribution; ``None`` for a built-in plug-in, and for a name that does not exist.
        """
        if name.replace("-", "_") in _modules(self.package):
            return None
        named = (e for e in _entry_points(f"angiobench.{self.package}") if e.name == name)
        found = [_origin(entry.dist) for entry in named if entry.dist]
        return found[-1] if found else None

    def _loaders(self) -> dict[str, Callable[[], Any]]:
        loaders: dict[str, Callable[[], Any]] = {
            e.name: e.load for e in _entry_points(f"angiobench.{self.package}")
        }
        for module in _modules(self.package):
            loaders[module.replace("_", "-")] = _Own(self.package, module)
        return loaders


@dataclass(frozen=True)
class _Own:
    package: str
    module: str

    def __call__(self) -> Any:
        found = importlib.import_module(f"{self.package}.{self.module}")
        return getattr(found, self.class_name)

    @property
    def class_name(self) -> str:
        """``DpWgan`` of ``dp_wgan``."""
        return self.module.replace("_", " ").title().replace(" ", "")


def _origin(made_by: Distribution) -> Origin:
    """An address is the homepage, or else the first of the project's that is one."""
    said = made_by.metadata
    named = [text.partition(",") for text in said.get_all("Project-URL") or []]
    urls = {label.strip().lower(): url.strip() for label, _, url in named}
    homes = [*(said.get_all("Home-page") or []), urls.get("homepage", ""), *urls.values()]
    address = next((one for one in homes if ADDRESS.fullmatch(one)), "")
    return Origin(made_by.name, made_by.version, address)


def _entry_points(group: str) -> list[EntryPoint]:
    return list(_entry_points_on(group, tuple((folder, _changed(folder)) for folder in sys.path)))


@lru_cache(maxsize=16)
def _entry_points_on(group: str, _: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """Reading what every installed distribution declares takes as long as a small step."""
    return tuple(entry_points(group=group))


def _changed(folder: str) -> int:
    """When a distribution was last put into a folder of ``sys.path``, or taken out."""
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


def _modules(package: str) -> list[str]:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    files = [file for folder in folders or () for file in Path(folder).glob("*.py")]
    return [f.stem for f in files if f.stem not in _NOT_PLUG_INS]


generators = Registry("generator", "generators", Generator)
segmenters = Registry("segmenter", "segmenters", Segmenter)


def registry_of(name: str) -> Registry:
    """Return the registry in which a name among the generators is found.

    That is the registry of segmenters for a private or free segmenter.

    Raises:
        UsageError: If it is a segmenter that cannot be fitted on patients privately.
    """
    if name in generators.names() or name not in segmenters.names():
        return generators
    kind = class_of(segmenters, name)
    if kind is not None and not issubclass(kind, (PrivateSegmenter, FreeSegmenter)):
        raise UsageError(
            f"{name} is a segmenter that learns from synthetic patches alone, as `bench run "
            "--segmenter` has it do; name a generator, or a private segmenter."
        )
    return segmenters


def class_of(registry: Registry, name: str) -> Any | None:
    """Return the plug-in's class; ``None`` for one that cannot be imported.

    Raises:
        UsageError: For an unknown name.
    """
    try:
        return registry.get(name)
    except PlugInError:
        return None
