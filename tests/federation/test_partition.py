"""Whose patients are whose: disjoint, nobody left out, every site has somebody."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.core.errors import UsageError
from benchmark.data.cohort import Patient
from benchmark.data.layouts import read_cohort
from federation import partition
from federation.partition import Partition, check_disjoint


def patients(count: int, sites: str = "ab") -> list[Patient]:
    nowhere = Path("nowhere")
    return [
        Patient(id=f"sub-{i:02d}", image=nowhere, vessels=nowhere, site=sites[i % len(sites)])
        for i in range(count)
    ]


@given(st.integers(2, 6), st.integers(0, 40), st.sampled_from(["equal", "skew", "dirichlet"]))
def test_nobody_is_left_out_or_at_two_sites(sites: int, more: int, kind: str) -> None:
    shares = {"equal": [1.0] * sites, "skew": [8.0] + [1.0] * (sites - 1)}
    text = (
        "dirichlet:0.3" if kind == "dirichlet" else f"size-skew:{','.join(map(str, shares[kind]))}"
    )
    everybody = patients(sites + more)
    found = Partition(text=text, sites=sites).split(everybody)
    assert len(found) == sites
    assert all(found.values())
    assert sorted(p.id for group in found.values() for p in group) == [p.id for p in everybody]


def test_shares_are_kept() -> None:
    found = Partition(text="size-skew:0.8,0.1,0.1", sites=3).split(patients(40))
    assert [len(group) for group in found.values()] == [32, 4, 4]


def test_the_split_does_not_depend_on_the_order_of_the_patients() -> None:
    one = Partition(text="size-skew:1,1", sites=2)
    assert one.split(patients(9)) == one.split(patients(9)[::-1])


def test_own_sites_keep_their_names() -> None:
    found = Partition(text="site", sites=3).split(patients(7, "xyz"))
    assert {name: len(group) for name, group in found.items()} == {"x": 3, "y": 2, "z": 2}


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patients whose site is their scanner."""
    spacing = {"x": 0.3, "y": 0.5, "z": 0.7, "w": 0.9}
    monkeypatch.setitem(partition._LIKENESS, "scanner", lambda p: (spacing[p.site],))


@pytest.mark.usefixtures("scanned")
@pytest.mark.parametrize("scanners", ["xxxxxyyz", "xyzw", "xxyyzw", "xyyyyyyy"])
def test_no_scanner_is_at_two_sites(scanners: str) -> None:
    everybody = patients(24, scanners)
    found = Partition(text="scanner", sites=2).split(everybody)
    assert {p.id for mine in found.values() for p in mine} == {p.id for p in everybody}
    one, other = ({p.site for p in mine} for mine in found.values())
    assert one
    assert other
    assert not one & other


@pytest.mark.usefixtures("scanned")
def test_fewer_scanners_than_sites_are_refused() -> None:
    with pytest.raises(UsageError, match=r"8 patients come from 2 scanners .* fewer than 3 sites"):
        Partition(text="scanner", sites=3).split(patients(8, "xy"))


@pytest.mark.usefixtures("scanned")
@pytest.mark.parametrize("text", ["scanner", "site"])
def test_held_out_patients_are_where_their_like_were_trained_on(text: str) -> None:
    train, others = patients(8, "xyyz" if text == "scanner" else "xy"), patients(6, "xzw")
    split = Partition(text=text, sites=2)
    found, of = split.held_out(train, others), {}
    for name, mine in split.split(train).items():
        of |= {patient.site: name for patient in mine}
    assert list(found) == list(split.split(train))
    where = {p.id: name for name, mine in found.items() for p in mine}
    assert where == {p.id: of[p.site] for p in others if p.site in of}
    assert all(p.id not in where for p in others if p.site == "w"), "nobody's like"


@given(st.integers(0, 9))
def test_a_shuffled_site_may_have_no_held_out_patients(count: int) -> None:
    split = Partition(text="size-skew:8,1,1", sites=3)
    found = split.held_out(patients(10), patients(count))
    assert list(found) == list(split.split(patients(10)))
    assert sorted(p.id for mine in found.values() for p in mine) == [p.id for p in patients(count)]


def test_scanners_tell_patients_apart_by_their_headers(module_cohort: Path) -> None:
    import nibabel as nib
    import numpy as np

    everybody = list(read_cohort(module_cohort).split("train"))
    coarse = everybody[0]
    volume = nib.load(coarse.image)
    nib.save(nib.Nifti1Image(np.asarray(volume.dataobj), np.diag([0.9, 0.9, 0.9, 1])), coarse.image)
    found = Partition(text="scanner", sites=2).split(everybody)
    assert found["site-2"] == (coarse,)
    nib.save(volume, coarse.image)


@pytest.mark.parametrize(
    ("text", "sites", "said"),
    [
        ("size-skew:1,2", 3, "one for each of the 3 sites"),
        ("size-skew:1,-2", 2, "numbers above 0"),
        ("size-skew:1,nan", 2, "numbers above 0"),
        ("dirichlet:0", 2, "numbers above 0"),
        ("dirichlet", 2, "ALPHA"),
        ("dirichlet:1e308", 2, "sum above 0 and below infinity, got 0; use numbers nearer to 1"),
        ("size-skew:1e308,1e308", 2, "sum above 0 and below infinity, got inf"),
        ("scanner:2", 2, "none for the others"),
        ("hospital", 2, "Expected --partition to be one of"),
        ("site", 1, "at least 2 sites"),
    ],
)
def test_what_cannot_be_meant_is_said(text: str, sites: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Partition(text=text, sites=sites)


def test_a_cohort_that_has_other_sites_is_told_how_to_simulate() -> None:
    with pytest.raises(UsageError, match=r"2 sites \(a, b\).*size-skew:1,1,1"):
        Partition(text="site", sites=3).split(patients(6))
    with pytest.raises(UsageError, match="no sites of their own"):
        Partition(text="site", sites=2).split(patients(6, "-"))
    with pytest.raises(UsageError, match="no sites of their own"):
        Partition(text="site", sites=3).split(patients(6, "-"))
    with pytest.raises(UsageError, match="every site needs one"):
        Partition(text="size-skew:1,1,1", sites=3).split(patients(2))


@pytest.mark.parametrize(("sites", "places"), [(2, "aa-"), (3, "ab-"), (3, "Aa-"), (3, "a-")])
def test_patients_without_a_site_make_no_hospital(sites: int, places: str) -> None:
    everybody = patients(12, places)
    lacking = sum(patient.site == "-" for patient in everybody)
    with pytest.raises(UsageError) as refused:
        Partition(text="site", sites=sites).split(everybody)
    said = str(refused.value)
    assert f"{lacking} of the 12 training patients have no site" in said
    assert "column `site` of participants.tsv" in said
    assert f"size-skew:{','.join('1' * sites)}" in said


def test_a_patient_at_two_sites_is_refused() -> None:
    check_disjoint({"a": ["1", "2"], "b": ["3"]})
    with pytest.raises(UsageError, match="two sites, a and b"):
        check_disjoint({"a": ["1", "2"], "b": ["2"]})
