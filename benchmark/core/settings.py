"""Settings of plug-ins: frozen dataclasses that carry their range beside their default.

A field is written ``learning_rate: Annotated[float, FloatDistribution(1e-5, 1e-2)] = 1e-4``: the
range is Optuna's, and the law that a value given by a user is checked against. A field that tuning
may vary says ``Tuned()`` behind it, or ``Tuned(FloatDistribution(1e-4, 1e-3))`` for a narrower one.
One that was added later says ``Later()``, so that earlier results keep their keys.
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

from benchmark.core.budget import Unit
from benchmark.core.errors import UsageError


class Field(NamedTuple):
    """One setting: its name, type, range (``None`` where it is free) and value."""

    name: str
    kind: type
    range: BaseDistribution | None
    value: Any


class Tuned(NamedTuple):
    """Behind a setting's range: tuning may vary it.

    Attributes:
        range: Where; ``None`` for the whole range.
        unit: The only protected unit for which the setting means anything; ``None`` for all.
    """

    range: BaseDistribution | None = None
    unit: Unit | None = None


class Later(NamedTuple):
    """Behind a setting's range: it was added later, and its default is what was done before.

    At its default it is not named, as if it were not there.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The base of every plug-in's ``Params``; checks types and ranges at construction.

    Raises:
        UsageError: For a value of another type or out of its range.
    """

    def __post_init__(self) -> None:
        for field in self.fields():
            _check(field)

    @classmethod
    def ranges(cls) -> dict[str, tuple[type, BaseDistribution | None]]:
        """Each setting's type and range, in the order of declaration."""
        return dict(_ranges(cls))  # type: ignore[arg-type]  # mypy takes the instances' hash

    def fields(self) -> list[Field]:
        """Every setting with its value."""
        return [Field(n, k, r, getattr(self, n)) for n, (k, r) in self.ranges().items()]

    def as_dict(self) -> dict[str, Any]:
        """The values by name; of what was added later, those that differ from the default."""
        later = _later(type(self))  # type: ignore[arg-type]  # mypy takes the instances' hash
        return {f.name: f.value for f in self.fields() if later.get(f.name, self) != f.value}

    def search_space(self, unit: Unit) -> dict[str, BaseDistribution]:
        """Where tuning looks, by name; each range holds the value that it starts from."""
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
        """A copy with some values read from texts, as ``--set`` gives them.

        Raises:
            UsageError: For an unknown name, an unreadable text or a value out of range.
        """
        ranges = self.ranges()
        values = {}
        for name, text in texts.items():
            if name not in ranges:
                raise UsageError(f"No setting is called {name!r}. There are: {', '.join(ranges)}.")
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
        inside = math.isfinite(value) and field.range.low <= value <= field.range.high
    elif isinstance(field.range, CategoricalDistribution):
        inside = value in field.range.choices
    else:
        inside = True
    if not inside:
        raise UsageError(f"Expected {field.name} {law}, got {value!r}.")


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
    """A range in words.

    >>> describe(IntDistribution(1, 8))
    'in [1, 8]'
    """
    if isinstance(law, (FloatDistribution, IntDistribution)):
        return f"in [{law.low:g}, {law.high:g}]"
    if isinstance(law, CategoricalDistribution):
        return f"to be one of {', '.join(str(choice) for choice in law.choices)}"
    return "free"
