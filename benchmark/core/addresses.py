"""Addresses: folder names made of other people's names, URLs of local databases, and passwords.

Every name from a file, a plug-in or another machine that becomes a part of a path goes through
``folder_name``; every file of SQLite's that a library is to open through ``sqlite_url``; every text
that may hold a URL of somebody's through ``masked``.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import quote, unquote

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}[A-Za-z0-9]|[A-Za-z0-9]", re.ASCII)
UNSAFE = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)
MADE = re.compile(r".*-[0-9a-f]{8}", re.ASCII)
"""What ``folder_name`` makes looks so; a name that does is never taken as it is."""

LONGEST = 40
PLAIN = re.compile(r"[A-Za-z0-9_./ -]+", re.ASCII)
SHORTEST = 4
"""Of passwords that are hidden wherever they stand; shorter ones only within their URL."""

PASSWORDS = re.compile(r"//[^/:\s]*:([^\s]+)@|(?:password|passwd|pwd|token)=([^&\s]+)", re.I)


def folder_name(name: str) -> str:
    """Make the name of one folder or file out of any text.

    Args:
        name: Of a site or a plug-in, as somebody wrote it.

    Returns:
        The name itself where it is safe on every system: up to 64 ASCII letters, digits, dots,
        hyphens and underscores, with a letter or a digit at both ends. Else what of it is safe, and
        eight hex digits of its SHA-256, so that no two names meet by chance.

    Examples:
        >>> folder_name("harbour"), folder_name("../../x"), folder_name("A/B")
        ('harbour', 'x-9cdf6a50', 'A-B-998d3ed8')
    """
    if SAFE.fullmatch(name) and not MADE.fullmatch(name):
        return name
    kept = UNSAFE.sub("-", name).strip("-_")[:LONGEST].rstrip("-_")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept or 'name'}-{digest}"


def sqlite_url(file: Path) -> str:
    """Make the URL by which SQLAlchemy, MLflow and Optuna open a SQLite file.

    MLflow makes the folder that the text of a ``sqlite:///`` URL names, before any escape in it is
    undone; with the driver's name in the scheme it makes none.

    Args:
        file: Its path may have any character; its folder exists.
    """
    path = str(file.absolute())
    if PLAIN.fullmatch(path):
        return f"sqlite:///{path}"
    from sqlalchemy import URL

    return URL.create("sqlite+pysqlite", database=path).render_as_string()


def masked(text: str, *urls: str) -> str:
    """Hide passwords.

    Args:
        text: What is to be shown or kept.
        urls: Their passwords are hidden in ``text`` also where they stand alone or unescaped. In
            URLs within the text they are hidden anyway.

    Examples:
        >>> masked("no store at postgresql://me:secret@host/db")
        'no store at postgresql://me:***@host/db'
    """
    found = [one for said in (*urls, text) for pair in PASSWORDS.findall(said) for one in pair]
    text = PASSWORDS.sub(lambda one: one[0].replace(one[1] or one[2], "***"), text)
    for secret in sorted({s for s in found if len(s) >= SHORTEST}, key=len, reverse=True):
        for form in (secret, unquote(secret), quote(secret, safe="")):
            text = text.replace(form, "***")
    return text
