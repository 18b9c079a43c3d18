"""A sweep from Python, with the command line's own options and defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from angiobench.results import Results
from angiobench.sweep import Sweep
from benchmark.core.errors import UsageError
from benchmark.core.names import unknown
from benchmark.data.reading import Reading
from benchmark.results.matrix import Square
from benchmark.sweep.executors.executor import Events
from benchmark.sweep.forecast.forecast import Forecast
from benchmark.sweep.sweep import Finished
from benchmark.sweep.workspace import Listener
from benchmark.terminal.console import Console
from benchmark.terminal.figures import HEAT_MAP, draw_matrix
from leaderboard.entries import entry_of

SEVERAL = ("epsilon", "segmenters", "test_data")
"""Options that take a list; a single value stands for a list of one."""


def run(generators: str | Sequence[str], *, progress: bool = False, **options: Any) -> Results:
    """Run a sweep: fit, sample, segment and score the cells that are not done.

    Args:
        generators: A name, or several.
        progress: Whether a progress bar and the command line's messages are shown.
        options: See ``Sweep``. ``epsilon`` may be one number, and folders may be texts. The options
            of ``Reading`` (``layout``, ``acquisition``, ``skip_bad``, ``accepted``) may be given
            here.

    Returns:
        The results; failed cells are among them, with their reasons.

    Raises:
        BenchError: For wrong usage or unusable data, before anything is computed.
    """
    sweep = sweep_of(generators, **options)
    if not progress:
        said: list[str] = []
        finished = sweep.run(_silent(said.append))
        return _results(sweep, finished, said)
    with Console() as console:
        return _results(sweep, sweep.run(console.listener()), ())


def forecast(generators: str | Sequence[str], **options: Any) -> Forecast:
    """Foretell what ``run`` would take and cost, as ``bench run --dry-run`` prints it.

    Nothing is fitted, written to the results or charged. Patients' files are read for their
    digests, as a sweep's cells are named by them.

    Args:
        generators: A name, or several.
        options: Those of ``run``.

    Returns:
        The cells with their seconds and memory, and what each group of patients would be charged.

    Raises:
        BenchError: For wrong usage or unusable data, as ``run`` does.
    """
    said: list[str] = []
    found = sweep_of(generators, **options).forecast(_silent(said.append))
    return replace(found, notes=[*said, *found.notes])


def sweep_of(generators: str | Sequence[str], **options: Any) -> Sweep:
    """Return the sweep that ``run`` would run. Arguments and errors are those of ``run``."""
    names = [generators] if isinstance(generators, str) else [*generators]
    return Sweep(generators=names, **_options(options))


def _results(sweep: Sweep, finished: Finished, said: Sequence[str]) -> Results:
    store = finished.store
    found = (entry_of(store.folder(outcome.spec), store) for outcome in finished.outcomes)
    return Results([entry for entry in found if entry], [*said, *finished.notes])


def _silent(said: Callable[[str], None]) -> Listener:
    """Hears of sentences alone."""

    def nothing(*_: Any) -> None:
        pass

    return Listener(
        preparing=nothing,
        planned=nothing,
        events=Events(progress=nothing, ended=nothing),
        warning=said,
        news=said,
        drawn=_drawn,
    )


def _drawn(matrix: Sequence[Square], out: Path) -> Path:
    draw_matrix(matrix, out / HEAT_MAP)
    return out / HEAT_MAP


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options as ``Sweep`` takes them.

    Raises:
        UsageError: For one that is unknown.
    """
    known, of_reading = [one.name for one in fields(Sweep)], [one.name for one in fields(Reading)]
    wrong = next((name for name in given if name not in (*known, *of_reading)), None)
    if wrong is not None:
        raise UsageError(unknown("option", wrong, [*known[1:], *of_reading]))
    made = {name: _read(name, value) for name, value in given.items() if name in known}
    reading = {name: value for name, value in given.items() if name in of_reading}
    return made | ({"reading": Reading(**reading)} if reading else {})


def _read(name: str, value: Any) -> Any:
    if name in SEVERAL and isinstance(value, (int, float, str, Path)):
        value = [value]
    if name == "test_data":
        return [Path(folder) for folder in value]
    return Path(value) if name in ("data", "out", "fid_weights") and value is not None else value


_SHOWN = [
    inspect.Parameter(
        one.name,
        inspect.Parameter.KEYWORD_ONLY,
        default={} if one.default is MISSING else one.default,
    )
    for one in fields(Sweep)[1:]
]
for _function, _own in ((run, 2), (forecast, 1)):
    vars(_function)["__signature__"] = inspect.signature(_function).replace(
        parameters=[*list(inspect.signature(_function).parameters.values())[:_own], *_SHOWN]
    )
