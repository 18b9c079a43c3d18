"""The designs in which sites can train a generator: its own ones, and ``mixture`` for every one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import ClassVar

from benchmark.core.errors import UsageError
from benchmark.core.federation import FederatedGenerator
from benchmark.core.generator import Generator
from benchmark.core.mixture import POOLED, Mixture
from benchmark.core.names import unknown
from benchmark.core.registry import class_of, generators
from benchmark.core.settings import Settings


def designs_of(kind: type[Generator]) -> Mapping[str, str]:
    """Return the designs of a generator, each with one line that describes it.

    Args:
        kind: The generator's class.

    Returns:
        Its own designs, the default first, then ``mixture``; empty if sites cannot train it.
    """
    own = kind.designs if issubclass(kind, FederatedGenerator) else {}
    mixed = {} if why_not_mixed(kind) else Mixture.designs
    return {**own, **{name: line for name, line in mixed.items() if name not in own}}


def why_not_mixed(kind: type[Generator]) -> str:
    """Say why sites cannot pool what a generator draws; empty if they can."""
    if not kind.needs_data:
        return "it reads no patient, so sites have nothing to train"
    if kind.holds_patients:
        return "it draws patients' own patches, which no site sends"
    return ""


def federated(kind: type[Generator], design: str = "") -> type[FederatedGenerator]:
    """Return the class with which sites train a generator.

    Args:
        kind: The generator's class.
        design: A name among ``designs_of(kind)``; empty for the first of them.

    Returns:
        ``kind`` itself for a design of its own, and else its mixture, with the same settings.

    Raises:
        UsageError: If sites cannot train it, or not so.
    """
    known = designs_of(kind)
    if not known:
        raise UsageError(
            f"{kind.name} cannot be trained across sites: {why_not_mixed(kind)}; leave --sites out."
        )
    asked = design or next(iter(known))
    if asked not in known:
        raise UsageError(unknown("design", asked, list(known)))
    if issubclass(kind, FederatedGenerator) and asked in kind.designs:
        return kind
    return mixture_of(kind)


def check_shares_noise(kind: type[FederatedGenerator], design: str) -> None:
    """Refuse secure sums of a design whose sites cannot share their noise.

    Args:
        kind: The class that ``federated`` returned.
        design: One of its designs.

    Raises:
        UsageError: Naming the installed generators that can.
    """
    if kind.shares_noise(design):
        return
    can = ", ".join(_that_share_noise()) or "no generator that is installed"
    raise UsageError(
        f"{kind.name} cannot be trained with secure sums in the design {design}, as its sites' "
        f"replies are no sums whose noise they can share; these can: {can}."
    )


def _that_share_noise() -> Iterator[str]:
    """The generators that share noise, each with the design that does, unless it is the first."""
    for name in generators.names():
        kind = class_of(generators, name)
        if kind is None or not issubclass(kind, FederatedGenerator):
            continue
        design = next((one for one in kind.designs if kind.shares_noise(one)), None)
        if design is not None:
            first = design == next(iter(kind.designs))
            yield name if first else f"{name} --design {design}"


@lru_cache(maxsize=64)
def mixture_of(kind: type[Generator], pooled: int = POOLED) -> type[Mixture]:
    """Make the class that mixes what sites draw from a generator.

    Args:
        kind: The class of the generator that every site fits.
        pooled: How many patches all sites send together.

    Returns:
        A class with the name, the version and the settings of ``kind``.
    """

    class MixtureOf(Mixture):
        __doc__ = f"The mixture of what sites draw from their own ``{kind.name}``."
        name: ClassVar[str] = kind.name
        version: ClassVar[int] = kind.version
        is_private: ClassVar[bool] = kind.is_private
        citation: ClassVar[str] = kind.citation
        Params: ClassVar[type[Settings]] = kind.Params
        presets: ClassVar[Mapping[str, Settings]] = kind.presets
        smoke: ClassVar[Settings] = kind.smoke
        alone: ClassVar[type[Generator]] = kind

    MixtureOf.pooled = pooled
    return MixtureOf
