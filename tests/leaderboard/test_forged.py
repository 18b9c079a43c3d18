"""What a forger writes who knows the accounting: whatever can be known is not taken from a file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made import INPUTS, entry, of_patients, spec, specs

from benchmark.core.budget import Guarantee, PublicNumbers
from benchmark.core.federation import worst
from benchmark.core.files import plain
from benchmark.core.registry import generators
from benchmark.results.result import Result
from benchmark.results.spec import RunSpec
from benchmark.results.spec_parts import AcrossSites
from benchmark.sweep.site_plans import plan_at_site
from benchmark.sweep.sites import Federation
from leaderboard.published import Published, Verdict
from leaderboard.sharing import published
from leaderboard.verification import verified

PATIENT = {"unit": "patient", "epsilons": (2.0,)}
SPLIT = Federation(sites=3, partition="size-skew:8,5,3")
ALONE = {"federation": replace(SPLIT, baselines=True)}
Said = dict[str, Any]


@pytest.fixture(scope="module")
def pooled(cache: Path) -> Published:
    return published(entry(spec(**PATIENT), cache))


@pytest.fixture(scope="module")
def across(cache: Path) -> Published:
    return published(entry(spec(**PATIENT, federation=SPLIT), cache))


def forged(one: Published, made: RunSpec | None = None, **said: Any) -> Published:
    """The same file with something else in it, and a key that is right."""
    made = made or one.spec
    words = {**one.result.as_dict(), **said, "spec": plain(made.as_dict()), "run_key": made.key}
    return replace(one, spec=made, result=Result.read(words))


def with_guarantee(one: Published, guarantee: Guarantee, **more: Any) -> Published:
    return forged(one, guarantee=plain(replace(guarantee, seeded=True).as_dict()), **more)


def with_sites(one: Published, sites: dict[str, Guarantee] | list[tuple[str, Guarantee]]) -> Any:
    """Sites as they are claimed, and of the whole what then follows."""
    each = sites.items() if isinstance(sites, dict) else sites
    said = [(name, replace(guarantee, seeded=True)) for name, guarantee in each]
    words = [{"site": name, "guarantee": plain(g.as_dict())} for name, g in said]
    return with_guarantee(one, worst([g for _, g in said]), sites=words)


def plan_for(one: Published, patients: int, **public: int) -> Guarantee:
    """What the generator would plan, if it had so many."""
    kind = generators.get(one.spec.generator.name)
    protocol = {
        name: int(one.spec.protocol[name]) for name in ("patches_per_patient", "patch_size")
    }
    numbers = PublicNumbers(patients=patients, **{**protocol, **public})
    planned: Guarantee = kind(kind.Params(**one.spec.generator.settings)).plan(
        numbers, one.spec.budget
    )
    return planned


def claimed(one: Published) -> dict[str, Guarantee]:
    return one.result.guarantees


def faults(one: Published, cache: Path, folder: Path) -> list[str]:
    """What is found in the file, written and read as a stranger's."""
    return list(verified(Published.read(one.write(folder)), INPUTS, cache).faults)


def test_nobody_has_more_phantoms_than_there_are(
    pooled: Published, cache: Path, tmp_path: Path
) -> None:
    more = with_guarantee(pooled, plan_for(pooled, 1600))
    honest = pooled.result.guarantee
    assert more.result.guarantee.noise_multiplier < honest.noise_multiplier
    found = faults(more, cache, tmp_path)
    assert "N is 1600, and there are 16 phantoms" in found
    assert "the guarantee is not the one that its settings give" in found


def test_saying_another_n_of_the_honest_mechanism_is_found_out_too(
    pooled: Published, cache: Path, tmp_path: Path
) -> None:
    less = replace(pooled.result.guarantee, patients=15)
    assert "N is 15, and there are 16 phantoms" in faults(
        with_guarantee(pooled, less), cache, tmp_path
    )


@pytest.mark.parametrize("version", [1, 99])
def test_n_is_known_even_where_no_plan_can_be_made(
    version: int, pooled: Published, cache: Path, tmp_path: Path
) -> None:
    made = replace(pooled.spec, generator=replace(pooled.spec.generator, version=version))
    more = with_guarantee(pooled, plan_for(pooled, 1600))
    assert "N is 1600, and there are 16 phantoms" in faults(forged(more, made), cache, tmp_path)
    unknown = replace(pooled.spec, generator=replace(pooled.spec.generator, name="dp-best"))
    assert "N is 1600, and there are 16 phantoms" in faults(forged(more, unknown), cache, tmp_path)


