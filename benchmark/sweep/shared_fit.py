"""A fit is made once: cells with the same fit key share it, and its entries in the ledger.

The fit has a folder of its own below the store's root (``kept_fit``). The process that holds its
lock fits there, under the key of the cell that the fit was begun for; others wait, and take what it
kept. A killed fit is continued by the next process, under its own entry.

Only what may be seen is kept (``synthetic_may_leave``). Any other fit, as of ``real``, or without
a finite ε on patients, is made by each cell in its own folder, and charged there. So is the fit of
a cell that was begun so by an earlier version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.core.budget import Guarantee
from benchmark.core.coarse import coarse
from benchmark.core.files import held, plain, read_json, write_json
from benchmark.core.generator import Generator
from benchmark.privacy.ledger.ledger import ledger_in
from benchmark.results.disclosure import synthetic_may_leave
from benchmark.results.fit_key import fit_key
from benchmark.results.kept_fit import (
    BEGUN,
    FIT,
    FORMAT,
    KeptFit,
    begun_for,
    folder_of_fit,
    read_fit,
    write_fit,
)
from benchmark.results.spec import RunSpec, canonical
from benchmark.results.spec_parts import AcrossSites
from benchmark.results.store import CHARGE, CURVES, GENERATOR, forget
from benchmark.sweep.fit_files import (
    curves_in,
    deliver,
    deliver_notes,
    emptied,
    generator_in,
    keep_generator,
)
from benchmark.sweep.fitting import Made, make_fit
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.machine import Bench
from benchmark.sweep.payment import CLAIM, is_paid, sites_have_begun
from benchmark.sweep.sites import inputs_of
from benchmark.sweep.watching.stages import Watch

WAITING = "waiting for the fit"


@dataclass(frozen=True, kw_only=True)
class CellFit:
    """The fit that a cell needs.

    Attributes:
        spec: The cell.
        planned: Its plan.
        inputs: The sweep's data.
        bench: The cell's folder and machine.
    """

    spec: RunSpec
    planned: Guarantee
    inputs: Inputs
    bench: Bench

    @cached_property
    def is_shared(self) -> bool:
        """Whether the cell takes it from the folder that cells share.

        It does if what is planned may be kept, unless a fit was begun in the cell's own folder.
        """
        spec, folder = self.spec, self.bench.folder
        if spec.is_direct or spec.registry.get(spec.generator.name).holds_patients:
            return False
        if not self.may_be_seen(self.planned.epsilon, seeded=spec.noise == "seeded"):
            return False
        if spec.is_federated:
            return not sites_have_begun(folder)
        return not self._is_paid(spec, folder)

    @property
    def folder(self) -> Path:
        """Where it is kept for all cells that share it."""
        return folder_of_fit(self.bench.folder.parents[1], self.spec)

    @property
    def charged_as(self) -> str:
        """What cells have in common whose fits are charged once together."""
        return f"fit {fit_key(self.spec)}" if self.is_shared else self.spec.key

    def may_be_seen(self, epsilon: float, *, seeded: bool) -> bool:
        """Tell whether what is drawn may be seen by others, so that the generator is kept.

        Args:
            epsilon: The ε that was spent.
            seeded: Whether the noise came from a seed.
        """
        return not self.inputs.private or synthetic_may_leave(epsilon, seeded=seeded)

    def costs_nothing(self) -> bool:
        """Tell whether it is paid for: it is kept, or goes on under its own entry.

        Raises:
            DataError: If what is kept is damaged.
        """
        if not self.is_shared:
            return self._is_paid(self.spec, self.bench.folder)
        if self.kept() is not None:
            return True
        begun_as = begun_for(self.folder)
        return begun_as is not None and self._is_paid(begun_as, self.folder)

    def kept(self) -> KeptFit | None:
        """Return the record of the kept fit, if this machine's ledger has what it cost patients.

        Raises:
            DataError: If it is damaged.
        """
        found = read_fit(self.folder)
        if found is None or not self.inputs.private:
            return found
        if not self.spec.registry.get(self.spec.generator.name).needs_data:
            return found
        return found if self._is_in_ledger(found) else None

    def _is_in_ledger(self, found: KeptFit) -> bool:
        """Whether the ledger has the very entry of a fit; across sites, one like each site's."""
        entries = ledger_in(self.bench.machine.state).fits_of(found.run)
        if found.sites:
            paid = Counter(_written(Guarantee.from_dict(one.said["guarantee"])) for one in entries)
            return not Counter(_written(site.guarantee) for site in found.sites) - paid
        claim = read_json(self.folder / CHARGE).get(CLAIM)
        return any(entry.said.get(CLAIM) == claim for entry in entries)

    def name(self) -> None:
        """Name the cell as the one that the fit is begun for, unless another one is named.

        Seeded noise has that cell's key. So the order of the sweep decides it, and not which
        process is first.
        """
        if not self.is_shared:
            return
        with held(self.folder) as mine:
            if mine and read_fit(self.folder) is None:
                self.begun_as()

    def begun_as(self) -> RunSpec:
        """Return the cell that the fit is begun for: the one that is named, or else this one."""
        (self.folder / FIT).unlink(missing_ok=True)  # of a fit that the ledger does not have
        named = begun_for(self.folder)
        if named is None:
            write_json(self.folder / BEGUN, self.spec.as_dict())
        return named or self.spec

    def _is_paid(self, spec: RunSpec, folder: Path) -> bool:
        mine, state = inputs_of(spec, self.inputs), self.bench.machine.state
        return is_paid(spec, self.planned, mine, folder=folder, state=state)


