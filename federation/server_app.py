"""The server's side of the Flower app, for a deployment: it runs the rounds and saves a generator.

Everything it needs comes with ``flwr run --run-config``; the defaults are in ``pyproject.toml``
beside this file. It writes ``OUT/<run>/generator/`` and, last, ``OUT/<run>/federation.json``. Where
that file exists, the same command does nothing more. A stopped run continues from its checkpoint.
``OUT/error.txt`` exists from the start until the run ends well, and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from benchmark.core.coarse import coarse
from benchmark.core.errors import UsageError
from benchmark.core.files import held, read_json, write_json, write_text
from benchmark.privacy.checkpoint import Checkpoint
from federation.configuration import job_of, out_of, rules_of
from federation.finished import RESULT, Finished, SiteFinished, is_done
from federation.job import Job
from federation.messages import Hello
from federation.same_sites import SITES, check_same_sites, note_sites
from federation.strategy import Member, Round, Rules, greet, train

ERROR, CHECKPOINT, ROUNDS, GENERATOR = (
    "error.txt",
    "checkpoint.safetensors",
    "rounds.json",
    "generator",
)

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run one federated fit over the connected sites, unless it is done.

    Args:
        grid: Flower's connection to the sites.
        context: Flower's context, with the run's configuration.

    Raises:
        UsageError: If another run is at work in the folder, or the configuration is not allowed.
        FederationError: If a site is missing, late or fails.
    """
    torch.set_num_threads(1)
    config = context.run_config
    out = out_of(config)
    with held(out) as mine:
        if not mine:
            raise UsageError(f"out={out}: another run is at work there; name another folder.")
        write_text(out / ERROR, "The run began, and has not ended: it is at work, or was killed.\n")
        try:
            _run(grid, config, out)
        except Exception as error:
            write_text(out / ERROR, f"{error}\n")
            raise
        (out / ERROR).unlink()


def _run(grid: Grid, config: Mapping[str, Any], out: Path) -> None:
    rules = rules_of(config)
    facts = greet(grid, rules)
    job = job_of(config, patients=sum(said.patients for said in facts.values()))
    folder, here = out / job.run, {said.site: said.patients for said in facts.values()}
    check_same_sites(folder, here, goes_on=(folder / CHECKPOINT).exists())
    if not is_done(folder):
        folder.mkdir(exist_ok=True)
        note_sites(folder, here)
        _fit(grid, job, rules, facts, folder)


def _fit(grid: Grid, job: Job, rules: Rules, facts: Mapping[int, Hello], folder: Path) -> None:
    turns = Turns(folder / ROUNDS)
    rules = replace(rules, checkpoint=_kept_in(folder), done=turns.add)
    state, members = train(grid, job, rules, facts)
    generator = job.made()
    generator.close(state, job.patch_size)
    (folder / GENERATOR).mkdir(exist_ok=True)
    generator.save(folder / GENERATOR)
    _leave(folder, job, members, turns.all())
    for name in (CHECKPOINT, ROUNDS, SITES):
        (folder / name).unlink(missing_ok=True)


class Turns:
    """What is said of every round of the whole fit, also of those before a kill.

    Args:
        file: Where it is kept. A round that is done again after a kill replaces itself.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._said: dict[str, Any] = read_json(file)

    def add(self, turn: Round) -> None:
        """Keep what is public of a finished round, with coarse seconds."""
        self._said[str(turn.number)] = {
            "number": turn.number,
            "seconds": coarse(turn.seconds),
            "sent": turn.sent,
            "received": turn.received,
        }
        write_json(self._file, self._said)

    def all(self) -> list[Any]:
        """Return the rounds in their order."""
        return [self._said[number] for number in sorted(self._said, key=int)]


def _kept_in(folder: Path) -> Any:
    def kept(members: Sequence[Member]) -> Checkpoint:
        return Checkpoint(folder / CHECKPOINT, max((m.guarantee for m in members), key=_epsilon))

    return kept


def _epsilon(guarantee: Any) -> float:
    return float(guarantee.epsilon)


def _leave(folder: Path, job: Job, members: Sequence[Member], turns: Sequence[Any]) -> None:
    """What was done, at what cost to whom; all of it public, and seconds coarse."""
    sites = [
        SiteFinished(site=m.facts.site, patients=m.facts.patients, guarantee=m.guarantee)
        for m in members
    ]
    write_json(folder / RESULT, Finished.of(job, sites, turns).as_dict())