def test_patches_of_a_patient_are_the_protocol_s(
    pooled: Published, cache: Path, tmp_path: Path
) -> None:
    more = plan_for(pooled, 16, patches_per_patient=5)
    found = faults(with_guarantee(pooled, more), cache, tmp_path)
    assert "the guarantee is for 5 patches, the spec for 1000" in found


@pytest.mark.parametrize("delta", [0.3, 1e-4])
def test_delta_is_lawful_whatever_the_spec_says(
    delta: float, pooled: Published, cache: Path, tmp_path: Path
) -> None:
    made = replace(pooled.spec, delta=delta)
    more = with_guarantee(forged(pooled, made), plan_for(forged(pooled, made), 16))
    assert any("its δ is not lawful" in said for said in faults(more, cache, tmp_path))


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"relation": "add-one"}, "the guarantee is for other neighbours than zero-out"),
        ({"covers": "nothing"}, "the guarantee is not the one that its settings give"),
        ({"lost_steps": 7}, "the guarantee has more lost steps than it can have"),
        ({"lost_steps": 10**6, "interruptions": 1}, "has more lost steps than it can have"),
        ({"target_epsilon": 3.0}, "and the spec asks for 2"),
        ({"seeded": False}, "differ in whether the noise was seeded"),
        ({"epsilon_patch": 0.1}, "epsilon_patch is 0.1, and its mechanism's numbers give"),
        ({"epsilon_patch": None}, "epsilon_patch is None, and its mechanism's numbers give"),
        ({"sampling_rate": 0.49999}, "the guarantee is not the one that its settings give"),
    ],
)
def test_all_else_of_a_guarantee_is_the_spec_s_or_recomputed(
    said: Said, fault: str, pooled: Published, cache: Path, tmp_path: Path
) -> None:
    words = {**pooled.result.as_dict()["guarantee"], **said}
    found = faults(forged(pooled, guarantee=words), cache, tmp_path)
    assert any(fault in one for one in found), found


def test_the_honest_sites_add_up(across: Published, cache: Path, tmp_path: Path) -> None:
    assert [g.patients for g in claimed(across).values()] == [8, 5, 3]
    assert verified(across, INPUTS, cache) == Verdict([], [])


def test_no_site_has_more_phantoms_than_its_partition_gives_it(
    across: Published, cache: Path, tmp_path: Path
) -> None:
    for sizes in ([800, 500, 300], [6, 6, 4], [14, 1, 1]):
        whole = sum(sizes)
        plans = [plan_at_site(across.spec, size, whole, cache) for size in sizes]
        more = with_sites(across, dict(zip(claimed(across), plans, strict=True)))
        found = faults(more, cache, tmp_path)
        assert f"N at site-1 is {sizes[0]}, and there are 8 phantoms" in found
        assert "the guarantee at site-1 is not the one that its settings give" in found


def test_the_sites_have_the_patients_that_the_phantoms_sites_have(
    across: Published, cache: Path, tmp_path: Path
) -> None:
    said = "its sites have other patients than the phantoms' sites"
    made = replace(across.spec, federation=replace(across_sites(across), assignment="0" * 16))
    assert said in faults(forged(across, made), cache, tmp_path)
    alone = next(
        one for one in specs(**PATIENT, federation=replace(SPLIT, baselines=True)) if one.alone_at
    )
    honest = published(entry(alone, cache))
    assert verified(honest, INPUTS, cache) == Verdict([], [])
    made = replace(alone, federation=replace(alone.federation, assignment="0" * 16))
    assert said in faults(forged(honest, made), cache, tmp_path)


@pytest.fixture(scope="module")
def summed(cache: Path) -> Published:
    how = replace(SPLIT, curious=1)
    asked = {**PATIENT, "generators": ("dp-merf",), "federation": how}
    return published(entry(spec(**asked), cache))


