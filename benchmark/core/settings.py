"""Settings of plug-ins: frozen dataclasses in which each field has a range beside its default.

A field is written ``learning_rate: Annotated[float, FloatDistribution(1e-5, 1e-2)] = 1e-4``. The
range is one of Optuna's distributions; a value given by a user must lie in it. ``Tuned()`` behind
the range says that tuning may vary the field, and ``Tuned(FloatDistribution(1e-4, 1e-3))`` that it
does so within a narrower range. ``Later()`` marks a field that was added later, so that earlier
results keep their keys.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple, Self, get_args, get_origin, get_type_hints

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from benchmark.core.bounds import shortened
from benchmark.core.budget import Unit
from benchmark.core.errors import UsageError
from benchmark.core.names import did_you_mean, unknown


class Field(NamedTuple):
    """One setting.

    Attributes:
        name: As ``--set`` takes it.
        kind: ``int``, ``float``, ``str`` or ``bool``.
        range: Which values are allowed, in Optuna's terms; ``None`` for all.
        value: The present one.
    """

    name: str
    kind: type
    range: BaseDistribution | None
    value: Any


class Tuned(NamedTuple):
    """An annotation behind a setting's range: ``bench tune`` may vary it.

    Attributes:
        range: Where to search; ``None`` for the setting's whole range.
        unit: The only protected unit for which the setting means anything; ``None`` for both.
    """

    range: BaseDistribution | None = None
    unit: Unit | None = None


class Later(NamedTuple):
    """An annotation behind a setting's range: the setting was added later.

    Its default is what was done before. At its default ``as_dict`` leaves it out, so old results
    keep their keys.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The base of every plug-in's ``Params``: a frozen, keyword-only dataclass.

    A field is annotated by its type and its range, in Optuna's terms. Construction checks both.

    Raises:
        UsageError: For a value of another type or out of its range.

    Examples:
        >>> @dataclasses.dataclass(frozen=True, kw_only=True)
        ... class Mine(Settings):
        ...     rate: Annotated[float, FloatDistribution(1e-5, 1e-2, log=True)] = 1e-3
        >>> Mine().with_texts({"rate": "0.01"}).as_dict()
        {'rate': 0.01}
    """

    def __post_init__(self) -> None:
        for field in self.fields():
            _check(field)

    @classmethod
    def ranges(cls) -> dict[str, tuple[type, BaseDistribution | None]]:
        """Return each setting's type and range by name, in the order of declaration."""
        return dict(_ranges(cls))  # type: ignore[arg-type]  # mypy takes the instances' hash

    def fields(self) -> list[Field]:
        """Return every setting with its value, in the order of declaration."""
        return [Field(n, k, r, getattr(self, n)) for n, (k, r) in self.ranges().items()]

    def as_dict(self) -> dict[str, Any]:
        """Return the values by name, as JSON can hold them.

        Settings that are marked ``Later`` are left out at their default.
        """
        later = _later(type(self))  # type: ignore[arg-type]  # mypy takes the instances' hash
        return {f.name: f.value for f in self.fields() if later.get(f.name, self) != f.value}

    @classmethod
    def completed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values as ``as_dict`` wrote them, with those that it left out."""
        return {**_later(cls), **values}  # type: ignore[arg-type]  # mypy takes the instances' hash

    def search_space(self, unit: Unit) -> dict[str, BaseDistribution]:
        """Return the ranges that tuning searches.

        Args:
            unit: The protected unit; settings that mean nothing for it are left out.

        Returns:
            Optuna's distributions by name. Each is widened, if need be, to hold the present value.

        Raises:
            TypeError: If a setting is marked ``Tuned`` and has no range.
        """
        hints = get_type_hints(type(self), include_extras=True)
        space = {}
        for field in self.fields():
            note = next((n for n in get_args(hints[field.name]) if isinstance(n, Tuned)), None)
            if note is not None and note.unit in (None, unit):
                searched = note.range or field.range
                if searched is None:
                    raise TypeError(f"{field.name} is to be tuned and has no range.")
                space[field.name] = _with(field.value, searched)
        return space

    def with_texts(self, texts: Mapping[str, str]) -> Self:
        """Copy the settings with some values read from texts, as ``--set`` gives them.

        Args:
            texts: By setting's name; truth values are ``true`` and ``false``.

        Returns:
            The copy.

        Raises:
            UsageError: For an unknown name, an unreadable text or a value out of range.
        """
        ranges = self.ranges()
        values = {}
        for name, text in texts.items():
            if name not in ranges:
                raise UsageError(unknown("setting", name, ranges))
            values[name] = _read(name, ranges[name][0], text)
        return dataclasses.replace(self, **values)


@cache
def _ranges(kind: type) -> dict[str, tuple[type, BaseDistribution | None]]:
    """Remembered, as reading the hints takes a thousand times as long as checking a value."""
    hints = get_type_hints(kind, include_extras=True)
    return {f.name: _kind_and_range(hints[f.name]) for f in dataclasses.fields(kind)}


@cache
def _later(kind: type) -> dict[str, Any]:
    """The defaults of what was added later."""
    hints = get_type_hints(kind, include_extras=True)
    late = {name for name, hint in hints.items() if Later() in get_args(hint)}
    return {field.name: field.default for field in dataclasses.fields(kind) if field.name in late}


def _kind_and_range(hint: Any) -> tuple[type, BaseDistribution | None]:
    if get_origin(hint) is not Annotated:
        return hint, None
    kind, *notes = get_args(hint)
    return kind, next((n for n in notes if isinstance(n, BaseDistribution)), None)


def _read(name: str, kind: type, text: str) -> Any:
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise UsageError(f"Expected {name} to be true or false, got {text!r}.")
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"Expected {name} to be of type {kind.__name__}, got {text!r}.") from None


def _check(field: Field) -> None:
    value, kind = field.value, field.kind
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not fits or (kind is not bool and isinstance(value, bool)):
        raise UsageError(f"Expected {field.name} to be of type {kind.__name__}, got {value!r}.")
    law = describe(field.range)
    if isinstance(field.range, (FloatDistribution, IntDistribution)):
        inside = bool(field.range.low <= value <= field.range.high)  # so it is finite
    elif isinstance(field.range, CategoricalDistribution):
        inside = value in field.range.choices
    else:
        inside = True
    if not inside:
        got = shortened(repr(value))
        raise UsageError(f"Expected {field.name} {law}, got {got}.{_hint(field)}")


def _hint(field: Field) -> str:
    """The nearest choice to a misspelt one, as a question."""
    if isinstance(field.range, CategoricalDistribution) and isinstance(field.value, str):
        return did_you_mean(field.value, [str(choice) for choice in field.range.choices])
    return ""


def _with(value: Any, law: BaseDistribution) -> BaseDistribution:
    """The range, widened to hold a value; in its steps, if the value is on one of them."""
    if isinstance(law, IntDistribution):
        low, high = min(law.low, value), max(law.high, value)
        step = law.step if (value - law.low) % law.step == 0 else 1
        return IntDistribution(low, high, log=law.log, step=step)
    if isinstance(law, FloatDistribution):
        low, high = min(law.low, value), max(law.high, value)
        steps = 0.0 if law.step is None else (value - law.low) / law.step
        on_one = math.isclose(steps, round(steps), abs_tol=1e-9)
        return FloatDistribution(low, high, log=law.log, step=law.step if on_one else None)
    return law


def describe(law: BaseDistribution | None) -> str:
    """Describe a range in words.

    Args:
        law: The range of a setting; ``None`` if every value is allowed.

    Returns:
        Words that follow a setting's name.

    Examples:
        >>> describe(IntDistribution(1, 8))
        'in [1, 8]'
    """
    if isinstance(law, (FloatDistribution, IntDistribution)):
        return f"in [{law.low:g}, {law.high:g}]"
    if isinstance(law, CategoricalDistribution):
        return f"to be one of {', '.join(str(choice) for choice in law.choices)}"
    return "free"
