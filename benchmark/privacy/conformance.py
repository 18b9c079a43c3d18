"""Laws that every private fit must keep, measured from outside.

A subject is a fit, or a site's side of one. The laws need only a function from patches and noise to
everything that the fit releases. Two laws together carry the whole guarantee. First, one unit moves
what passes through ``Noise.noised`` or ``Noise.chosen`` no further, and the noise is no smaller,
than was accounted. Second, everything that is released is a function of those outputs alone. The
second law follows dp-recorder (arXiv:2602.17454), which replays a program to find what its
mechanisms received.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core.budget import Guarantee
from benchmark.core.generator import FitContext
from benchmark.core.laws import LawBrokenError, hold
from benchmark.core.mechanism import Noise
from benchmark.core.patches import Patches
from benchmark.privacy import choice_laws
from benchmark.privacy.randomness import SeededNoise
from benchmark.privacy.replay import Chosen, Draw, Output, Recorder, Replayer, Unseeded

DEVIATIONS = 5.0
CHANCE = 1e-6
"""The probability with which a correct subject fails a measured law."""

ENOUGH = 150
"""How many numbers it takes to tell the right noise from 0.7 of it by their spread."""

ENTRIES = 12
"""How often each unit is expected in the draws: enough to see one that enters always, or never."""

REPEATS = 40
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A fit, or a site's side of one, that is tested.

    Attributes:
        name: The name for messages.
        guarantee: What it claims.
        patches: The patches that it is tested on.
        leaves: Maps patches and noise to everything that the fit releases, as bytes by name.
    """

    name: str
    guarantee: Guarantee
    patches: Patches
    leaves: Callable[[Patches, Noise], Mapping[str, bytes]]

    @property
    def units(self) -> int:
        """The public number of units, N."""
        each = 1 if self.guarantee.unit == "patient" else self.guarantee.patches_per_patient
        return self.guarantee.patients * each

    def source(self, number: int = 0) -> Noise:
        """Make a seeded noise source; the same number gives the same noise."""
        return SeededNoise("conformance", self.name, number)

    def record(self, patches: Patches, number: int = 0) -> Recorder:
        """Run the fit once and record the draws and the outputs of its mechanisms.

        Args:
            patches: The patches to fit on.
            number: The number of the noise source.
        """
        recorder = Recorder(self.source(number))
        self.leaves(patches, recorder)
        return recorder


def is_post_processing_but_for_its_mechanisms(subject: Subject) -> None:
    """Check that everything a fit releases depends on its mechanisms' outputs alone.

    The outputs of one fit are replayed to fits on neighbouring, other, blank and no data; all must
    end the same. The noise says that it is unseeded, as for patients, because a fit might behave
    differently when it sees a seed.

    Raises:
        LawBrokenError: If something else leaves.
    """
    recorder = Recorder(Unseeded(subject.source()))
    expected = subject.leaves(subject.patches, recorder)
    for what, other in others(subject.patches).items():
        replayer = Replayer(Unseeded(subject.source()), recorder.outputs)
        found = _left_by(subject, other, replayer, what)
        different = sorted(k for k in {*expected, *found} if expected.get(k) != found.get(k))
        hold(
            not different and replayer.is_over,
            f"all but its mechanisms is post-processing; {subject.name}, fed their outputs, leaves "
            f"another {', '.join(different) or 'number of outputs'} on {what}",
        )


def noise_is_that_which_was_accounted(subject: Subject) -> None:
    """Check on blank data that outputs have the accounted spread and number.

    The standard deviation must be σ times the sensitivity, there must be T outputs, and
    neighbouring numbers must not correlate. Choices are checked by their own law.

    Raises:
        LawBrokenError: If the noise is not that which was accounted.
    """
    if subject.guarantee.is_pure:
        _hold_choices(subject)
        return
    said, nobody = subject.guarantee, blank(subject.patches)
    expected, seen = said.noise_multiplier * said.sensitivity, 0
    found: list[NDArray[Any]] = []
    for number in range(REPEATS):
        recorded = subject.record(nobody, number).outputs
        outputs = [one for one in recorded if isinstance(one, Output)]
        _hold_count(subject, len(recorded), len(outputs))
        found += [(one.noised - one.sums) * one.grid.spacing for one in outputs]
        seen += sum(len(one.sums) for one in outputs)
        if seen >= ENOUGH:
            break
    drawn = np.concatenate(found)
    spread, room = float(drawn.std()), DEVIATIONS / math.sqrt(2 * len(drawn))
    hold(
        abs(spread / expected - 1) <= room,
        f"noise has the deviation that was accounted; {subject.name} has {spread:.4g} for "
        f"{expected:.4g}",
    )
    hold(
        abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) <= DEVIATIONS / math.sqrt(len(drawn)),
        "noise is new for every number",
    )