def across_sites(one: Published) -> AcrossSites:
    assert isinstance(one.spec.federation, AcrossSites)
    return one.spec.federation


def test_with_secure_sums_the_number_at_every_site_is_that_of_all(
    summed: Published, cache: Path
) -> None:
    assert [g.patients for g in claimed(summed).values()] == [16, 16, 16]
    unknown = ["that the noise was drawn for t = 1 curious sites"]
    assert verified(summed, INPUTS, cache) == Verdict([], unknown)


def test_no_site_of_a_secure_sum_has_a_number_or_a_guarantee_of_its_own(
    summed: Published, cache: Path, tmp_path: Path
) -> None:
    own = plan_at_site(
        replace(summed.spec, federation=replace(across_sites(summed), curious=None)), 8, 16, cache
    )
    found = faults(with_sites(summed, {**claimed(summed), "site-1": own}), cache, tmp_path)
    assert "N at site-1 is 8, and there are 16 phantoms" in found
    assert "its sites have secure sums, and not one guarantee of the whole fit" in found
    more = {site: replace(said, patients=32) for site, said in claimed(summed).items()}
    found = faults(with_sites(summed, more), cache, tmp_path)
    assert "N is 32, and there are 16 phantoms" in found
    assert "the guarantee is not the one that its settings give" in found


def test_another_t_or_none_needs_other_noise(
    summed: Published, cache: Path, tmp_path: Path
) -> None:
    """The distance of shares from the accounted law follows from t, and so does N from sums."""
    for curious in (None, 2):
        made = replace(summed.spec, federation=replace(across_sites(summed), curious=curious))
        found = faults(forged(summed, made), cache, tmp_path)
        assert bool(found) is (curious is None), found


def missing(sites: dict[str, Guarantee]) -> Any:
    return dict(list(sites.items())[:2])


def twice(sites: dict[str, Guarantee]) -> Any:
    first, second, _ = sites.items()
    return [first, second, first]


def once_more(sites: dict[str, Guarantee]) -> Any:
    return [*sites.items(), next(iter(sites.items()))]


def renamed(sites: dict[str, Guarantee]) -> Any:
    return {f"clinic-{number}": said for number, said in enumerate(sites.values())}


def swapped(sites: dict[str, Guarantee]) -> Any:
    return dict(zip(sites, reversed(sites.values()), strict=True))


def nowhere(sites: dict[str, Guarantee]) -> Any:
    return {**sites, "site-4": sites["site-1"]}


@pytest.mark.parametrize("change", [missing, twice, once_more, renamed, swapped, nowhere])
def test_every_site_is_there_once_under_its_own_name(
    change: Callable[[dict[str, Guarantee]], Any], across: Published, cache: Path, tmp_path: Path
) -> None:
    found = faults(with_sites(across, change(claimed(across))), cache, tmp_path)
    assert any("site" in said for said in found), found


def test_sites_and_federation_come_together(
    across: Published, pooled: Published, cache: Path, tmp_path: Path
) -> None:
    found = faults(replace(across, result=across.result.but("sites")), cache, tmp_path)
    assert "it has guarantees of 0 sites, and its spec has 3" in found
    more = with_sites(pooled, {"a": plan_for(pooled, 800), "b": plan_for(pooled, 800)})
    assert "it has guarantees of 2 sites, and its spec has 0" in faults(more, cache, tmp_path)
    made = replace(pooled.spec, sites=40)
    found = faults(forged(pooled, made), cache, tmp_path)
    assert any("sites without a federation" in said for said in found)


def test_a_split_that_the_phantoms_do_not_allow_is_refused(
    across: Published, cache: Path, tmp_path: Path
) -> None:
    how = replace(across.spec.federation, partition="site")
    made = replace(across.spec, sites=4, federation=how)
    plans = {name: plan_at_site(made, 400, 1600, cache) for name in "abcd"}
    more = with_sites(forged(across, made), plans)
    found = faults(more, cache, tmp_path)
    assert any("the phantoms cannot be split as it says" in said for said in found), found


