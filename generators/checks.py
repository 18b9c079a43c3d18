"""The laws that every generator keeps, for the tests of its author.

Each law takes the plug-in's class and raises ``LawBrokenError`` with a sentence. ``LAWS`` has them
by name; a test applies them to every registered generator.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core.budget import UNITS, Budget, Guarantee, PublicNumbers, Unit
from benchmark.core.designs import designs_of, federated, mixture_of, why_not_mixed
from benchmark.core.errors import NotFittedError, UsageError
from benchmark.core.federation import Arrays, FederatedGenerator, Schedule
from benchmark.core.generator import FitContext, Generator
from benchmark.core.laws import LawBrokenError, hold
from benchmark.core.mechanism import Noise
from benchmark.core.mixture import MIXTURE, Mixture
from benchmark.core.patches import Patches
from benchmark.privacy import conformance
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.subject import Heard, Subject, numbers_of

PUBLIC = PublicNumbers(patients=6, patches_per_patient=8, patch_size=32)
FINITE_EPSILON = 5.0
FEW = 12
"""How many patches the sites of a tested mixture send together."""

ALIKE = ("unit", "delta", "patients", "patches_per_patient", "sampling_rate", "steps", "relation")
"""The fields that a plan has at every ε; a server holds a site's consent to them."""

WEIGHT_FILES = {".json", ".safetensors"}

Law = Callable[[type[Generator]], None]


def patches(seed: int = 0) -> Patches:
    """Make patches of six patients: a bright bar on a noisy ground in each."""
    rng = np.random.default_rng(seed)
    n = PUBLIC.patients * PUBLIC.patches_per_patient
    masks = np.zeros((n, 1, PUBLIC.patch_size, PUBLIC.patch_size), np.uint8)
    for mask, start in zip(masks, rng.integers(4, 24, n), strict=True):
        mask[0, :, start : start + 4] = 1
    images = np.clip(rng.normal(-0.4, 0.2, masks.shape) + masks, -1, 1).astype(np.float32)
    return Patches(
        images=images,
        masks=masks,
        patient=np.repeat(np.arange(PUBLIC.patients), PUBLIC.patches_per_patient),
        patients=PUBLIC.patients,
        patches_per_patient=PUBLIC.patches_per_patient,
    )


def budget_of(kind: type[Generator], unit: Any = "patch") -> Budget:
    """Return the budget that a plug-in is tested with: finite if it can honour one."""
    return Budget(epsilon=FINITE_EPSILON if kind.is_private else math.inf, delta=1e-3, unit=unit)


def fitted(kind: type[Generator], data: Patches | None = None) -> Generator:
    """Make a plug-in with its smoke settings, and fit it with seeded noise.

    Args:
        kind: The plug-in's class.
        data: The patches; ``patches()`` if ``None``.
    """
    generator = kind(kind.smoke)
    guarantee = generator.plan(PUBLIC, budget_of(kind))
    generator.fit(data or patches(), guarantee, _context())
    return generator


def describes_itself(kind: type[Generator]) -> None:
    """Check that name, version, citation, presets and smoke settings exist and have their types."""
    hold(bool(kind.name and kind.citation), "it needs a name and a citation")
    hold(isinstance(kind.version, int) and kind.version >= 1, "version is an integer from 1 on")
    hold("quick" in kind.presets, "there is a preset 'quick'")
    settings = [*kind.presets.values(), kind.smoke]
    hold(all(type(s) is kind.Params for s in settings), "presets and smoke are made of Params")


def plans_within_the_budget(kind: type[Generator]) -> None:
    """Check that the planned ε never exceeds the target, for either unit.

    The plan must also name the unit and the δ of the budget.
    """
    for unit in UNITS:
        planned = kind(kind.smoke).plan(PUBLIC, budget_of(kind, unit))
        hold(planned.epsilon <= budget_of(kind, unit).epsilon, "the planned ε is within the target")
        hold(planned.unit == unit, "the guarantee names the unit that was asked for")
        hold(planned.delta == 1e-3, "the guarantee has the budget's δ")


def refuses_a_budget_it_cannot_honour(kind: type[Generator]) -> None:
    """Check that a generator that is not private refuses a finite ε."""
    if kind.is_private:
        return
    try:
        kind(kind.smoke).plan(PUBLIC, Budget(epsilon=FINITE_EPSILON, delta=1e-3, unit="patch"))
    except UsageError:
        return
    raise LawBrokenError("A generator that is not private must refuse a finite ε.")


def charges_before_touching(kind: type[Generator]) -> None:
    """Check that a fit charges once, as planned, and before it reads the patches."""
    charged: list[Guarantee] = []

    class Guarded(Patches):
        def __getattribute__(self, name: str) -> Any:
            if name in {"images", "masks", "patient"} and not charged and ready:
                raise LawBrokenError("Patches were read before the charge.")
            return super().__getattribute__(name)

    ready: list[bool] = []
    plain = patches()
    guarded = Guarded(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})
    ready.append(True)
    generator = kind(kind.smoke)
    planned = generator.plan(PUBLIC, budget_of(kind))
    spent = generator.fit(guarded, planned, _context(charged.append))
    hold(len(charged) == 1, "a fit charges exactly once")
    hold(charged[0].epsilon >= spent.epsilon, "the charge covers what is spent")
    hold(spent.epsilon <= planned.epsilon, "what is spent is within the plan")
    hold(spent.seeded or not kind.needs_data, "seeded noise is recorded as such")


