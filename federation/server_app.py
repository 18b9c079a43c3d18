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

from benchmark.core.budget import parse_epsilon
from benchmark.core.coarse import coarse
from benchmark.core.designs import federated
from benchmark.core.errors import UsageError
from benchmark.core.files import held, read_json, write_json, write_text
from benchmark.core.names import unknown
from benchmark.core.registry import generators
from benchmark.privacy.accounting.units import default_delta
from benchmark.privacy.checkpoint import Checkpoint
from federation.finished import RESULT, Finished, SiteFinished
from federation.job import Job, lawful
from federation.messages import Hello
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
    out = _out(config)
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
    rules = _rules(config)
    facts = greet(grid, rules)
    job = job_of(config, patients=sum(said.patients for said in facts.values()))
    if not is_done(out / job.run):
        (out / job.run).mkdir(exist_ok=True)
        _fit(grid, job, rules, facts, out / job.run)


def is_done(folder: Path) -> bool:
    """Tell whether a run's folder has its result, which is written last."""
    return read_json(folder / RESULT).get("run") == folder.name


def _fit(grid: Grid, job: Job, rules: Rules, facts: Mapping[int, Hello], folder: Path) -> None:
    turns = Turns(folder / ROUNDS)
    rules = replace(rules, checkpoint=_kept_in(folder), done=turns.add)
    state, members = train(grid, job, rules, facts)
    generator = job.made()
    generator.close(state, job.patch_size)
    (folder / GENERATOR).mkdir(exist_ok=True)
    generator.save(folder / GENERATOR)
    _leave(folder, job, members, turns.all())
    for name in (CHECKPOINT, ROUNDS):
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


def job_of(config: Mapping[str, Any], *, patients: int) -> Job:
    """Return the job that a run's configuration asks for.

    Args:
        config: The configuration.
        patients: The number of patients at all sites.

    Raises:
        UsageError: For anything that is not allowed.
    """
    name, preset = str(config["generator"]), str(config["preset"])
    kind = generators.get(name)
    if preset not in kind.presets:
        raise UsageError(unknown("preset", preset, list(kind.presets)))
    design = str(config["design"])
    trained = federated(kind, design)
    generator = trained(kind.presets[preset].with_texts(_texts(str(config["settings"]))))
    unit = lawful("unit", config["unit"])
    each = lawful("patches_per_patient", config["patches-per-patient"])
    return Job.of(
        generator=name,
        version=kind.version,
        settings=generator.params.as_dict(),
        patch_size=config["patch-size"],
        patches_per_patient=each,
        spacing_mm=float(lawful("spacing_mm", config["spacing-mm"])),
        epsilon=parse_epsilon(str(config["epsilon"])),
        delta=_if_said("delta", config["delta"])
        or default_delta(patients * (each if unit == "patch" else 1)),
        unit=unit,
        seed=config["seed"],
        noise=config["noise"],
        schedule=generator.schedule(
            design=design or next(iter(generator.designs)),
            rounds=_if_said("rounds", config["rounds"]),
            local_steps=_if_said("local_steps", config["local-steps"]),
        ),
    )


def _if_said(name: str, value: Any) -> Any:
    """A number; ``None`` for 0, which says nothing."""
    return None if type(value) in (int, float) and value == 0 else lawful(name, value)


def _texts(settings: str) -> dict[str, str]:
    words = settings.split()
    wrong = next((word for word in words if "=" not in word), None)
    if wrong is not None:
        raise UsageError(f"settings: expected NAME=VALUE, got {wrong!r}.")
    return dict(word.split("=", 1) for word in words)


def _rules(config: Mapping[str, Any]) -> Rules:
    return Rules(
        sites=lawful("sites", config["sites"]),
        timeout_s=lawful("timeout", config["timeout"]),
        start_s=lawful("start", config["start"]),
    )


def _out(config: Mapping[str, Any]) -> Path:
    out = Path(str(config["out"]))
    if not out.is_absolute():
        raise UsageError(
            f"out={str(out)!r}: expected an absolute folder, as Flower runs the app elsewhere."
        )
    return out


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
