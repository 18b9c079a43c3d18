"""Checks of the guarantees of a published result, or of a release, against its spec and its data.

What can be known without the file is not taken from it. For the embedded phantoms, that is how many
patients there are and which of them are at which site. The spec gives the patches of a patient, the
steps, the sampling rate, the noise and the bounds for both units. For private data, only the
hospital knows the numbers of patients, so they are listed as unchecked.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from benchmark.audit.slots import public_with_canaries
from benchmark.core.budget import RELATION, Guarantee, PublicNumbers
from benchmark.core.designs import federated
from benchmark.core.errors import BenchError, UsageError
from benchmark.core.federation import worst
from benchmark.privacy.accounting.units import check_delta
from benchmark.results.spec import FitSpec
from benchmark.results.spec_parts import OneSite
from benchmark.sweep.inputs import Inputs
from benchmark.sweep.plan_cache import EPSILONS, planned, recomputed_once, same
from benchmark.sweep.site_plans import plan_at_site, plan_together, schedule_of
from benchmark.sweep.sites import assignment_of, inputs_of, partition_of, split
from leaderboard.versions import class_of

WHOLE = ""
"""The key of the guarantee of a whole result, which belongs to no single site."""

OWN_SITES = "site"
"""The partition whose sites have names of their own; all others number them."""


class AtSite(Protocol):
    """The guarantee of a fit for the patients of one site."""

    @property
    def site(self) -> str:
        """The site's name."""

    @property
    def guarantee(self) -> Guarantee:
        """What its patients are promised."""


class Claim(Protocol):
    """What a result or a release says of the privacy of its fit."""

    @property
    def spec(self) -> FitSpec:
        """Everything that decided the fit."""

    @property
    def guarantee(self) -> Guarantee:
        """The guarantee of the whole fit."""

    @property
    def sites(self) -> Sequence[AtSite]:
        """Each site of a federated fit, as they are listed."""

    @property
    def guarantees(self) -> Mapping[str, Guarantee]:
        """The guarantee of each site, by its name."""

    @property
    def private_data(self) -> bool:
        """Whether the data are of real patients; false for phantoms."""


Phantoms = Callable[[], Inputs]
"""A function that returns the embedded phantoms. It is called for claims about phantoms alone."""


def of_guarantees(one: Claim, phantoms: Phantoms) -> Iterator[str]:
    """Yield faults that show without planning anything.

    Args:
        one: The claim.
        phantoms: Returns the embedded phantoms of its version.
    """
    yield from _of_sites(one)
    yield from _of_patients(one, phantoms)
    for at, guarantee in claimed_in(one).items():
        yield from _of_spec(guarantee, one.spec, _place(at))
    at_sites = [said for at, said in claimed_in(one).items() if at != WHOLE]
    whole = one.guarantee
    if at_sites and not _alike(worst(at_sites), whole, fitted=True):
        yield "its guarantee is not that of the site with the largest ε"
    if _is_summed(one) and not all(_alike(said, whole, fitted=True) for said in at_sites):
        yield "its sites have secure sums, and not one guarantee of the whole fit"


def unknown_patients(one: Claim) -> Iterator[str]:
    """Yield what cannot be checked: the number of patients of a hospital, and for whom it was."""
    if one.spec.curious is not None:
        yield f"that the noise was drawn for t = {one.spec.curious} curious sites"
    if one.private_data:
        said = claimed_in(one).items()
        many = [f"{guarantee.patients}{_place(at)}" for at, guarantee in said if _counts(one, at)]
        who = "their hospitals know" if len(one.sites) > 1 else "their hospital knows"
        yield f"the number of patients ({', '.join(many)}), which only {who}"


def of_plan(one: Claim, phantoms: Phantoms, cache: Path) -> Iterator[str]:
    """Yield a fault if the claimed mechanism is not the one that the settings give.

    Args:
        one: The claim.
        phantoms: Returns the embedded phantoms of its version.
        cache: The cache folder, where plans are remembered.

    Raises:
        BenchError: If no such generator, or another version of it, is installed.
        OSError: If the cache folder cannot be used.
    """
    spec = one.spec
    version = class_of(spec.registry, spec.generator.name).version
    if version != spec.generator.version:
        raise BenchError(f"{spec.generator.name} is of version {version} here")
    try:
        yield from _of_planned(one, phantoms, cache)
    except OSError as error:
        if is_within(error, cache):  # no fault of the settings
            raise
        yield f"its settings give no plan ({error.strerror or type(error).__name__})"
    except Exception as error:  # settings are a stranger's, and a plug-in may raise anything
        yield f"its settings give no plan ({str(error).rstrip('.') or type(error).__name__})"


