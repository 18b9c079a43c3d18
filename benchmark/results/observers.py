"""Who could see what of a federated fit: the ε of each observer, by its own guarantees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmark.core.budget import Guarantee, Unit
from benchmark.core.errors import BenchError
from benchmark.core.mixture import MIXTURE
from benchmark.core.registry import generators
from benchmark.privacy.accounting.coalitions import Seen, local_view, pooled_view, secure_view
from benchmark.results.outcome import Outcome
from benchmark.results.spec import FitSpec
from benchmark.results.spec_parts import AcrossSites
from benchmark.results.store import Store

LOCAL = "local noise"
OUTSIDER, ONE_SITE, SERVER = "outsider", "one site", "server"
SERVER_AND_SITE, ALL_OTHERS = "server + 1 site", "server + all other sites"


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What the observers of one fit, or of one planned fit, could see.

    Attributes:
        generator: Its name.
        unit: What ε protects.
        epsilon: The ε asked for.
        delta: δ.
        way: How the sites add up.
        seen: The ε of each observer, for the patients of the worst-off site.
    """

    generator: str
    unit: Unit
    epsilon: float
    delta: float
    way: str
    seen: Seen


def secure(curious: int) -> str:
    """Name secure sums that are sized for t curious sites.

    Args:
        curious: t.
    """
    return f"secure sums, t = {curious}"


def adversary(curious: int | None) -> str:
    """Say against whom the ε of a federated fit holds.

    Args:
        curious: t of secure sums; ``None`` for local noise.

    Examples:
        >>> adversary(1)
        'the server and any 1 other site together'
    """
    if curious is None:
        return "the server and the other sites, also all together"
    if curious == 0:
        return "the server, as long as no other site is curious"
    sites = "site" if curious == 1 else "sites"
    return f"the server and any {curious} other {sites} together"


def by_observer(seen: Seen) -> dict[str, float]:
    """Return ε by the observer's name, the weakest first."""
    return {
        OUTSIDER: seen.outsider,
        ONE_SITE: seen.one_site,
        SERVER: seen.server,
        SERVER_AND_SITE: seen.server_and_site,
        ALL_OTHERS: seen.all_others,
    }


class Fit(Protocol):
    """A fit, of a cell or of a deployment."""

    @property
    def run_key(self) -> str:
        """The key of its run."""

    @property
    def spec(self) -> FitSpec:
        """What decided it."""

    @property
    def guarantee(self) -> Guarantee:
        """What it gives the patients of every site."""

    @property
    def guarantees(self) -> Mapping[str, Guarantee]:
        """The guarantee of each site, by its name; empty for a fit at one place."""


def observed_in(result: Fit) -> Observed | None:
    """Return what the observers of a federated fit with a finite ε could see.

    Args:
        result: The result of any cell.

    Returns:
        Their ε; ``None`` for a fit of another kind.
    """
    sites = [*result.guarantees.values()]
    if len(sites) < 2 or not 0 < result.guarantee.epsilon < math.inf:
        return None
    return Observed(
        generator=result.spec.generator.name,
        unit=result.guarantee.unit,
        epsilon=result.spec.epsilon,
        delta=result.guarantee.delta,
        way=LOCAL if (curious := result.spec.curious) is None else secure(curious),
        seen=_seen(result.spec, sites),
    )


def observed(outcomes: Sequence[Outcome], store: Store) -> list[Observed]:
    """Return what the observers of a sweep's federated fits could see, those that are alike once.

    Args:
        outcomes: The sweep's cells.
        store: Where their results are.
    """
    results = (store.result(outcome.spec) for outcome in outcomes if outcome.spec.is_federated)
    found = [observed_in(result) for result in results if result is not None]
    return [*dict.fromkeys(one for one in found if one is not None)]


def _seen(spec: FitSpec, sites: Sequence[Guarantee]) -> Seen:
    """By the sum of all noise, if it counts; else, or by numbers of no mechanism, by the target.

    Secure sums hold the target against t sites alone, so numbers of no mechanism hold nothing.
    """
    if spec.curious is not None:
        return _seen_in_sums(sites, spec.curious)
    try:
        return local_view(sites, only_sums=_adds_sums(spec))
    except (BenchError, ValueError, ArithmeticError):  # a file from elsewhere may hold anything
        return local_view(sites, only_sums=False)


def _seen_in_sums(sites: Sequence[Guarantee], curious: int) -> Seen:
    """All sites have one guarantee; of a file from elsewhere the largest ε counts."""
    whole = max(sites, key=lambda one: one.epsilon)
    try:
        return secure_view(whole, len(sites), curious)
    except (BenchError, ValueError, ArithmeticError):
        return Seen(**dict.fromkeys(vars(pooled_view(whole)), math.inf))


def _adds_sums(spec: FitSpec) -> bool:
    """Whether this very version is installed here, and says so of the design.

    Sites that send synthetic patches send no sums, whatever the generator.
    """
    plug_in, how = spec.generator, spec.federation
    if not isinstance(how, AcrossSites) or how.design == MIXTURE:
        return False
    try:
        kind = generators.get(plug_in.name)
    except BenchError:
        return False
    known: object = getattr(kind, "summing_designs", None)  # a plug-in may say anything
    named = isinstance(known, frozenset) and how.design in known
    return kind.version == plug_in.version and named
