"""Descriptions of classes, read from the text of their modules without importing them."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path


def first_sentence(module: str, name: str) -> str:
    """Read the first sentence of a class's docstring, or else of its module's.

    Args:
        module: Of the class, with dots.
        name: The class's name.

    Returns:
        The sentence without its full stop; empty if there is no such text.

    Examples:
        >>> first_sentence("benchmark.core.settings", "Settings").split(":")[0]
        "The base of every plug-in's ``Params``"
    """
    file = _file(module)
    if file is None:
        return ""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ""
    kinds = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    of_class = next((ast.get_docstring(kind) for kind in kinds), None)
    said = of_class or ast.get_docstring(tree) or ""
    paragraph = " ".join(said.partition("\n\n")[0].split())
    return paragraph.split(". ")[0].removesuffix(".")


def _file(module: str) -> Path | None:
    """A module's file; ``find_spec`` would import the packages around a module with a dot."""
    top, _, rest = module.partition(".")
    try:
        spec = find_spec(top)
    except ValueError:  # a module that was run or made by hand has none
        return None
    if spec is None or not rest:
        return Path(spec.origin) if spec and spec.origin else None
    inside = Path(*rest.split("."))
    files = [
        file
        for folder in spec.submodule_search_locations or ()
        for file in (Path(folder, inside).with_suffix(".py"), Path(folder, inside, "__init__.py"))
    ]
    return next((file for file in files if file.is_file()), None)