def _hold_choices(subject: Subject) -> None:
    recorded = subject.record(subject.patches).outputs
    made = [one for one in recorded if isinstance(one, Chosen)]
    _hold_count(subject, len(recorded), len(made))
    choice_laws.noise_is_accounted(subject.name, subject.guarantee, made, subject.source())


def _hold_count(subject: Subject, recorded: int, of_its_kind: int) -> None:
    """As many mechanisms as were charged, and all of the kind that was."""
    steps = subject.guarantee.steps
    hold(recorded == of_its_kind == steps, f"{subject.name} runs {steps} mechanisms, as charged")


def one_unit_moves_its_sums_by_the_sensitivity_at_most(subject: Subject) -> None:
    """Check that blanking one unit moves no sum by more than the sensitivity.

    All outputs of the mechanisms are replayed, so that both fits take the same steps.

    Raises:
        LawBrokenError: If a sum moves further.
    """
    recorder = subject.record(subject.patches)
    for without in neighbours(subject.patches, subject.guarantee.unit):
        replayer = Replayer(subject.source(), recorder.outputs)
        _left_by(subject, without, replayer, "a neighbour")
        for here, there in zip(recorder.outputs, replayer.outputs, strict=True):
            _hold_moved(subject, here, there)


def _hold_moved(subject: Subject, whole: Output | Chosen, without: Output | Chosen) -> None:
    """What a unit that is blank in one of two fits moved."""
    said, moved = subject.guarantee, whole.sums - without.sums
    if isinstance(whole, Chosen):
        choice_laws.one_unit_adds_a_full_score_at_most(subject.name, said, moved, whole.choice)
        return
    far = float(np.linalg.norm(moved.astype(np.float64))) * whole.grid.spacing
    hold(
        far <= said.sensitivity * (1 + ROUNDING),
        f"one {said.unit} moves a sum by {said.sensitivity:.6g} at most; it moved one of "
        f"{subject.name} by {far:.6g}",
    )


def draws_every_unit_at_the_accounted_rate(subject: Subject) -> None:
    """Check that each step reads only units of its own Poisson draw, at the rate q.

    Raises:
        LawBrokenError: If another unit is read, or the rate of a unit is not q.
    """
    said, counts, steps = subject.guarantee, np.zeros(subject.units), 0
    if said.sampling_rate == 1:
        return
    for number in range(REPEATS):
        for draw, read in _steps(subject, number):
            hold(
                (draw.units, draw.rate) == (subject.units, said.sampling_rate),
                f"a draw is of {subject.units} units at a rate of {said.sampling_rate:.4g}",
            )
            strangers = np.setdiff1d(read, draw.drawn)
            hold(not len(strangers), f"{subject.name} reads nobody but whom it drew")
            counts[draw.drawn] += 1
            steps += 1
        if steps * said.sampling_rate >= ENTRIES:
            break
    _hold_rates(subject, counts, steps)


def _hold_rates(subject: Subject, counts: NDArray[np.float64], steps: int) -> None:
    """Every unit by itself: pooled, one that is drawn twice as often is lost among the others."""
    from scipy.stats import binom

    law = binom(steps, subject.guarantee.sampling_rate)
    rare = np.minimum(law.cdf(counts), law.sf(counts - 1)) * 2 * len(counts) < CHANCE
    hold(not rare.any(), f"{subject.name} draws every unit at the accounted rate")


def _steps(subject: Subject, number: int) -> Iterator[tuple[Draw, NDArray[np.int64]]]:
    """Each mechanism's draw, and the units that were read for it."""
    recorder = Recorder(subject.source(number))
    watched, reads = _watched(subject.patches, recorder)
    subject.leaves(watched, recorder)
    unit_of = _unit_of(subject.patches, subject.guarantee.unit)
    draw: tuple[int, Draw] | None = None
    for place, event in enumerate(recorder.events):
        if isinstance(event, Draw):
            draw = (place + 1, event)
            continue
        hold(draw is not None, f"{subject.name} draws anew for every mechanism")
        assert draw is not None  # noqa: S101  (held above)
        begun, drawn = draw
        seen = [rows for at, rows in reads if begun <= at <= place]
        yield drawn, np.unique(unit_of[np.concatenate([np.empty(0, np.int64), *seen])])
        draw = None


class Heard:
    """A recorder for what a fit reports while it runs.

    Args:
        noise: The noise source of the fit.

    Attributes:
        context: The context to fit with.
    """

    def __init__(self, noise: Noise) -> None:
        self._told: list[str] = []
        self._kept = _Kept()
        self.context = FitContext(
            seed=0,
            noise=noise,
            charge=lambda charged: self._told.append(repr(charged)),
            progress=lambda *told: self._told.append(repr(told)),
            checkpoint=self._kept,
        )

    def content(self) -> dict[str, bytes]:
        """Return all charges, curves and checkpoints as bytes, by what they are."""
        told = "\n".join(self._told).encode()
        return {"charge or curve": told, "checkpoint": self._kept.content()}


