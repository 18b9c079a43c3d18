"""The licences under which data can be released: SPDX's identifiers, names and official texts."""

from __future__ import annotations

from typing import NamedTuple

from benchmark.core.errors import UsageError
from benchmark.core.names import unknown

CC = "Creative Commons"


class Licence(NamedTuple):
    """A licence of data.

    Attributes:
        identifier: SPDX's.
        name: The licence's own name.
        url: Its official text.
    """

    identifier: str
    name: str
    url: str


def _cc(code: str, name: str) -> Licence:
    url = f"https://creativecommons.org/licenses/{code}/4.0/"
    return Licence(f"CC-{code.upper()}-4.0", f"{CC} {name} 4.0 International", url)


LICENCES = (
    Licence(
        "CC0-1.0", f"{CC} Zero 1.0 Universal", "https://creativecommons.org/publicdomain/zero/1.0/"
    ),
    _cc("by", "Attribution"),
    _cc("by-sa", "Attribution-ShareAlike"),
    _cc("by-nc", "Attribution-NonCommercial"),
    _cc("by-nc-sa", "Attribution-NonCommercial-ShareAlike"),
    Licence(
        "CDLA-Permissive-2.0",
        "Community Data License Agreement Permissive 2.0",
        "https://cdla.dev/permissive-2-0/",
    ),
    Licence(
        "ODC-By-1.0",
        "Open Data Commons Attribution License v1.0",
        "https://opendatacommons.org/licenses/by/1-0/",
    ),
    Licence(
        "ODbL-1.0",
        "Open Data Commons Open Database License v1.0",
        "https://opendatacommons.org/licenses/odbl/1-0/",
    ),
    Licence(
        "PDDL-1.0",
        "Open Data Commons Public Domain Dedication and License 1.0",
        "https://opendatacommons.org/licenses/pddl/1-0/",
    ),
)
"""In the order in which they are listed."""


def find_licence(identifier: str) -> Licence:
    """Return a licence by its SPDX identifier.

    Args:
        identifier: Such as ``CC-BY-4.0``.

    Raises:
        UsageError: For an identifier that is not known; the message lists those that are.

    Examples:
        >>> find_licence("CC-BY-4.0").url
        'https://creativecommons.org/licenses/by/4.0/'
    """
    known = {licence.identifier: licence for licence in LICENCES}
    if identifier not in known:
        raise UsageError(unknown("licence", identifier, known))
    return known[identifier]