def samples_labelled_patches(kind: type[Generator]) -> None:
    """Check that samples have the asked number, the fitted size and no patient."""
    drawn = fitted(kind).sample(5, seed=1)
    hold(len(drawn) == 5 and drawn.size == PUBLIC.patch_size, "5 patches of the fitted size")
    hold(drawn.patient is None, "synthetic patches belong to no patient")


def samples_only_when_fitted(kind: type[Generator]) -> None:
    """Check that sampling before a fit is refused."""
    try:
        kind(kind.smoke).sample(1, seed=0)
    except NotFittedError:
        return
    raise LawBrokenError("Sampling before fit must raise NotFittedError.")


def repeats_bit_for_bit(kind: type[Generator]) -> None:
    """Check that one seed gives one result, and another seed of ``sample`` gives another."""
    one, two = fitted(kind), fitted(kind)
    hold(_same(one.sample(8, seed=1), two.sample(8, seed=1)), "a seeded fit repeats")
    hold(not _same(one.sample(8, seed=1), one.sample(8, seed=2)), "another seed, other samples")


def survives_saving(kind: type[Generator]) -> None:
    """Check that a loaded generator draws what the saved one draws, and saves what it loaded.

    Cells share a fit on that ground. Only JSON and safetensors files may be written.
    """
    _survives_saving(fitted(kind))


def _survives_saving(generator: Generator) -> None:
    generator.sample(2, seed=5)  # what was drawn before changes nothing
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as other:
        generator.save(Path(name))
        suffixes = {file.suffix for file in Path(name).rglob("*")}
        hold(suffixes <= WEIGHT_FILES, "only .json and .safetensors files are written")
        loaded = type(generator).load(Path(name))
        for n, seed in ((4, 3), (FEW, 4)):
            drawn, again = generator.sample(n, seed=seed), loaded.sample(n, seed=seed)
            hold(_same(drawn, again), "loading changes nothing")
        loaded.save(Path(other))
        hold(_files(Path(name)) == _files(Path(other)), "a loaded generator saves the same files")


