"""What leaving patients out cost leaves with the result; who they were does not."""

from dataclasses import replace
from pathlib import Path

from made import INPUTS, entry, of_patients, spec

from leaderboard.published import Published
from leaderboard.sharing import published


def test_a_published_result_says_that_its_n_betrays_who_was_left_out(tmp_path: Path) -> None:
    cost = replace(INPUTS, private=True, incomplete=True).cost_of_skipping
    made = of_patients(entry(spec(noise="system"), tmp_path / "plans"))
    made = replace(made, result=made.told.but(cost_of_skipping=cost))
    file = published(made).write(tmp_path)
    assert Published.read(file).result.cost_of_skipping == cost
    assert "no ε covers that" in cost
    assert "sub-99" not in file.read_text()
