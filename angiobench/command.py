"""``bench``: checks that the project's packages are found, then calls the command line."""

from __future__ import annotations

import sys
from importlib import import_module

from angiobench.packages import check_packages

USAGE = 2


def main() -> None:
    """Run a command."""
    try:
        check_packages()
    except ImportError as error:
        sys.stderr.write(f"bench: {error}\n")
        sys.exit(USAGE)
    import_module("benchmark.cli.main").main()  # by name: until here it might be somebody else's