def _files(folder: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def is_blind_if_it_says_so(kind: type[Generator]) -> None:
    """Check that a generator that needs no data gives the same samples for any patients."""
    if kind.needs_data:
        return
    one, two = fitted(kind, patches(0)), fitted(kind, patches(1))
    hold(_same(one.sample(4, seed=0), two.sample(4, seed=0)), "patients move no sample")


def trains_across_sites_if_it_says_so(kind: type[Generator]) -> None:
    """Check every design: plans within the budget, rounds that repeat, replies as announced."""
    if not issubclass(kind, FederatedGenerator):
        return
    for design in kind.designs:
        one, two = _across_sites(kind, design), _across_sites(kind, design)
        hold(_same(one.sample(8, seed=1), two.sample(8, seed=1)), f"{design} repeats")
        _survives_saving(one)


def can_be_mixed_across_sites(kind: type[Generator]) -> None:
    """Check the design ``mixture``, which every generator of patients has.

    The plan must be the same at every ε, but for the noise and its cost. The pool must repeat,
    hold other patches of each site, and be the same after loading.
    """
    if why_not_mixed(kind):
        return
    mixed = mixture_of(kind, FEW)
    one, two = _across_sites(mixed, MIXTURE), _across_sites(mixed, MIXTURE)
    pool = one.sample(FEW, seed=1)
    hold(_same(pool, two.sample(FEW, seed=1)), "a mixture repeats")
    images = [image.tobytes() for image in pool.images]
    hold(len({*images}) > FEW / 2, "sites draw patches of their own")
    _survives_saving(one)


def subjects(kind: type[Generator]) -> Iterator[Subject]:
    """Yield a private generator's fits for both units, and its sites' sides in every design."""
    if not (kind.is_private and kind.needs_data):
        return
    alone = kind.alone if issubclass(kind, Mixture) else kind
    pooled = MIXTURE if issubclass(kind, Mixture) else ""
    for unit in UNITS:
        planned = numbers_of(kind(kind.smoke).plan(PUBLIC, budget_of(kind, unit)))
        yield Subject(
            name=f"{kind.name} (unit {unit})",
            guarantee=planned,
            patches=patches(),
            leaves=partial(_left_by_a_fit, alone, pooled, planned),
        )
        for design in designs_of(kind):
            yield _site_subject(alone, design, unit)


def _left_by_a_fit(
    alone: type[Generator], design: str, planned: Guarantee, data: Patches, noise: Noise
) -> dict[str, bytes]:
    kind = _at_sites(alone, design) if design else alone
    generator, heard = kind(kind.smoke), Heard(noise)
    spent = generator.fit(data, planned, heard.context)
    drawn = generator.sample(8, seed=1)
    with tempfile.TemporaryDirectory() as name:
        generator.save(Path(name))
        files = {f"file {name}": content for name, content in _files(Path(name)).items()}
    return {
        **files,
        **heard.content(),
        "guarantee": repr(spent).encode(),
        "sample": drawn.images.tobytes() + drawn.masks.tobytes(),
    }


def _site_subject(alone: type[Generator], design: str, unit: Unit) -> Subject:
    made = _at_sites(alone, design)(alone.smoke)
    site, schedule = made.at_site(1 / 2), _schedule(made, design)
    planned = numbers_of(site.plan_at_site(PUBLIC, budget_of(alone, unit), schedule))
    return Subject(
        name=f"a site of {alone.name} ({design}, unit {unit})",
        guarantee=planned,
        patches=patches(),
        leaves=partial(_left_at_a_site, alone, design, planned),
    )


def _left_at_a_site(
    alone: type[Generator], design: str, planned: Guarantee, data: Patches, noise: Noise
) -> dict[str, bytes]:
    made = _at_sites(alone, design)(alone.smoke)
    site, schedule = made.at_site(1 / 2), _schedule(made, design)
    server = made.server_side(PUBLIC.patch_size, schedule, _context())
    state, left = server.begin(), dict[str, bytes]()
    for number in range(1, schedule.rounds + 1):
        mine = FitContext(seed=number, noise=noise, charge=lambda charged: None)
        side = site.site_side(data, planned, schedule)
        reply = side.compute(number, server.sent(state), mine)
        left |= {f"{n} of reply {number}": a.tobytes() for n, a in reply.items()}
        state = server.combine(number, state, [reply, reply], [1 / 2, 1 / 2])
    return left


def _of_every_subject(law: Callable[[Subject], None]) -> Law:
    """A law of private fits as one of generators; it asks nothing of those that are not private."""

    @wraps(law)
    def of_kind(kind: type[Generator]) -> None:
        for subject in subjects(kind):
            law(subject)

    return of_kind


def _across_sites(kind: type[FederatedGenerator], design: str) -> FederatedGenerator:
    made, budget = kind(kind.smoke), budget_of(kind)
    schedule, rounds = _schedule(made, design), 1 if design == MIXTURE else 2
    hold(schedule.steps == rounds, "a schedule has the rounds and steps that were asked for")
    site = made.at_site(1 / 2)
    planned = site.plan_at_site(PUBLIC, budget, schedule)
    hold(planned.epsilon <= budget.epsilon, "a site's planned ε is within the target")
    free = site.plan_at_site(PUBLIC, replace(budget, epsilon=math.inf), schedule)
    other = [name for name in ALIKE if getattr(planned, name) != getattr(free, name)]
    hold(not other, f"at ε = ∞ a plan differs in noise and cost alone, not in {', '.join(other)}")
    server = made.server_side(PUBLIC.patch_size, schedule, _context())
    state = server.begin()
    for number in range(1, schedule.rounds + 1):
        replies = []
        for index in range(2):
            side = site.site_side(patches(index), planned, schedule)
            noise = SeededNoise(index, "conformance", number)
            mine = FitContext(seed=index, noise=noise, charge=lambda charged: None)
            replies.append(side.compute(number, server.sent(state), mine))
        for reply in replies:
            hold(_looks(reply) == _looks(server.returned(state, 1 / 2)), "replies are as announced")
        state = server.combine(number, state, replies, [1 / 2, 1 / 2])
    made.close(state, PUBLIC.patch_size)
    return made


def _at_sites(kind: type[Generator], design: str) -> type[FederatedGenerator]:
    """The class that sites train; the pool of a mixture is small."""
    trained = federated(kind, design)
    return mixture_of(trained.alone, FEW) if issubclass(trained, Mixture) else trained


def _schedule(made: FederatedGenerator, design: str) -> Schedule:
    """Two rounds of one step; one round of a mixture, which has no more."""
    return made.schedule(design=design, rounds=1 if design == MIXTURE else 2, local_steps=1)


LAWS: dict[str, Law] = {
    law.__name__: law
    for law in (
        describes_itself,
        plans_within_the_budget,
        refuses_a_budget_it_cannot_honour,
        charges_before_touching,
        samples_labelled_patches,
        samples_only_when_fitted,
        repeats_bit_for_bit,
        survives_saving,
        is_blind_if_it_says_so,
        trains_across_sites_if_it_says_so,
        can_be_mixed_across_sites,
        *map(_of_every_subject, conformance.LAWS.values()),
    )
}


def _context(charge: Callable[[Guarantee], None] = lambda guarantee: None) -> FitContext:
    return FitContext(seed=0, noise=SeededNoise(0, "conformance"), charge=charge)


def _looks(state: Arrays) -> dict[str, Any]:
    return {name: (array.shape, array.dtype) for name, array in state.items()}


def _same(one: Patches, two: Patches) -> bool:
    return np.array_equal(one.images, two.images) and np.array_equal(one.masks, two.masks)
