"""A fresh process knows nothing of this one but its environment and what it is told."""

from __future__ import annotations

import os
import sys

import pytest

from benchmark.core.fresh_process import ProcessEndedError, in_fresh_process, no_main_file

KEPT: list[int] = []


def kept_here() -> list[int]:
    return KEPT


def variable(name: str) -> str:
    return os.environ[name]


def ends(code: int) -> None:
    os._exit(code)


def fails() -> None:
    raise ValueError("said on its own standard error")


def test_what_this_process_keeps_is_not_there() -> None:
    KEPT.append(1)
    assert in_fresh_process(kept_here) == []
    assert kept_here() == [1]


def test_its_environment_is_this_one_s_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("one", "two"):
        monkeypatch.setenv("ANGIOBENCH_TEST_OF_NOW", value)
        assert in_fresh_process(variable, "ANGIOBENCH_TEST_OF_NOW") == value


def test_a_process_that_ends_without_an_answer_is_told_of() -> None:
    with pytest.raises(ProcessEndedError, match="exit code 7"):
        in_fresh_process(ends, 7)
    with pytest.raises(ProcessEndedError, match="exit code 1"):
        in_fresh_process(fails)


def test_the_main_file_is_hidden_only_for_the_start() -> None:
    before = vars(sys.modules["__main__"]).get("__spec__")
    with no_main_file():
        assert vars(sys.modules["__main__"])["__spec__"] is None
    assert vars(sys.modules["__main__"]).get("__spec__") is before
