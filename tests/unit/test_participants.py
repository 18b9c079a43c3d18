"""``participants.tsv``: understood where one reading is possible, else a fault with its row."""

from pathlib import Path

import pytest

from benchmark.core.errors import DataError
from benchmark.data.layouts import list_patients, read_cohort
from benchmark.data.layouts.listing import Listing

RIGHT = [("sub-01", "a", "train"), ("sub-02", "a", "test"), ("sub-03", "b", "train")]
HEADER = "participant_id\tsite\tsplit\n"
ROWS = "".join("\t".join(row) + "\n" for row in RIGHT)


def cohort(root: Path, table: str | bytes, ids: tuple[str, ...] = ("01", "02", "03")) -> Path:
    for name in (f"sub-{i}" for i in ids):
        image = root / name / "anat" / f"{name}_angio.nii.gz"
        label = root / f"derivatives/m/{name}/anat/{name}_desc-vessel_mask.nii.gz"
        for file in (image, label):
            file.parent.mkdir(parents=True)
            file.touch()
    content = table.encode() if isinstance(table, str) else table
    (root / "participants.tsv").write_bytes(content)
    return root


def said(listing: Listing) -> list[tuple[str, str, str]]:
    return [(p.id, p.site, p.split) for p in listing.patients]


UNDERSTOOD = {
    "as BIDS has it": HEADER + ROWS,
    "a BOM": "\ufeff" + HEADER + ROWS,
    "blanks around the header": "participant_id\tsite \t split \n" + ROWS,
    "blanks around ids": HEADER + ROWS.replace("sub-", " sub-").replace("\t", " \t "),
    "another case of the header": "Participant_ID\tSITE\tSplit\n" + ROWS,
    "another case of ids": HEADER + ROWS.replace("sub-", "SUB-"),
    "no prefix": HEADER + ROWS.replace("sub-", ""),
    "lost zeros": HEADER + ROWS.replace("sub-0", ""),
    "more zeros": HEADER + ROWS.replace("sub-", "00"),
    "another case of splits": HEADER + ROWS.replace("train", " Train").replace("test", "TEST"),
    "synonyms": HEADER + ROWS.replace("train", "Training").replace("test", "testing"),
    "blank rows": HEADER + "\n" + ROWS.replace("\n", "\n\t\t\n"),
    "carriage returns": (HEADER + ROWS).replace("\n", "\r\n"),
    "commas in a .tsv": (HEADER + ROWS).replace("\t", ","),
    "a doubled row": HEADER + ROWS + "sub-01\ta\ttrain\n",
    "a doubled row with less": HEADER + ROWS + "1\tn/a\t\n",
    "further columns": HEADER.replace("\n", "\tage\n") + ROWS.replace("\n", "\tn/a\n"),
    "quotes": HEADER.replace("site", '"site"') + ROWS.replace("sub-01", '"sub-01"'),
    "strangers": HEADER + ROWS + "sub-99\tz\ttrain\n",
}


@pytest.mark.parametrize("form", UNDERSTOOD)
def test_a_table_with_one_reading_is_understood(form: str, tmp_path: Path) -> None:
    listing = list_patients(cohort(tmp_path, UNDERSTOOD[form]))
    assert not listing.faults
    assert said(listing) == RIGHT


