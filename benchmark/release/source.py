"""What a release rests on: a finished fit, of a cell or of a deployment, and its generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmark.core.errors import DataError, UsageError
from benchmark.core.generator import Generator
from benchmark.core.sums import sum_of_folder
from benchmark.results.result import Result
from benchmark.results.store import GENERATOR, check_files, found
from benchmark.sweep.saved_generator import released
from federation.finished import RESULT as DEPLOYED
from federation.finished import Finished


@dataclass(frozen=True, kw_only=True)
class Source:
    """A finished fit with what it left.

    Attributes:
        folder: Its folder.
        result: The result of a cell, or what a deployment left.
    """

    folder: Path
    result: Result | Finished

    @cached_property
    def generator(self) -> Generator:
        """The fitted generator.

        Raises:
            UsageError: If the run kept none.
            DataError: If it is damaged, or of another version.
        """
        return released(self.folder)

    @cached_property
    def generator_sum(self) -> str:
        """SHA-256 over the names and digests of the generator's files."""
        return sum_of_folder(self.folder / GENERATOR)

    @property
    def is_free(self) -> bool:
        """Whether no patient was looked at (ε = 0)."""
        return self.result.guarantee.epsilon == 0

    @property
    def patients(self) -> Mapping[str, int]:
        """The number of patients of each site of a deployment, by its name; empty for a cell."""
        return self.result.patients if isinstance(self.result, Finished) else {}

    def people_at(self, site: str) -> int | None:
        """Count the patients of a site of a deployment whose guarantee counts those of all sites.

        Args:
            site: The site's name.

        Returns:
            Their number; ``None`` where the guarantee's own N is that number, or nobody knows it.
        """
        return None if self.result.spec.curious is None else self.patients.get(site)

    @property
    def is_deployed(self) -> bool:
        """Whether each site had its patients at its own place, so that nobody else can look."""
        return isinstance(self.result, Finished)


def source_of(run: str, out: Path) -> Source:
    """Find a finished fit, and check that its files are what it wrote.

    Args:
        run: The folder of a cell or of a deployment's run, or the key of a cell.
        out: The store's folder.

    Raises:
        UsageError: If there is no such run, or nothing of it can be released.
        DataError: If its files are damaged.
    """
    if (Path(run) / DEPLOYED).is_file():
        folder = Path(run).resolve()
        return _with_generator(Source(folder=folder, result=Finished.read(folder)))
    folder, result = found(run, out)
    check_files(folder)
    if result.spec.is_direct:
        raise UsageError(
            f"{folder}: this run fitted a segmenter itself, so it has no synthetic patches; "
            "release a run of a generator."
        )
    if result.spec.own is not None:
        raise UsageError(
            f"{folder}: own patients were withheld from this run's fit (--own-patients); release "
            "a run without that option."
        )
    return _with_generator(Source(folder=folder, result=result))


def _with_generator(source: Source) -> Source:
    link = next((one for one in source.folder.rglob("*") if one.is_symlink()), None)
    if link is not None:
        raise DataError(
            f"{link}: this is a link, and nothing outside of a run's folder may be read for its "
            "release; put the file itself there."
        )
    if not (source.folder / GENERATOR).is_dir():
        raise UsageError(
            f"{source.folder}: the run kept no generator, because what is made from patients may "
            "leave only under a finite ε with the system's noise; run it so, and release that run."
        )
    return source
