"""The server's side of the Flower app, for a deployment: rounds in, a generator out.

Everything it needs comes with ``flwr run --run-config``; the defaults are in ``pyproject.toml``
beside this file. It leaves ``OUT/<run>/federation.json`` and ``OUT/<run>/generator/``, goes on from
its checkpoint if it was stopped, and leaves the reason in ``OUT/<run>/error.txt`` if it fails.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from benchmark.core.budget import Unit, parse_epsilon
from benchmark.core.errors import UsageError
from benchmark.core.federation import federated
from benchmark.core.files import write_json, write_text
from benchmark.core.registry import generators, unknown
from benchmark.privacy.checkpoint import Checkpoint
from benchmark.privacy.units import default_delta
from federation.job import Job
from federation.strategy import Member, Round, Rules, greet, train

RESULT, ERROR, CHECKPOINT, GENERATOR = (
    "federation.json",
    "error.txt",
    "checkpoint.safetensors",
    "generator",
)

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """One federated fit over the sites that are there."""
    torch.set_num_threads(1)
    config = context.run_config
    out = _out(config)
    rules = Rules(
        sites=int(config["sites"]),
        timeout_s=float(config["timeout"]),
        start_s=float(config["start"]),
    )
    try:
        facts = greet(grid, rules)
        job = job_of(config, patients=sum(said.patients for said in facts.values()))
        folder = out / job.run
        folder.mkdir(parents=True, exist_ok=True)
        turns: list[Round] = []
        rules = replace(rules, checkpoint=_kept_in(folder), done=turns.append)
        state, members = train(grid, job, rules, facts)
        _leave(folder, job, members, turns)
        generator = job.made()
        generator.close(state, job.patch_size)
        (folder / GENERATOR).mkdir(exist_ok=True)
        generator.save(folder / GENERATOR)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    except Exception as error:
        write_text(out / ERROR, f"{error}\n")
        raise


def job_of(config: Mapping[str, Any], *, patients: int) -> Job:
    """The job that a run's configuration asks for, for so many patients at all sites.

    Raises:
        UsageError: For anything that cannot be meant.
    """
    name, preset = str(config["generator"]), str(config["preset"])
    kind = generators.get(name)
    if preset not in kind.presets:
        raise UsageError(unknown("preset", preset, list(kind.presets)))
    texts = dict(pair.split("=", 1) for pair in str(config["settings"]).split() if "=" in pair)
    generator = federated(kind(kind.presets[preset].with_texts(texts)))
    unit: Unit = "patient" if config["unit"] == "patient" else "patch"
    each = int(config["patches-per-patient"])
    job = Job(
        run="",
        generator=name,
        version=kind.version,
        settings=generator.params.as_dict(),
        patch_size=int(config["patch-size"]),
        patches_per_patient=each,
        epsilon=parse_epsilon(str(config["epsilon"])),
        delta=float(config["delta"]) or default_delta(patients * (each if unit == "patch" else 1)),
        unit=unit,
        seed=int(config["seed"]),
        noise="seeded" if config["noise"] == "seeded" else "system",
        schedule=generator.schedule(
            design=str(config["design"]) or next(iter(generator.designs)),
            rounds=int(config["rounds"]) or None,
            local_steps=int(config["local-steps"]) or None,
        ),
    )
    return replace(job, run=hashlib.sha256(job.text().encode()).hexdigest()[:12])


def _out(config: Mapping[str, Any]) -> Path:
    out = Path(str(config["out"]))
    if not out.is_absolute():
        raise UsageError(
            f"out={str(out)!r}: expected an absolute folder, as Flower runs the app elsewhere."
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / ERROR).unlink(missing_ok=True)
    return out


def _kept_in(folder: Path) -> Any:
    def kept(members: Sequence[Member]) -> Checkpoint:
        return Checkpoint(folder / CHECKPOINT, max((m.guarantee for m in members), key=_epsilon))

    return kept


def _epsilon(guarantee: Any) -> float:
    return float(guarantee.epsilon)


def _leave(folder: Path, job: Job, members: Sequence[Member], turns: Sequence[Round]) -> None:
    """What was done, at what cost to whom; all of it public."""
    said = [m.guarantee for m in members]
    write_json(
        folder / RESULT,
        {
            "run": job.run,
            "job": json.loads(job.text()),
            "epsilon": max(one.epsilon for one in said),
            "epsilon_patient": max(
                math.inf if one.epsilon_patient is None else one.epsilon_patient for one in said
            ),
            "sites": [
                {
                    "site": m.facts.site,
                    "patients": m.facts.patients,
                    "guarantee": m.guarantee.as_dict(),
                }
                for m in members
            ],
            "rounds": [
                {"number": t.number, "seconds": t.seconds, "sent": t.sent, "received": t.received}
                for t in turns
            ],
        },
    )