def test_a_site_alone_has_no_more_phantoms_than_it_has(cache: Path, tmp_path: Path) -> None:
    found = [one for one in specs(**PATIENT, **ALONE) if one.alone_at == "site-3"]
    one = published(entry(found[0], cache))
    assert one.result.guarantee.patients == 3
    assert verified(one, INPUTS, cache) == Verdict([], [])
    more = with_guarantee(one, plan_for(one, 1600))
    assert "N is 1600, and there are 3 phantoms" in faults(more, cache, tmp_path)
    how = replace(one.spec.federation, alone="site-9")
    lost = forged(one, replace(one.spec, federation=how))
    assert any("cannot be split" in said for said in faults(lost, cache, tmp_path))


def test_the_whole_s_guarantee_is_its_worst_site_s(
    across: Published, cache: Path, tmp_path: Path
) -> None:
    best = min(claimed(across).values(), key=lambda said: said.epsilon)
    other = replace(best, steps=best.steps - 1)
    found = faults(with_guarantee(across, other), cache, tmp_path)
    assert "its guarantee is not that of the site with the largest ε" in found


def test_a_schedule_that_the_generator_has_not_is_refused(
    across: Published, cache: Path, tmp_path: Path
) -> None:
    how = replace(across.spec.federation, design="by-pigeon")
    found = faults(forged(across, replace(across.spec, federation=how)), cache, tmp_path)
    assert any("its settings give no plan" in said for said in found), found


@pytest.mark.parametrize("several", [False, True])
def test_rounds_that_its_spec_has_not_are_found(
    several: bool, across: Published, cache: Path, tmp_path: Path
) -> None:
    one = across if several else published(entry(spec(**PATIENT), cache))
    how = one.spec.federation
    due = how.rounds if isinstance(how, AcrossSites) else 0
    for rounds, right in ((due, several), (due + 1, False)):
        told = replace(one, result=one.result.but(rounds={"rounds": float(rounds)}))
        found = any("rounds, and its spec has" in said for said in faults(told, cache, tmp_path))
        assert found is not right


def test_a_mixture_of_many_rounds_is_refused(cache: Path, tmp_path: Path) -> None:
    """Every round would be a fit, and one is accounted."""
    mixed = published(entry(spec(**PATIENT, federation=replace(SPLIT, design="mixture")), cache))
    assert not faults(mixed, cache, tmp_path)
    how = replace(mixed.spec.federation, rounds=3)
    found = faults(forged(mixed, replace(mixed.spec, federation=how)), cache, tmp_path)
    assert any("a site fits once, in one round" in said for said in found), found


@pytest.mark.parametrize("several", [False, True])
def test_of_private_data_the_numbers_of_patients_are_listed_as_unchecked(
    several: bool, cache: Path, tmp_path: Path
) -> None:
    asked = {**PATIENT, "noise": "system", **({"federation": SPLIT} if several else {})}
    one = published(of_patients(entry(spec(**asked), cache)))
    found = verified(Published.read(one.write(tmp_path)), INPUTS, cache)
    many = "8 at site-1, 5 at site-2, 3 at site-3" if several else "16"
    assert found.faults == []
    who = "their hospitals know" if several else "their hospital knows"
    assert f"the number of patients ({many}), which only {who}" in found.unchecked


def test_of_private_data_too_patches_delta_and_the_other_unit_are_checked(
    cache: Path, tmp_path: Path
) -> None:
    one = published(of_patients(entry(spec(**PATIENT, noise="system"), cache)))
    honest = one.result.as_dict()["guarantee"]
    for said in (
        {"patches_per_patient": 5},
        {"epsilon_patch": 0.5},
        {"relation": "add-one"},
        {"steps": 3},
    ):
        assert faults(forged(one, guarantee={**honest, **said}), cache, tmp_path), said


def test_a_mechanism_of_an_unknown_plug_in_has_the_epsilon_of_its_numbers(
    pooled: Published, cache: Path, tmp_path: Path
) -> None:
    made = replace(pooled.spec, generator=replace(pooled.spec.generator, name="dp-best"))
    honest = verified(forged(pooled, made), INPUTS, cache)
    assert honest.faults == []
    assert any("the plan" in said for said in honest.unchecked)
    less = replace(pooled.result.guarantee, noise_multiplier=1.0)
    found = faults(forged(with_guarantee(pooled, less), made), cache, tmp_path)
    assert any("its mechanism's numbers give" in said for said in found)
