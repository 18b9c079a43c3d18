"""Conformance laws of Poisson draws: how often each unit enters, and that nobody else does.

Sampling amplifies privacy only if a step's sum depends on nobody but whom the step drew. Whether a
fit reads others cannot be seen, as it may copy its patches first. But whether others move a sum
can: they are blanked, and the same fit is replayed with the same draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.laws import hold
from benchmark.core.mechanism import Integers
from benchmark.privacy.fresh_replay import Elsewhere, Fed, Feed
from benchmark.privacy.neighbours import blank_units
from benchmark.privacy.replay import Draw, Recorder
from benchmark.privacy.subject import Subject

CHANCE = 1e-6
"""The probability with which a correct subject draws at rates that break the law."""

ENTRIES = 12
"""How often each unit is expected in the draws: enough to see one that enters always, or never."""

TRIED = 2
"""How often each unit is expected in the draws of fits that are replayed."""

LEAST, REPEATS = 4, 40
"""The fewest fits that are replayed, and the most that are made."""


class Step(NamedTuple):
    """A step of a fit: the units that it drew, rising, and its sums."""

    drawn: NDArray[np.int64]
    sums: Integers


class Trial(NamedTuple):
    """A fit, and the units that are blank in its replay."""

    steps: Sequence[Step]
    blank: NDArray[np.int64]


def draws_every_unit_at_the_accounted_rate(subject: Subject) -> None:
    """Check that each mechanism has a Poisson draw of its own, of every unit at the rate q.

    Raises:
        LawBrokenError: If it has none, or the rate of a unit is not q.
    """
    rate, counts, steps = subject.guarantee.sampling_rate, np.zeros(subject.units), 0
    if rate == 1:
        return
    for number in range(REPEATS):
        for step in _steps(subject, subject.record(subject.patches, number)):
            counts[step.drawn] += 1
            steps += 1
        if steps * rate >= ENTRIES:
            break
    _hold_rates(subject, counts, steps)


def _hold_rates(subject: Subject, counts: NDArray[np.float64], steps: int) -> None:
    """Every unit by itself: pooled, one that is drawn twice as often is lost among the others."""
    from scipy.stats import binom

    law = binom(steps, subject.guarantee.sampling_rate)
    rare = np.minimum(law.cdf(counts), law.sf(counts - 1)) * 2 * len(counts) < CHANCE
    hold(not rare.any(), f"{subject.name} draws every unit at the accounted rate")


def learns_of_nobody_but_whom_it_drew(subject: Subject) -> None:
    """Check that a step's sums depend on the units that it drew, and on no others.

    Some units are blanked, and the fit is replayed with the same draws and outputs. The sums of a
    step that drew none of them must be the same to the last bit. Of the steps that drew one, some
    sum must differ: else the draws are for show. In every other fit many units are blank at once,
    in the others one that was drawn.

    Raises:
        LawBrokenError: If the sums depend on others, or on nobody.
    """
    if subject.guarantee.sampling_rate == 1:
        return
    elsewhere, trials, feeds = Elsewhere(subject), list[Trial](), list[Feed]()
    for number in range(REPEATS):
        recorder = subject.record(subject.patches, number)
        trials.append(_trial(subject, list(_steps(subject, recorder)), number))
        patches = blank_units(subject.patches, subject.guarantee.unit, trials[-1].blank)
        feeds.append(
            Feed(what="blank units", patches=patches, outputs=recorder.outputs, number=number)
        )
        steps = sum(len(trial.steps) for trial in trials)
        if number + 1 >= LEAST and steps * subject.guarantee.sampling_rate >= TRIED:
            break
    moved = [
        one
        for trial, fed in zip(trials, elsewhere.fed(feeds), strict=True)
        for one in _moved(subject, trial, fed)
    ]
    hold(any(moved) or not moved, f"whom {subject.name} draws, its sums depend on")


def _trial(subject: Subject, steps: Sequence[Step], number: int) -> Trial:
    turn = number // 2
    drawn = np.unique(np.concatenate([step.drawn for step in steps]))
    if number % 2 and len(drawn):
        return Trial(steps, drawn[[turn % len(drawn)]])
    return Trial(steps, _not_drawn(steps, subject.units, turn % len(steps)))


def _not_drawn(steps: Sequence[Step], units: int, first: int) -> NDArray[np.int64]:
    """Whom none of some steps drew: of as many steps in a row as drew half of all units at most."""
    drawn = steps[first].drawn
    for step in steps[first + 1 :]:
        more = np.union1d(drawn, step.drawn)
        if len(more) > units / 2:
            break
        drawn = more
    return np.setdiff1d(np.arange(units), drawn)


def _moved(subject: Subject, trial: Trial, fed: Fed) -> Iterator[bool]:
    """Whether the sums of each step that drew a blank unit moved; all others must not have."""
    for here, there in zip(trial.steps, _steps(subject, fed), strict=True):
        hold(
            np.array_equal(here.drawn, there.drawn), f"the draws of {subject.name} are the noise's"
        )
        is_same = np.array_equal(here.sums, there.sums)
        if np.isin(here.drawn, trial.blank).any():
            yield not is_same
        else:
            hold(is_same, f"{subject.name} learns of nobody but whom it drew")


def _steps(subject: Subject, fit: Recorder | Fed) -> Iterator[Step]:
    """Each mechanism's own draw, and its sums."""
    said, draw = subject.guarantee, None
    for event in fit.events:
        if isinstance(event, Draw):
            draw = event
            hold(
                (draw.units, draw.rate) == (subject.units, said.sampling_rate),
                f"a draw is of {subject.units} units at a rate of {said.sampling_rate:.4g}",
            )
            continue
        hold(draw is not None, f"{subject.name} draws anew for every mechanism")
        assert draw is not None  # noqa: S101  (held above)
        yield Step(draw.drawn, event.sums)
        draw = None
