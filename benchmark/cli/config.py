"""A sweep's options as a file: ``bench run --config FILE`` reads it, and every sweep writes one.

Keys are the long options without their dashes. A value of the file counts as the option's default,
so the command line takes precedence. ``--set`` on the command line adds to the file's settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmark.core.errors import UsageError
from benchmark.core.files import write_text
from benchmark.core.names import unknown
from benchmark.core.parsers import toml_in

SWEEP = "sweep.toml"
SETTINGS = "settings"
"""The parameter of ``--set``."""

OF_THE_MACHINE = (
    *("jobs", "device", "backend", "ray", "site_timeout", "tracking_uri"),
    *("cell_timeout", "cell_memory", "dry_run"),
)
"""Parameters that decide no result; whoever repeats a sweep chooses them anew."""

HEAD = """\
# What this sweep was asked for; `bench run --config FILE` repeats it, and computes nothing twice.
# Folders stand here as they were typed. Options of the machine, such as --jobs, are left out.
"""


def read(context: click.Context, _: click.Parameter, file: Path | None) -> None:
    """Use a file's values as the defaults of the command's options.

    Args:
        context: The context of the command.
        file: The file; ``None`` for none.

    Raises:
        UsageError: For a file that is missing or not TOML, an unknown key or a wrong type.
    """
    if file is None:
        return
    options = _options(context.command)
    values = {}
    for key, value in _parsed(file).items():
        if key not in options:
            law = unknown(f"option of bench {context.info_name}", key, options)
            raise UsageError(f"{file}: {law}")
        parameter = options[key]
        try:
            values[parameter.name or ""] = _value(parameter, key, value)
        except UsageError as error:
            raise UsageError(f"{file}: {error}") from None
    context.default_map = values


def write(context: click.Context, out: Path) -> None:
    """Write a command's options to ``sweep.toml`` in a folder, without those of the machine.

    Args:
        context: The context of the command, with its parsed parameters.
        out: The folder; it is made if it is missing.
    """
    import tomli_w

    given = {key: context.params[p.name or ""] for key, p in _options(context.command).items()}
    left_out = {flag.replace("_", "-") for flag in OF_THE_MACHINE}
    said = {key: _plain(value) for key, value in given.items() if key not in left_out}
    said = {key: value for key, value in said.items() if value not in (None, "", [])}
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / SWEEP, HEAD + tomli_w.dumps(said))


def _options(command: click.Command) -> dict[str, click.Option]:
    """The options that a file may hold, by their keys."""
    return {
        parameter.opts[0].removeprefix("--"): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.expose_value
    }


def _parsed(file: Path) -> dict[str, Any]:
    try:
        return toml_in(file)
    except FileNotFoundError:
        raise UsageError(f"{file}: there is no such file; name one with --config.") from None
    except (OSError, ValueError) as error:  # a TOMLDecodeError, or bytes that are no UTF-8
        raise UsageError(f"{file}: this is not a readable TOML file ({error}).") from None


def _value(parameter: click.Option, key: str, value: Any) -> Any:
    """What click takes as the option's default.

    Raises:
        UsageError: For a value of another type.
    """
    if parameter.name == SETTINGS and isinstance(value, Mapping):
        return tuple(_settings(value))
    law, fits = _law(parameter)
    listed = isinstance(value, list) and (parameter.multiple or _takes_commas(parameter))
    if not all(fits(one) for one in (value if listed else [value])):
        raise UsageError(f"Expected {key} to be {law}, got {_shown(value)}.")
    if parameter.is_flag:
        return value
    texts = [_text(one) for one in (value if listed else [value])]
    return tuple(texts) if parameter.multiple else ",".join(texts)


def _takes_commas(parameter: click.Option) -> bool:
    return "[," in (parameter.metavar or "")


def _law(parameter: click.Option) -> tuple[str, Any]:
    """Which values an option takes: in words, and as a predicate."""
    if parameter.is_flag:
        return "true or false", lambda one: isinstance(one, bool)
    if isinstance(parameter.type, click.types.IntParamType):
        return "a whole number", lambda one: _is_number(one) and isinstance(one, int)
    if isinstance(parameter.type, click.types.FloatParamType):
        return "a number", _is_number
    if parameter.multiple:
        return "a text or a list of texts", lambda one: isinstance(one, str)
    if isinstance(parameter.type, click.Path | click.Choice):
        return "a text", lambda one: isinstance(one, str)
    more = ", or a list of them" if _takes_commas(parameter) else ""
    return f"a text or a number{more}", lambda one: isinstance(one, str) or _is_number(one)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _settings(table: Mapping[str, Any], before: str = "") -> list[str]:
    """The texts of ``--set`` for a table, whose tables are plug-ins.

    Raises:
        UsageError: For a value that no setting has.
    """
    texts = []
    for name, value in table.items():
        full = f"{before}{name}"
        if isinstance(value, Mapping) and not before:
            texts += _settings(value, f"{name}.")
        elif isinstance(value, (str, bool)) or _is_number(value):
            texts.append(f"{full}={_text(value)}")
        else:
            raise UsageError(
                f"Expected set.{full} to be a text, a number, true or false, got {_shown(value)}."
            )
    return texts


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: Any) -> str:
    """A value as TOML writes it, cut where it is long."""
    text = _text(value) if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _plain(value: Any) -> Any:
    """A parameter's value as TOML has it."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
