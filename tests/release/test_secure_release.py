"""A release of what secure sums trained: whom its promise holds against, and whom it counts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from releases import (
    PATIENTS,
    Said,
    across_secure_sums,
    changed,
    checked,
    faults,
    says,
    write,
)

from benchmark.release.checks.evidence import people_of
from benchmark.release.dossier.page import document_of
from benchmark.release.dossier.phrases import Phrases
from benchmark.release.statement import Statement

pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture(scope="module")
def summed(cache: Path) -> Statement:
    return across_secure_sums(cache)


def test_an_honest_one_holds_and_counts_everybody_once(summed: Statement, tmp_path: Path) -> None:
    verdict = checked(write(tmp_path / "release", summed))
    assert not verdict.faults
    (place,) = summed.places
    assert people_of(summed, place) == PATIENTS
    (told,) = [line for line in verdict.lines() if line.startswith("It promises")]
    assert "also against the server and any 1 other site together" in told
    assert told.endswith("were the simulated sites machines of their own.")


def of_a_site(**said: object) -> Callable[[Said], None]:
    return lambda content: content["sites"][0]["guarantee"].update(said)


def of_t(curious: int | None) -> Callable[[Said], None]:
    return lambda content: content["spec"]["federation"].update(curious=curious)


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (of_a_site(patients=8), "not one guarantee of the whole fit"),
        (of_a_site(noise_multiplier=9.0), "not one guarantee of the whole fit"),
        (lambda c: c["sites"].pop(), "it has guarantees of 2 sites, and its spec has 3"),
        (of_t(0), "its spec's key is"),
    ],
)
def test_nothing_false_can_be_promised_of_it(
    lie: Callable[[Said], object], words: str, summed: Statement, tmp_path: Path
) -> None:
    found = faults(tmp_path / "release", changed(summed, lie))
    assert says(found, words), found


@pytest.mark.parametrize(
    ("curious", "words"),
    [(1, "the server and any 1 of the other sites together"), (0, "sized for none that does")],
)
def test_the_dossier_says_whose_noise_it_was(curious: int, words: str, cache: Path) -> None:
    said = str(document_of(across_secure_sums(cache, curious), Phrases.of("en")))
    assert words in said
    assert "Each site added its own noise" not in said
    assert f"{PATIENTS} patients of 3 sites" in said