def is_within(error: OSError, *folders: Path) -> bool:
    """Tell whether an error is of a file in one of some folders, or of a folder itself.

    Args:
        error: The error.
        folders: Such as the cache folder.
    """
    file = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    return file is not None and any(
        one == file or one in file.parents or file in one.parents for one in folders
    )


def of_mechanisms(claimed: Mapping[str, Guarantee]) -> Iterator[str]:
    """Yield a fault for every ε that does not follow from the mechanism's numbers.

    Args:
        claimed: What ``claimed_in`` returns.
    """
    for at, guarantee in claimed.items():
        try:
            again = recomputed_once(replace(guarantee, target_epsilon=0.0, seeded=False))
        except (ValueError, ArithmeticError) as error:
            yield f"ε{_place(at)} cannot be recomputed: {error}"
        else:
            yield from _of_spent(guarantee, again, _place(at))


def claimed_in(one: Claim) -> dict[str, Guarantee]:
    """Return the guarantees by where they hold: everywhere (``WHOLE``), and at each site."""
    return {WHOLE: one.guarantee, **one.guarantees}


def _place(at: str) -> str:
    return f" at {at}" if at else ""


def _is_summed(one: Claim) -> bool:
    """Whether secure sums trained it, so that every N is that of all sites' patients."""
    return one.spec.curious is not None


def _counts(one: Claim, at: str) -> bool:
    """Whether a guarantee's N is a count of its own; the whole's is one of the sites'."""
    return at == WHOLE if _is_summed(one) else at != WHOLE or not one.sites


def _of_sites(one: Claim) -> Iterator[str]:
    """Sites are there where the spec has some, each once, under the names that they have."""
    spec, names = one.spec, [site.site for site in one.sites]
    due = spec.sites if spec.is_federated else 0
    if (spec.sites > 1) is not spec.is_federated:
        yield "its spec has sites without a federation, or a federation without sites"
    if len({*names}) < len(names):
        yield "it names a site twice"
    if len(names) != due:
        yield f"it has guarantees of {len(names)} sites, and its spec has {due}"
    elif due and {*names} != _names_of_sites(spec, names):
        yield "its sites are not those of its partition"


def _names_of_sites(spec: FitSpec, claimed: Sequence[str]) -> set[str]:
    """The names that a split's sites have; a cohort's own sites are called as the cohort says."""
    if spec.federation is not None and spec.federation.partition == OWN_SITES:
        return {*claimed}
    return {f"site-{number}" for number in range(1, spec.sites + 1)}


def _of_patients(one: Claim, phantoms: Phantoms) -> Iterator[str]:
    """N of the phantoms is counted; δ must be lawful for all of them, or for those claimed."""
    spec, said = one.spec, claimed_in(one)
    everyone = sum(guarantee.patients for at, guarantee in said.items() if _counts(one, at))
    if not one.private_data:
        everyone = len(phantoms().train)
        try:
            due = _counted(spec, phantoms())
        except (UsageError, LookupError, ValueError, ArithmeticError) as error:
            yield f"the phantoms cannot be split as it says: {str(error).rstrip('.')}"
            due = {}
        for at, patients in due.items():
            if at in said and said[at].patients != patients:
                yield f"N{_place(at)} is {said[at].patients}, and there are {patients} phantoms"
        if due.keys() - said.keys() - {WHOLE} or said.keys() - due.keys() - {WHOLE}:
            yield "its sites are not those of the phantoms"
        if due and not _assigned(spec, phantoms()):
            yield "its sites have other patients than the phantoms' sites"
    try:
        check_delta(spec.delta, _public(spec, everyone).units(spec.unit))
    except UsageError as error:
        yield f"its δ is not lawful: {str(error).rstrip('.')}"


def _counted(spec: FitSpec, phantoms: Inputs) -> dict[str, int]:
    """How many phantoms are fitted on: at each site, or, where there is none, in all.

    With secure sums the whole fit and each of its sites have the number of all.

    Raises:
        UsageError: If they cannot be split so.
        LookupError: If there is no such site.
    """
    if spec.is_federated:
        groups = split(partition_of(spec), phantoms)
        many = {site: len(mine.train) for site, mine in groups.items()}
        if spec.curious is None:
            return many
        return dict.fromkeys([WHOLE, *many], sum(many.values()))
    known = _public(spec, len(inputs_of(spec, phantoms).train))
    return {WHOLE: public_with_canaries(spec, known).patients}


