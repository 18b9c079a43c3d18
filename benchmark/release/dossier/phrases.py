"""The sentences of the dossier in one language; each language is a file of ``texts``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from benchmark.core.bounds import shortened
from benchmark.core.errors import UsageError

TEXTS = Path(__file__).parent / "texts"

SECTIONS = (
    "folder",
    "promise",
    "people",
    "ledger",
    "audit",
    "nearest",
    "replay",
    "utility",
    "limits",
    "standards",
    "citation",
    "approval",
)
"""The sections in their order; a sentence refers to one as ``{section_ledger}``."""

TIED = {" = ": "\u00a0=\u00a0", " %": "\u00a0%", "section ": "section\u00a0"}
"""What no line may break in: an equation, a percentage, a number of a section."""


class Phrases:
    """Says the sentences of a language, with their placeholders filled in.

    Args:
        language: Its code, as HTML writes it.
        sentences: The sentences by ``section.key``.
    """

    def __init__(self, language: str, sentences: Mapping[str, str]) -> None:
        self.language = language
        self._sentences = sentences
        self._numbers = {f"section_{name}": number(name) for name in SECTIONS}

    @classmethod
    def of(cls, language: str) -> Self:
        """Read the sentences of a language.

        Args:
            language: The name of a file of ``texts``, such as ``en``.

        Raises:
            UsageError: If there is none of that name.
        """
        known = languages()
        if language not in known:
            there = ", ".join(known)
            raise UsageError(
                f"No dossier is written in {shortened(repr(language))}. There are: {there}."
            )
        parts = tomllib.loads((TEXTS / f"{language}.toml").read_text(encoding="utf-8"))
        return cls(
            language,
            {f"{part}.{key}": text for part, said in parts.items() for key, text in said.items()},
        )

    def __call__(self, key: str, **values: object) -> str:
        """Say one sentence.

        Args:
            key: Its ``section.key``.
            **values: What its placeholders stand for, as ``tidy`` writes them; nothing in them is
                read as a placeholder.

        Raises:
            KeyError: If there is no such sentence, or a placeholder has no value.
        """
        told = {name: tidy(value) for name, value in values.items()}
        text = self._sentences[key].format(**self._numbers, **told)
        for loose, tied in TIED.items():
            text = text.replace(loose, tied)
        return text


def languages() -> tuple[str, ...]:
    """Return the languages that a dossier can be written in."""
    return tuple(sorted(file.stem for file in TEXTS.glob("*.toml")))


def number(section: str) -> int:
    """Return the number of a section, from 1."""
    return SECTIONS.index(section) + 1


def tidy(value: object) -> str:
    r"""Write a value on one line, without control characters.

    Examples:
        >>> tidy("a\n b\x1b[31m")
        'a b[31m'
    """
    text = " ".join(str(value).split())
    return "".join(letter for letter in text if letter.isprintable())
