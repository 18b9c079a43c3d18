"""The laws of the dossier: page and PDF are the statement, whole, alike, and the same each time."""

import hashlib
import html
import math
import os
import re
import string
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

import pytest
from dossiers import CANARIES, FIGURES, HOSTILE, KINDS, REASONS, federated, row, sheet, summed
from pdf_text import text_of
from statements import statement

from benchmark.core.budget import delta_text, epsilon_text
from benchmark.core.errors import UsageError
from benchmark.release.dossier.belief import Curve, belief_after, curve, percent, references
from benchmark.release.dossier.page import document_of, dossier_html
from benchmark.release.dossier.pdf import dossier_pdf
from benchmark.release.dossier.phrases import TEXTS, Phrases, languages
from benchmark.release.dossier.worth import compared
from benchmark.release.statement import Statement, UtilityRow

SAY = Phrases.of("en")
FOOT = r"Privacy dossier · Release .{,90} page \d of \d$"
UNSEEN = {"name", "look", "tone", "language", "created", "footer", "words"}
"""Fields of a document that are no visible text."""

EVERY = pytest.mark.parametrize("kind", KINDS)


def flat(text: str) -> str:
    """Without white space, as lines end elsewhere on paper."""
    return re.sub(r"\s", "", text)


def seen(page: str) -> str:
    """What a reader of the page sees, and its texts for those who cannot see it."""
    body = page[page.index("<body>") :]
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


@cache
def page_of(kind: str) -> str:
    return dossier_html(KINDS[kind], sheet())


@cache
def pages_of(kind: str) -> tuple[str, ...]:
    return tuple(text_of(dossier_pdf(KINDS[kind], sheet())))


def printed(made: Statement | str) -> str:
    """The text of a PDF without what stands on every page, as paragraphs run on to the next."""
    one = KINDS[made] if isinstance(made, str) else made
    texts = pages_of(made) if isinstance(made, str) else text_of(dossier_pdf(made, sheet()))
    warned = document_of(one, SAY).warned
    banner = " ".join((warned.title, warned.lead, *warned.reasons)) if warned else ""
    pages = [texts[0], *(page.removeprefix(banner) for page in texts[1:])]
    return " ".join(re.sub(FOOT, "", page) for page in pages)