REFUSED = {
    "a stranger's table": (HEADER + "P7\ta\ttrain\n", "no row is of a patient in this folder"),
    "no rows": (HEADER, "the table has no row"),
    "nothing": ("", "the table has no column participant_id"),
    "no column of ids": ("subject\tsplit\nsub-01\ttrain\n", "no column participant_id"),
    "a slip in a column": (HEADER.replace("split", "splits") + ROWS, "'splits'; is it 'split'?"),
    "a column twice": (HEADER.replace("site", "split") + ROWS, "two columns split"),
    "a short row": (HEADER + ROWS + "sub-04\ta\n", "row 5: the row has 2 cells and the header 3"),
    "a long row": (HEADER + ROWS.replace("a\ttest", "a\ttest\tx"), "row 3: the row has 4 cells"),
    "no id": (HEADER + ROWS + "n/a\ta\ttrain\n", "row 5, column participant_id: there is no id"),
    "an open quote": (HEADER + ROWS.replace("a\ttest", '"a\ttest'), "the table cannot be read"),
    "splits under another name": (
        HEADER.replace("split", "data_split") + ROWS,
        "the column 'data_split' holds splits (test, train), and is not called 'split'",
    ),
    "UTF-16": ((HEADER + ROWS).encode("utf-16"), "the table cannot be read"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_a_table_that_cannot_be_understood_is_never_ignored(form: str, tmp_path: Path) -> None:
    table, sentence = REFUSED[form]
    root = cohort(tmp_path, table)
    assert [f for f in list_patients(root).faults if sentence in str(f)]
    with pytest.raises(DataError, match=r"participants\.tsv"):
        read_cohort(root, faults=[])


WRONG_ROWS = {
    "an unknown split": (
        HEADER + ROWS.replace("\ttest", "\tholdout"),
        "row 3, column split: 'holdout' is no split",
        {"sub-02"},
    ),
    "two splits": (
        HEADER + ROWS + "sub-01\ta\ttest\n",
        "sub-01 is in the splits 'train' and 'test' (rows 2 and 5)",
        {"sub-01"},
    ),
    "two sites": (
        HEADER + ROWS + "1\tb\ttrain\n",
        "sub-01 is at the sites 'a' and 'b' (rows 2 and 5)",
        {"sub-01"},
    ),
}


@pytest.mark.parametrize("form", WRONG_ROWS)
def test_a_wrong_row_is_named_and_its_patient_alone_left_out(form: str, tmp_path: Path) -> None:
    table, sentence, out = WRONG_ROWS[form]
    listing = list_patients(cohort(tmp_path, table))
    assert [f for f in listing.faults if sentence in str(f)] == listing.faults != []
    assert {p.id for p in listing.patients} == {"sub-01", "sub-02", "sub-03"} - out


def test_an_id_that_could_be_two_patients_is_a_fault_and_an_exact_one_is_not(
    tmp_path: Path,
) -> None:
    listing = list_patients(cohort(tmp_path / "two", HEADER + "001\ta\ttrain\n", ("1", "01")))
    assert "column participant_id: '001' could be sub-01 or sub-1" in str(listing.faults[0])
    exact = HEADER + "1\ta\ttrain\n01\tb\ttest\n"
    listing = list_patients(cohort(tmp_path / "exact", exact, ("1", "01")))
    assert sorted(said(listing)) == [("sub-01", "b", "test"), ("sub-1", "a", "train")]


def test_what_is_not_given_is_not_a_value(tmp_path: Path) -> None:
    root = cohort(tmp_path, HEADER + ROWS.replace("\tb\t", "\tn/a\t").replace("\ttest", "\tN/A"))
    assert said(list_patients(root)) == [
        ("sub-01", "a", "train"),
        ("sub-02", "a", ""),
        ("sub-03", "-", "train"),
    ]
    with pytest.raises(DataError, match="sub-02 has no split and others have"):
        read_cohort(root)


def test_rows_and_patients_without_the_other_are_counted_in_notes(tmp_path: Path) -> None:
    table = HEADER + ROWS.splitlines()[0] + "\nsub-98\t\t\nsub-99\t\t\n1\t\t\n"
    notes = "\n".join(list_patients(cohort(tmp_path, table)).notes)
    assert "2 rows are of patients who are not in this folder" in notes
    assert "2 patients have no row (first: sub-02)" in notes
    assert "1 ids are written otherwise; '1' is sub-01" in notes
    assert "row 5 repeats an earlier row" in notes


@pytest.mark.parametrize("name", ["participants.tsv.txt", "participants (1).tsv"])
def test_a_table_under_a_name_that_is_not_read_is_a_fault(name: str, tmp_path: Path) -> None:
    root = cohort(tmp_path, HEADER + ROWS)
    (root / "participants.tsv").rename(root / name)
    assert "this table is not read; save it as participants.tsv" in str(
        list_patients(root).faults[0]
    )


def test_two_ids_that_differ_in_case_alone_are_one(tmp_path: Path) -> None:
    root = cohort(tmp_path, HEADER + ROWS.replace("03", "A"), ("01", "A", "a"))
    listing = list_patients(root)
    assert [p.id for p in listing.patients] == ["sub-01"]
    assert "have one id, in any case of its letters" in str(listing.faults[-1])


def test_patients_of_a_test_set_who_are_in_other_splits_are_noted(tmp_path: Path) -> None:
    found = read_cohort(cohort(tmp_path, HEADER + ROWS), all_test=True)
    assert [p.id for p in found.split("test")] == ["sub-02"]
    assert any("2 patients of" in n and "are not tested on" in n for n in found.notes)


def test_nan_is_no_site(tmp_path: Path) -> None:
    found = list_patients(cohort(tmp_path, HEADER + ROWS.replace("\ta\t", "\tNaN\t")))
    assert [p.site for p in found.patients] == ["-", "-", "b"]


def test_a_csv_is_read_and_must_equal_a_tsv_beside_it(tmp_path: Path) -> None:
    root = cohort(tmp_path, HEADER + ROWS)
    other = root / "Participants.CSV"
    other.write_text((HEADER + ROWS).replace("\t", ";"))
    assert said(list_patients(root)) == RIGHT
    other.write_text((HEADER + ROWS).replace("\t", ",").replace("test", "val"))
    assert "differ; keep one of them" in str(list_patients(root).faults[0])
    (root / "participants.tsv").unlink()
    assert [split for *_, split in said(list_patients(root))] == ["train", "val", "train"]
    other.rename(root / "participants.xlsx")
    assert "save it as participants.tsv" in str(list_patients(root).faults[0])