def _written(guarantee: Guarantee) -> str:
    return canonical(plain(guarantee.as_dict()))


class Fitted(NamedTuple):
    """The fitted generator of a cell.

    Attributes:
        generator: Ready to draw.
        guarantee: The guarantee of the fit; across sites, the worst.
        more: What the result says of the fit besides.
        keep: Writes the generator into the cell's folder, if it may be seen.
    """

    generator: Generator
    guarantee: Guarantee
    more: dict[str, Any]
    keep: Callable[[], None]


def fitted_generator(fit: CellFit, watch: Watch) -> Fitted:
    """Return a cell's fitted generator: the kept one, or else one that is fitted now.

    Args:
        fit: What the cell needs.
        watch: Hears of the fit, and of its curves.

    Raises:
        DataError: If the kept fit is damaged.
        OverCapError: If the ledger's cap does not allow the fit.
    """
    if not fit.is_shared:
        made = make_fit(fit.spec, fit.planned, fit.inputs, fit.bench, watch)
        return _of_the_cell(made, fit)
    with _alone_at(fit.folder, watch):
        kept = fit.kept()
        return _made_for_all(fit, watch) if kept is None else _taken(kept, fit, watch)


def _made_for_all(fit: CellFit, watch: Watch) -> Fitted:
    """The fit, made now in the folder that cells share."""
    spec, folder = fit.begun_as(), fit.folder
    try:
        made = make_fit(spec, fit.planned, fit.inputs, replace(fit.bench, folder=folder), watch)
    finally:
        deliver_notes(folder, fit.bench.folder)
    spent = made.guarantee
    if not fit.may_be_seen(spent.epsilon, seeded=spent.seeded):  # whatever was planned
        deliver(folder, fit.bench.folder, fit.spec)
        forget(folder)
        return _of_the_cell(made, fit)
    made.fitted.save(emptied(folder / GENERATOR))
    write_json(folder / CURVES, watch.curves)
    kept = KeptFit(
        format=FORMAT,
        fit=folder.name,
        run=spec.key,
        guarantee=spent,
        seconds={n: coarse(s) if fit.inputs.private else s for n, s in watch.seconds.items()},
        **_across_sites(made),
    )
    write_fit(folder, kept)
    return _given(kept, fit)


def _taken(kept: KeptFit, fit: CellFit, watch: Watch) -> Fitted:
    """The fit as it is kept, with what was seen of it."""
    watch.curves += curves_in(fit.folder)
    watch.seconds |= kept.seconds
    return _given(kept, fit)


def _given(kept: KeptFit, fit: CellFit) -> Fitted:
    """What a cell gets of a kept fit, while nobody else can change it.

    Whoever made the fit loads it like all others, so that all cells draw from the same.
    """
    spec, folder, mine = fit.spec, fit.folder, fit.bench.folder
    forget(folder)
    deliver(folder, mine, spec)
    across = spec.federation if isinstance(spec.federation, AcrossSites) else None
    kind = spec.registry.get(spec.generator.name)
    fitted = generator_in(folder, kind, across.design if across else "")
    keep_generator(folder, mine)
    whose = {} if kept.run == spec.key else {"fit_of": kept.run}
    more = {**_across_sites(kept), **whose}
    return Fitted(fitted, kept.guarantee, more, lambda: None)


def _of_the_cell(made: Made, fit: CellFit) -> Fitted:
    """A fit that no other cell shares."""
    spent, folder = made.guarantee, fit.bench.folder / GENERATOR

    def keep() -> None:
        seen = fit.may_be_seen(spent.epsilon, seeded=spent.seeded)
        if seen and not made.fitted.holds_patients:
            folder.mkdir(exist_ok=True)
            made.fitted.save(folder)

    return Fitted(made.fitted, spent, _across_sites(made), keep)


def _across_sites(fit: Made | KeptFit) -> dict[str, Any]:
    return {"sites": fit.sites, "rounds": fit.rounds} if fit.sites else {}


@contextmanager
def _alone_at(folder: Path, watch: Watch) -> Iterator[None]:
    """Hold a fit's folder; while another process has it, wait and say so."""
    with held(folder) as mine:
        if mine:
            yield
            return
    watch.listener(WAITING, 0, 1)
    with held(folder, wait=True):
        yield
