"""Pages of a release that this suite cannot make again, as another version made them.

What a page says is then its owner's word. But it must do nothing when it is opened, fetch nothing,
and name the guarantee of the statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from benchmark.core.budget import delta_text, epsilon_text
from benchmark.release.checks.files import Received, shown
from benchmark.release.statement import DOSSIER, README, Statement
from benchmark.release.wording import NOT_PRIVATE

TAGS = re.compile(
    "html|head|meta|title|style|body|main|header|footer|section|nav|div|span|p|h[1-4]|strong|b|em|i"
    "|small|sub|sup|code|pre|br|hr|a|ul|ol|li|dl|dt|dd|table|caption|colgroup|col|thead|tbody|tfoot"
    "|tr|th|td|figure|figcaption|img|svg|g|line|polyline|polygon|path|rect|circle|text|tspan|desc"
)
"""The tags of a page that is read and does nothing."""

ATTRIBUTES = re.compile(
    "alt|aria-[a-z]+|charset|class|colspan|content|c[xy]|d|fill|height|id|lang|name|points|r|role"
    "|rowspan|r[xy]|scope|stroke|stroke-width|style|tabindex|text-anchor|title|transform|viewbox"
    "|width|[xy][12]?"
)
"""Its attributes, but for those that are looked at one by one."""

PICTURE, HERE, POLICY = "data:image/png;base64,", "#", "content-security-policy"
REACHES_OUT = re.compile(r"url\(|@import|image-set|expression|[\\<]", re.IGNORECASE)
"""What a style could fetch by, or hide that it does."""

LONGEST = 4_000_000
"""The most characters of a page without its pictures."""

PIXELS = re.compile(rf"{PICTURE}[A-Za-z0-9+/=]*")
TOKEN = re.compile(
    r"(?P<text>[^<]+)|<!doctype html>|</[a-z][a-z0-9]*>"
    r'|<(?P<tag>[a-z][a-z0-9]*)(?P<attributes>(?:\s+[A-Za-z][A-Za-z:-]*[0-9]?="[^"<>]*")*)\s*/?>'
)
"""The plain form of our pages, which all readers take alike: no comments, no bare attributes."""

ATTRIBUTE = re.compile(r'([A-Za-z][A-Za-z:-]*[0-9]?)="([^"]*)"')
MARKUP = re.compile(r"<[A-Za-z!/?]")


def of_pages(files: Received, said: Statement) -> Iterator[str]:
    """Yield what a dossier and a README of another version must not have, or lack.

    Args:
        files: What was received; both files are there.
        said: Its statement.
    """
    html, readme = (files.content(name).decode("utf-8", "replace") for name in (DOSSIER, README))
    html = PIXELS.sub(PICTURE, html)
    if len(html) > LONGEST:
        yield f"{DOSSIER} is longer than a dossier"
        return
    found, words = _read(html)
    yield from (f"{DOSSIER} has {what}" for what in found)
    if MARKUP.search(readme):
        yield f"{README} has markup of HTML"
    for name, text in ((DOSSIER, words), (README, readme)):
        yield from (f"{name} does not name {word}" for word in _due(said) if not _has(text, word))


def _due(said: Statement) -> tuple[str, ...]:
    if not said.is_private:
        return (NOT_PRIVATE,)
    held = said.guarantee
    if held.epsilon == 0:
        return ()
    return epsilon_text(held.epsilon), delta_text(held.delta), held.unit


def _has(text: str, word: str) -> bool:
    """Whether a text has a word or a number as a whole."""
    return bool(re.search(rf"(?<![\w.]){re.escape(word)}(?![\w]|\.\d)", text))


def _read(page: str) -> tuple[list[str], str]:
    """What a page has that it may not have, a few words each, and the words that a reader sees."""
    found, words, place, in_style = [], [], 0, False
    while place < len(page):
        token = TOKEN.match(page, place)
        if token is None:
            found.append("markup that is not of a dossier's plain form")
            break
        place = token.end()
        text, tag, attributes = token["text"], token["tag"], token["attributes"]
        if tag:
            found += _of_tag(tag, attributes)
            in_style = tag == "style"
        elif not text:
            in_style = False
        elif not in_style:
            words.append(unescape(text))
        elif REACHES_OUT.search(text):
            found.append("a style that reaches out")
    return [*dict.fromkeys(found)], " ".join(words)


def _of_tag(tag: str, attributes: str) -> Iterator[str]:
    if not TAGS.fullmatch(tag):
        yield f"a tag {shown(tag)}, which acts or is unknown"
    for name, value in ATTRIBUTE.findall(attributes):
        if not _is_harmless(name.lower(), unescape(value)):
            yield f"an attribute {shown(name)}, which acts or reaches out"


def _is_harmless(name: str, value: str) -> bool:
    """Whether an attribute neither acts nor fetches."""
    if name == "src":
        return value.startswith(PICTURE)
    if name == "href":
        return value.startswith(HERE)
    if name == "http-equiv":
        return value.lower() == POLICY
    return bool(ATTRIBUTES.fullmatch(name)) and not REACHES_OUT.search(value)
