"""How long the rest of a sweep is said to take."""

import pytest

from benchmark.terminal.remaining import Remaining


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_estimated_before_a_cell_that_ran_has_ended() -> None:
    known = Remaining(4)
    assert (known.seconds, known.words) == (None, "0 of 4")
    known.end("could not be planned")
    assert (known.seconds, known.words) == (None, "1 of 4")


def test_of_equal_cells_the_estimate_is_exact_alone_and_side_by_side() -> None:
    for beside in (1, 2, 3):
        clock = Clock()
        known = Remaining(6, clock)
        for start in range(0, 6, beside):
            for key in range(start, start + beside):
                known.begin(str(key))
                known.begin(str(key))
            clock.now += 50
            if start:
                assert known.seconds == pytest.approx(100 * (6 - start) / beside - 50)
            clock.now += 50
            for key in range(start, start + beside):
                known.end(str(key))
            assert known.seconds == pytest.approx(100 * (6 - start - beside) / beside)
    assert known.words == "6 of 6"


def test_a_cell_that_takes_longer_than_the_mean_never_makes_time_negative() -> None:
    clock = Clock()
    known = Remaining(2, clock)
    known.begin("a")
    clock.now = 10
    known.end("a")
    known.begin("b")
    clock.now = 500
    assert known.seconds == 0
    assert known.words == "1 of 2, about 10 s left"