def _assigned(spec: FitSpec, phantoms: Inputs) -> bool:
    """Whether the spec's assignment of patients, if it names one, is that of the phantoms."""
    how = spec.federation
    if how is None or how.assignment is None:
        return True
    if isinstance(how, OneSite):
        return how.assignment == inputs_of(spec, phantoms).data
    return how.assignment == assignment_of(partition_of(spec), phantoms)


def _public(spec: FitSpec, patients: int) -> PublicNumbers:
    return PublicNumbers(
        patients=patients,
        patches_per_patient=int(spec.protocol["patches_per_patient"]),
        patch_size=int(spec.protocol["patch_size"]),
    )


def _of_spec(said: Guarantee, spec: FitSpec, at: str) -> Iterator[str]:
    """What the spec alone decides."""
    if (said.unit, said.delta) != (spec.unit, spec.delta):
        yield f"the guarantee{at} is for another unit or δ than the spec"
    if said.relation != RELATION:
        yield f"the guarantee{at} is for other neighbours than {RELATION}"
    patches = int(spec.protocol["patches_per_patient"])
    if said.patches_per_patient != patches:
        yield f"the guarantee{at} is for {said.patches_per_patient} patches, the spec for {patches}"
    if said.target_epsilon != spec.epsilon or said.epsilon > spec.epsilon:
        yield f"ε{at} is {said.epsilon:g}, and the spec asks for {spec.epsilon:g}"
    noised, seeded = 0 < said.epsilon < math.inf, spec.noise == "seeded"
    if said.seeded is not seeded and (noised or said.seeded):
        yield f"the guarantee{at} and the spec differ in whether the noise was seeded"
    if said.lost_steps > said.steps or (said.lost_steps and not said.interruptions):
        yield f"the guarantee{at} has more lost steps than it can have"


def _of_planned(one: Claim, phantoms: Phantoms, cache: Path) -> Iterator[str]:
    spec, claimed = one.spec, claimed_in(one)
    due = {at: said.patients for at, said in claimed.items() if _counts(one, at)}
    if not one.private_data:
        due = _counted(spec, phantoms())
    whole = sum(due.values())
    for at, patients in due.items():
        if at not in claimed:
            yield f"it has no guarantee{_place(at)}"
            continue
        said, again = claimed[at], _planned(spec, patients, whole, cache)
        spent = {name: getattr(said, name) for name in EPSILONS}
        if not _alike(replace(again, **spent), said):
            yield f"the guarantee{_place(at)} is not the one that its settings give"
        else:
            yield from _of_spent(said, again, _place(at))


def _planned(spec: FitSpec, patients: int, whole: int, cache: Path) -> Guarantee:
    kind = class_of(spec.registry, spec.generator.name)
    params = kind.Params(**spec.generator.settings)
    if spec.is_federated:
        schedule = schedule_of(spec)
        federated(kind, schedule.design)(params).schedule(
            design=schedule.design, rounds=schedule.rounds, local_steps=schedule.local_steps
        )
        if spec.curious is not None:
            return plan_together(spec, patients, cache)
        return plan_at_site(spec, patients, whole, cache)
    made = kind(params)
    return planned(spec.generator, made, _public(spec, patients), spec.budget, cache)


def _of_spent(claimed: Guarantee, again: Guarantee, at: str) -> Iterator[str]:
    for name in EPSILONS:
        said, found = getattr(claimed, name), getattr(again, name)
        if not same(said, found):
            yield f"{name}{at} is {said}, and its mechanism's numbers give {found}"


def _alike(one: Guarantee, other: Guarantee, *, fitted: bool = False) -> bool:
    """Whether they are the same; unless ``fitted``, but for what only the fit could say."""
    unsaid: dict[str, Any] = (
        {} if fitted else {"seeded": False, "interruptions": 0, "lost_steps": 0}
    )
    left, right = (replace(said, **unsaid).as_dict() for said in (one, other))
    return all(left[name] == right[name] or _close(left[name], right[name]) for name in left)


def _close(one: Any, other: Any) -> bool:
    """But for the last digits, and those of a small number too."""
    both: Sequence[Any] = (one, other)
    return all(isinstance(each, float) for each in both) and math.isclose(one, other, rel_tol=1e-6)
