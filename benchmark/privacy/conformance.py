"""Laws that every private fit must keep, measured from outside.

The laws need only a function from patches and noise to everything that a fit releases
(``subject``). Two laws together carry the whole guarantee. First, one unit moves what passes
through ``Noise.noised`` or ``Noise.chosen`` no further, and the noise is no smaller, than was
accounted. Second, everything that is released is a function of those outputs alone. The second law
follows dp-recorder (arXiv:2602.17454), which replays a program to find what its mechanisms
received. Replays are made in a process that has not seen the patients (``fresh_replay``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core.laws import hold
from benchmark.core.patches import Patches
from benchmark.privacy import choice_laws
from benchmark.privacy.draw_laws import (
    draws_every_unit_at_the_accounted_rate,
    learns_of_nobody_but_whom_it_drew,
)
from benchmark.privacy.fresh_replay import Elsewhere, Feed
from benchmark.privacy.neighbours import Neighbour, blank, neighbours, others
from benchmark.privacy.replay import Chosen, Output, Recorder
from benchmark.privacy.subject import Subject

DEVIATIONS = 5.0
"""By how many standard deviations a measured spread may differ from the accounted one."""

ENOUGH = 150
"""How many numbers it takes to tell the right noise from 0.7 of it by their spread."""

REPEATS = 40
ROUNDING = 1e-9


def is_post_processing_but_for_its_mechanisms(subject: Subject) -> None:
    """Check that everything a fit releases depends on its mechanisms' outputs alone.

    The outputs of one fit are replayed to fits on neighbouring, other, blank and no data, in a
    fresh process; all must end the same. The noise says that it is unseeded, as for patients,
    because a fit might behave differently when it sees a seed.

    Raises:
        LawBrokenError: If something else leaves.
    """
    elsewhere, recorder = Elsewhere(subject), Recorder(subject.source())
    expected = subject.leaves(subject.patches, recorder)
    feeds = [
        Feed(what=what, patches=patches, outputs=recorder.outputs)
        for what, patches in others(subject.patches).items()
    ]
    for feed, fed in zip(feeds, elsewhere.fed(feeds), strict=True):
        different = sorted(k for k in {*expected, *fed.left} if expected.get(k) != fed.left.get(k))
        hold(
            not different,
            f"all but its mechanisms is post-processing; {subject.name}, fed their outputs, leaves "
            f"another {', '.join(different)} on {feed.what}",
        )


def noise_is_that_which_was_accounted(subject: Subject) -> None:
    """Check that outputs have the accounted spread and number, on blank data and on patients.

    The standard deviation must be σ times the sensitivity, there must be T outputs, and
    neighbouring numbers must not correlate. Choices are checked by their own law.

    Raises:
        LawBrokenError: If the noise is not that which was accounted.
    """
    if subject.guarantee.is_pure:
        _hold_choices(subject)
        return
    _hold_noise(subject, blank(subject.patches), "blank patches")
    _hold_noise(subject, subject.patches, "patients' patches")


def _hold_noise(subject: Subject, patches: Patches, what: str) -> None:
    expected = subject.guarantee.noise_multiplier * subject.guarantee.sensitivity
    drawn = _noise_of(subject, patches)
    spread, room = float(drawn.std()), DEVIATIONS / math.sqrt(2 * len(drawn))
    hold(
        abs(spread / expected - 1) <= room,
        f"noise has the deviation that was accounted; {subject.name} has {spread:.4g} for "
        f"{expected:.4g} on {what}",
    )
    hold(
        abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) <= DEVIATIONS / math.sqrt(len(drawn)),
        f"noise is new for every number; that of {subject.name} is not on {what}",
    )


def _noise_of(subject: Subject, patches: Patches) -> NDArray[Any]:
    """The noise of some fits, enough numbers of it, in the units of the sums."""
    found: list[NDArray[Any]] = []
    for number in range(REPEATS):
        recorded = subject.record(patches, number).outputs
        outputs = [one for one in recorded if isinstance(one, Output)]
        _hold_count(subject, len(recorded), len(outputs))
        found += [(one.noised - one.sums) * one.grid.spacing for one in outputs]
        if sum(map(len, found)) >= ENOUGH:
            break
    return np.concatenate(found)


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
    """Check that one unit moves no sum by more than the sensitivity, whichever it is.

    All outputs of the mechanisms are replayed, so that both fits take the same steps. A unit that
    is gone moves a sum once at most, and one that is blank in its place twice.

    Raises:
        LawBrokenError: If a sum moves further.
    """
    elsewhere, recorder = Elsewhere(subject), subject.record(subject.patches)
    near = list(neighbours(subject.patches, subject.guarantee.unit))
    feeds = [
        Feed(what=one.what, patches=one.patches, outputs=recorder.outputs, places=one.places)
        for one in near
    ]
    for one, fed in zip(near, elsewhere.fed(feeds), strict=True):
        for whole, without in zip(recorder.outputs, fed.outputs, strict=True):
            _hold_moved(subject, one, whole, without)


def _hold_moved(
    subject: Subject, near: Neighbour, whole: Output | Chosen, without: Output | Chosen
) -> None:
    """What one unit moved."""
    said, moved = subject.guarantee, whole.sums - without.sums
    if isinstance(whole, Chosen):
        held = (
            choice_laws.one_other_unit_moves_a_score_by_a_full_one_at_most
            if near.is_blank
            else choice_laws.one_unit_adds_a_full_score_at_most
        )
        held(subject.name, said, moved, whole.choice)
        return
    far = float(np.linalg.norm(moved.astype(np.float64))) * whole.grid.spacing
    most = said.sensitivity * (2 if near.is_blank else 1)
    hold(
        far <= most * (1 + ROUNDING),
        f"one {said.unit} moves a sum by {most:.6g} at most; it moved one of {subject.name} by "
        f"{far:.6g} on {near.what}",
    )


LAWS: dict[str, Callable[[Subject], None]] = {
    law.__name__: law
    for law in (
        is_post_processing_but_for_its_mechanisms,
        noise_is_that_which_was_accounted,
        one_unit_moves_its_sums_by_the_sensitivity_at_most,
        draws_every_unit_at_the_accounted_rate,
        learns_of_nobody_but_whom_it_drew,
    )
}
