"""Whose patients are whose: disjoint, nobody left out, every site has somebody."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.core.errors import UsageError
from benchmark.data.cohort import Patient
from benchmark.data.layouts import read_cohort
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


def test_scanners_tell_patients_apart_by_their_headers(module_cohort: Path) -> None:
    import nibabel as nib
    import numpy as np

    everybody = list(read_cohort(module_cohort).split("train"))
    coarse = everybody[0]
    volume = nib.load(coarse.image)
    nib.save(nib.Nifti1Image(np.asarray(volume.dataobj), np.diag([0.9, 0.9, 0.9, 1])), coarse.image)
    found = Partition(text="scanner", sites=2).split(everybody)
    assert coarse in found["site-2"]
    nib.save(volume, coarse.image)


@pytest.mark.parametrize(
    ("text", "sites", "said"),
    [
        ("size-skew:1,2", 3, "one for each of the 3 sites"),
        ("size-skew:1,-2", 2, "numbers above 0"),
        ("size-skew:1,nan", 2, "numbers above 0"),
        ("dirichlet:0", 2, "numbers above 0"),
        ("dirichlet", 2, "ALPHA"),
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
    with pytest.raises(UsageError, match="every site needs one"):
        Partition(text="size-skew:1,1,1", sites=3).split(patients(2))


def test_a_patient_at_two_sites_is_refused() -> None:
    check_disjoint({"a": ["1", "2"], "b": ["3"]})
    with pytest.raises(UsageError, match="two sites, a and b"):
        check_disjoint({"a": ["1", "2"], "b": ["2"]})