class _Kept:
    """A checkpoint that keeps what a fit would leave on the disk.

    Attributes:
        state: None: nothing is gone on from.
    """

    state = None

    def __init__(self) -> None:
        self._last: Any = None

    def save(self, state: Any) -> None:
        """The last state only."""
        self._last = state

    def counted(self) -> int:
        """Nothing before."""
        return 0

    def content(self) -> bytes:
        """The last state's tally and tensors."""
        if self._last is None:
            return b""
        tensors = sorted(self._last.tensors.items())
        rows = [f"{name} {tensor.detach().cpu().numpy().tobytes()!r}" for name, tensor in tensors]
        return "\n".join([repr(self._last.tally), *rows]).encode()


LAWS: dict[str, Callable[[Subject], None]] = {
    law.__name__: law
    for law in (
        is_post_processing_but_for_its_mechanisms,
        noise_is_that_which_was_accounted,
        one_unit_moves_its_sums_by_the_sensitivity_at_most,
        draws_every_unit_at_the_accounted_rate,
    )
}


def others(patches: Patches) -> dict[str, Patches]:
    """Make other data sets with the same public numbers.

    Returns:
        By description: data without a patient, without a patch, random data, blank patches and no
        patches.
    """
    rng = np.random.default_rng(1)
    masks = (rng.random(patches.masks.shape) < 0.2).astype(np.uint8)
    images = rng.uniform(-1, 1, patches.images.shape).astype(np.float32)
    patient, patch = (next(neighbours(patches, unit)) for unit in ("patient", "patch"))
    return {
        "data without a patient": patient,
        "data without a patch": patch,
        "wholly other data": replace(patches, images=images, masks=masks),
        "blank patches": blank(patches),
        "no patches": _kept(patches, np.zeros(len(patches), bool)),
    }


def blank(patches: Patches) -> Patches:
    """Return the same number of patches with images and masks of zeros."""
    return replace(
        patches, images=np.zeros_like(patches.images), masks=np.zeros_like(patches.masks)
    )


def neighbours(patches: Patches, unit: str) -> Iterator[Patches]:
    """Yield copies of the data with one unit removed.

    The unit is the first and then the last patient, or the last patch of each.

    Args:
        patches: The patients' patches.
        unit: ``patient`` or ``patch``.
    """
    assert patches.patient is not None  # noqa: S101  (subjects are tried on patients)
    for patient in (0, patches.patients - 1):
        gone = patches.patient == patient
        if unit == "patch":
            gone &= np.arange(len(patches)) == np.flatnonzero(gone)[-1]
        yield _kept(patches, ~gone)


def _kept(patches: Patches, kept: NDArray[np.bool_]) -> Patches:
    assert patches.patient is not None  # noqa: S101  (subjects are tried on patients)
    return replace(
        patches,
        images=patches.images[kept],
        masks=patches.masks[kept],
        patient=patches.patient[kept],
    )


def _left_by(subject: Subject, patches: Patches, noise: Noise, what: str) -> Mapping[str, bytes]:
    """All that leaves; a fit that ends otherwise than by leaving it breaks the law."""
    try:
        return subject.leaves(patches, noise)
    except LawBrokenError as error:
        raise LawBrokenError(f"{subject.name}, on {what}: {error}") from None
    except Exception as error:
        raise LawBrokenError(
            f"The law is: how a fit ends depends on no patient; {subject.name}, on {what}, raised "
            f"{type(error).__name__}: {error}"
        ) from error


def _unit_of(patches: Patches, unit: str) -> NDArray[np.int64]:
    """The unit of every patch: its patient, or its slot."""
    assert patches.patient is not None  # noqa: S101  (subjects are tried on patients)
    if unit == "patient":
        return patches.patient
    place = np.zeros(len(patches), np.int64)
    for patient in range(patches.patients):
        mine = np.flatnonzero(patches.patient == patient)
        place[mine] = patient * patches.patches_per_patient + np.arange(len(mine))
    return place


class _Array(np.ndarray[Any, Any]):
    """An array that tells whose rows are read."""

    told: Callable[[Any], None] | None = None

    def __getitem__(self, index: Any) -> Any:
        if self.told is not None:
            self.told(index)
        return np.asarray(self)[index]


def _watched(
    patches: Patches, recorder: Recorder
) -> tuple[Patches, list[tuple[int, NDArray[np.int64]]]]:
    """The same patches, and a list of which rows are read after how many events."""
    reads: list[tuple[int, NDArray[np.int64]]] = []

    def told(index: Any) -> None:
        reads.append((len(recorder.events), np.atleast_1d(np.arange(len(patches))[index])))

    arrays = {}
    for name in ("images", "masks"):
        arrays[name] = getattr(patches, name).view(_Array)
    made = replace(patches, **arrays)
    for array in arrays.values():
        array.told = told
    return made, reads