def words_of(part: object) -> Iterator[str]:
    """Every text in a document that both page and PDF have to show."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, tuple):
        for one in part:
            yield from words_of(one)
    elif is_dataclass(part):
        hidden = UNSEEN - {"name"} if isinstance(part, Curve) else UNSEEN
        for field in fields(part):
            if field.name not in hidden:
                yield from words_of(getattr(part, field.name))


@EVERY
def test_page_and_pdf_say_all_that_the_document_says(kind: str) -> None:
    one = KINDS[kind]
    document = document_of(one, SAY)
    page, paper = flat(seen(page_of(kind))), flat(printed(kind))
    said = {flat(text) for text in words_of(document)}
    assert len(said) > 80
    assert [text for text in said if text not in page] == []
    assert [text for text in said if text not in paper] == []


def _patients(one: Statement) -> int:
    """With secure sums N at every site is that of all."""
    many = [site.guarantee.patients for site in one.sites if one.spec.curious is None]
    return sum(many) or one.guarantee.patients


@EVERY
def test_every_number_that_matters_is_told(kind: str) -> None:
    one = KINDS[kind]
    given = one.guarantee
    due = [f"{one.samples.n:,}", one.run, one.samples.generator, one.licence, one.created]
    due += [epsilon_text(given.epsilon_patient), epsilon_text(given.epsilon_patch)]
    due += ["0" if given.is_pure else delta_text(given.delta)]
    due += [] if given.epsilon == 0 else [str(_patients(one))]
    if one.ledger:
        due += [epsilon_text(one.ledger.after), one.ledger.entries[0].hash[:12]]
    if one.audit:
        for test in (one.audit, *one.audit.further):
            due += [f"{test.candidates:,}", f"{test.provable:.2f}", epsilon_text(test.claim)]
        if one.audit.method == "membership":
            due += [f"{one.audit.samples:,}"]
    for site in one.sites:
        due += [site.site, epsilon_text(site.guarantee.epsilon_patient), site.consent[:12]]
    for scored in one.utility:
        due += [f"{scored.dice.mean:.3f} [{scored.dice.low:.3f}, {scored.dice.high:.3f}]"]
    page, paper = flat(seen(page_of(kind))), flat(printed(kind))
    for number in map(flat, due):
        assert number in page
        assert number in paper


@EVERY
def test_a_dossier_has_at_most_four_pages(kind: str) -> None:
    assert len(pages_of(kind)) <= 4


def test_the_same_release_has_the_same_dossier_in_another_process() -> None:
    command = (
        "import hashlib; from dossiers import *; from benchmark.release.dossier.page import *;"
        "from benchmark.release.dossier.pdf import *; one, image = KINDS['disclosed'], sheet();"
        "both = dossier_html(one, image).encode() + dossier_pdf(one, image);"
        "print(hashlib.sha256(both).hexdigest())"
    )
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[1])])
    elsewhere = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "PYTHONPATH": paths}
    told = subprocess.run(
        [sys.executable, "-c", command], env=elsewhere, capture_output=True, text=True, check=True
    )
    one, image = KINDS["disclosed"], sheet()
    both = dossier_html(one, image).encode() + dossier_pdf(one, image)
    assert told.stdout.strip() == hashlib.sha256(both).hexdigest()
    assert b"D:20261130000000" in both


def test_the_page_shows_the_contact_sheet_that_it_was_given() -> None:
    assert "data:image/png;base64,AAAA" in dossier_html(statement(), b"\0\0\0")


@EVERY
def test_the_page_needs_no_network_and_no_script(kind: str) -> None:
    page = page_of(kind)
    addresses = re.findall(r"(?:src|href|action|data)=[\"']?([^\"' >]*)|url\(([^)]*)\)", page)
    assert all(one[0].startswith("data:image/png") for one in addresses)
    assert len(addresses) == 1
    assert not re.search(r"<(script|link|iframe|object)|@import|https?://", page)


def test_hostile_names_stay_text() -> None:
    one = federated(2, HOSTILE).but(mechanism=HOSTILE)
    page = dossier_html(one, sheet())
    assert "<script" not in page
    assert "\x1b" not in page
    shown = "<script>alert(1)</script> [/] {n} [31m"
    assert flat(shown) in flat(seen(page))
    assert flat(shown) in flat(printed(one))


def test_a_hostile_reason_stays_text() -> None:
    one = statement(claim="not private", reasons=[HOSTILE])
    assert "<script" not in dossier_html(one, sheet())
    assert flat("alert(1)</script> [/] {n}") in flat(printed(one))


@pytest.mark.parametrize("kind", ["not private", "no ε", "refuted"])
def test_every_page_of_a_release_that_is_not_private_says_so_and_why(kind: str) -> None:
    pages = pages_of(kind)
    assert len(pages) > 1
    for page in pages:
        assert page.startswith("NOT PRIVATE")
        assert all(flat(reason) in flat(page) for reason in REASONS)
    web = page_of(kind)
    assert web.index("NOT PRIVATE") < web.index("<h1>")
    assert all(reason in web for reason in REASONS)


def test_a_private_release_has_no_banner() -> None:
    assert "NOT PRIVATE" not in page_of("patient")
    assert "NOT PRIVATE" not in printed("patient")


@pytest.mark.parametrize(
    ("kind", "due"), [("patch", "the bound is ε = 2.1e+05"), ("patch alone", "No bound is known")]
)
def test_a_promise_that_protects_no_patient_is_called_so_first_and_again(
    kind: str, due: str
) -> None:
    for text in (seen(page_of(kind)), printed(kind)):
        tied = text.replace("\u00a0", " ")
        assert tied.count("A PATIENT IS NOT PROTECTED.") == tied.count(due) == 2
        assert tied.index(due) < tied.index("Key facts")


@pytest.mark.parametrize("kind", ["patient", "patch of few"])
def test_a_promise_that_protects_patients_is_not_called_weak(kind: str) -> None:
    assert "NOT PROTECTED" not in printed(kind)
    assert "THE PROMISE IS WEAK" not in printed(kind)


def test_an_attack_that_could_prove_little_is_called_so() -> None:
    weak, strong = "patient", "patch"
    assert CANARIES["provable"] > CANARIES["claim"]
    assert "It could prove little" in printed(weak)
    assert "It could prove little" not in printed(strong)
    assert "It tests twice the ε" in printed(weak)
    assert "It tests twice the ε" not in printed(strong)


def test_figures_that_are_not_disclosed_are_not_told_and_those_that_are_have_no_cover() -> None:
    for kind in ("disclosed", "phantoms"):
        assert f"{FIGURES['median_distance_fitted']:.4g}" in printed(kind)
        assert "no ε covers them" in printed(kind)
    assert "no ε covers them" not in printed("patient")


def test_a_private_choice_holds_without_delta() -> None:
    text = printed("choice")
    assert "(δ = 0)" in text
    assert "1e-05)." not in text
    assert "1e-05)" in printed("patient")


@pytest.mark.parametrize("epsilon", [0.1, 2.0, 7.4])
@pytest.mark.parametrize("before", [0.01, 0.3, 0.5, 0.9])
def test_the_belief_is_that_of_bayes_for_randomised_response(before: float, epsilon: float) -> None:
    """A coin that tells the truth e^ε times as often as it lies attains the bound."""
    truth = math.exp(epsilon) / (1 + math.exp(epsilon))
    both = before * truth + (1 - before) * (1 - truth)
    assert belief_after(before, epsilon) == pytest.approx(before * truth / both, rel=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 2.0, 10.0, 2.1e5])
def test_curves_rise_from_nothing_to_certainty_and_lie_above_the_diagonal(epsilon: float) -> None:
    points = curve("", epsilon, "release").points
    assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert list(points) == sorted(points)
    assert all(after >= before - 1e-12 for before, after in points)


def test_no_reference_curve_is_named_on_the_name_of_another() -> None:
    assert references(2.0) == (1.0, 3.0, 10.0)
    assert 3.0 not in references(2.9)
    assert references(2.1e5) == (1.0, 3.0)


@pytest.mark.parametrize("share", [0.0123, 0.5001, 0.88079, 0.99939, 0.9999])
def test_a_printed_belief_is_never_below_the_true_one(share: float) -> None:
    assert 100 * share <= float(percent(share).removesuffix(" %")) < 100


def rows(*said: dict[str, object]) -> list[UtilityRow]:
    return [UtilityRow.model_validate(one) for one in said]


@pytest.mark.parametrize(
    ("dice", "due"),
    [(0.75, "0.050 above"), (0.65, "0.050 BELOW"), (0.7, "equals"), (0.715, "may be chance")],
)
def test_the_comparison_is_computed(dice: float, due: str) -> None:
    released = row("dp-simulator", 2.0, dice, is_released=True)
    others = row("threshold", 0.0, 0.5), row("simulator", 0.0, 0.7), row("real", math.inf, 0.8)
    said = " ".join(compared(rows(released, *others), SAY))
    assert due in said
    assert f"{100 * dice / 0.8:.0f}" in said
    assert ("do not overlap" in said) is (abs(dice - 0.7) > 0.02)


def test_scores_on_another_test_set_are_not_compared() -> None:
    released = row("dp-simulator", 2.0, 0.75, is_released=True)
    elsewhere = row("simulator", 0.0, 0.7, test_set="elsewhere")
    assert "best method" not in " ".join(compared(rows(released, elsewhere), SAY))


def test_every_total_of_a_ledger_has_its_delta() -> None:
    """A bare ε is printed nowhere."""
    for kind in ("patient", "deployed", "deployed, secure sums"):
        said = str(document_of(KINDS[kind], Phrases.of("en"))).replace("\\xa0", " ")
        assert "ε of a patient at δ = 1e-05" in said, kind


def test_the_noise_of_sums_is_said_to_be_what_curious_sites_leave() -> None:
    words = "left when any 1 of the sites subtract their own"
    told = {kind: words in str(document_of(KINDS[kind], Phrases.of("en"))) for kind in KINDS}
    assert {kind for kind, said in told.items() if said} == {"secure sums", "deployed, secure sums"}


def test_tables_of_many_sites_are_cut_and_say_so() -> None:
    text = printed(federated(40))
    assert "28 more rows stand in privacy.json." in text
    assert "Charité 11" in text
    assert "Charité 12" not in text


class Recording(Phrases):
    """Which sentences were said."""

    said: set[str]

    def __call__(self, key: str, **values: object) -> str:
        self.said.add(key)
        return super().__call__(key, **values)


def sentences(language: str) -> dict[str, str]:
    parts = tomllib.loads((TEXTS / f"{language}.toml").read_text())
    return {f"{part}.{key}": text for part, all_ in parts.items() for key, text in all_.items()}


def test_every_sentence_is_said_of_some_release() -> None:
    say = Recording.of("en")
    say.said = set()
    for one in (*KINDS.values(), federated(40), summed(0)):
        document_of(one, say)
    assert set(sentences("en")) - say.said == set()


def test_all_languages_have_the_same_sentences_with_the_same_placeholders() -> None:
    def placeholders(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    english = {key: placeholders(text) for key, text in sentences("en").items()}
    for language in languages():
        assert {k: placeholders(v) for k, v in sentences(language).items()} == english


def test_english_sentences_are_short() -> None:
    """Of 25 words at most, as the style asks; what is no sentence ends without a full stop."""
    found = [
        one
        for text in sentences("en").values()
        for one in re.split(r"(?<=[.!?:;])\s+", text)
        if one.endswith(".") and len(one.split()) > 25
    ]
    assert found == []


def test_an_unknown_language_is_refused_with_those_that_there_are() -> None:
    for write in (dossier_html, dossier_pdf):
        with pytest.raises(UsageError, match=r"written in 'xx'\. There are: en\."):
            write(statement(), sheet(), language="xx")
    with pytest.raises(UsageError):
        dossier_html(statement(), sheet(), language="../../texts/en")
