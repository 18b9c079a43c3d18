"""The table and the pictures that a sweep ends with."""

import io
import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import rich.console
from PIL import Image

from benchmark.core.patches import Patches
from benchmark.results.bookends import gain
from benchmark.results.matrix import Square, write_matrix
from benchmark.results.summary import SummaryRow
from benchmark.sweep.watching.pictures import save_picture, strip
from benchmark.terminal.figures import draw_matrix, draw_patches, draw_trade_off, trade_off
from benchmark.terminal.table import matrix_table, sweep_table

ROW = SummaryRow(
    generator="dp-wgan",
    segmenter="unet",
    epsilon=2.0,
    unit="patch",
    epsilon_patch=1.999,
    epsilon_patient=86489.5,
    delta=6.25e-6,
    seed=0,
    sites=1,
    test_set="test",
    dice=0.7,
    dice_low=0.65,
    dice_high=0.75,
    dice_mean=0.7,
    seeds=1,
    fraction_of_real=0.8,
    fid=None,
    fid_dims=None,
    fid_n=None,
    offline_distance=0.12,
    seconds=100.0,
    status="done",
    run_key="a",
    scores={"hd95_mm": 4.0},
)
REAL = replace(ROW, generator="real", epsilon=math.inf, epsilon_patch=math.inf, run_key="r")
FAILED = replace(
    ROW,
    dice=None,
    dice_mean=None,
    seeds=None,
    status="failed",
    run_key="f",
    epsilon_patch=None,
    seed=1,
)


def text(rows: list[SummaryRow]) -> str:
    console = rich.console.Console(width=200, file=io.StringIO())
    with console.capture() as shown:
        console.print(sweep_table(rows))
    return shown.get()


def sentences(rows: list[SummaryRow]) -> str:
    return " ".join(text(rows).split())


def test_the_table_says_the_relation_whose_noise_it_was_and_what_was_interrupted() -> None:
    shown = sentences([replace(ROW, noise="seeded")])
    assert "δ = 6.25e-06; neighbours: zero-out; noise: seeded, so for a benchmark alone." in shown
    assert "Killed" not in shown
    shown = sentences([replace(ROW, noise="system", lost_steps=60), REAL])
    assert "noise: the system's. " in shown
    assert "another draw, with up to 60 steps lost and counted: dp-wgan at ε = 2, seed 0." in shown


def test_gain_and_the_share_of_real_are_ratios_of_means_over_seeds() -> None:
    """Seeds in which `real` is hardly above the free row must not decide alone."""
    cells = [(0.75, 0.72, 0.75), (0.75, 0.72, 0.75), (0.8, 0.7, 0.77)]
    rows = [
        replace(
            ROW,
            seed=seed,
            dice=dice,
            over_free=dice - free,
            fraction_of_real=dice / real,
            gain=gain(dice, free, real),
            free="simulator",
        )
        for seed, (dice, free, real) in enumerate(cells)
    ]
    assert rows[2].gain == pytest.approx(1.43, abs=0.01)
    columns = next(line for line in text(rows).splitlines() if line.startswith(" dp-wgan"))
    assert "1.43" not in columns
    assert " 1.01 " in columns
    assert " – " in columns


def test_the_table_says_over_how_many_patients_a_dice_is() -> None:
    assert "Dice, test (n = 6)" in text([replace(ROW, patients=6), FAILED])
    assert "Dice, test " in text([ROW])


def test_the_table_shows_what_was_spent_by_patch_and_by_patient() -> None:
    shown = text([ROW, REAL])
    assert "ε asked, patch" in shown
    assert "1.999" in shown
    assert "8.7e+04" in shown
    assert "An ε above 10 is no meaningful guarantee." in sentences([ROW, REAL])
    assert "0.700 " in shown
    assert "offline distance" in shown
    assert "FID" not in shown


def test_a_control_is_called_one() -> None:
    shown = text([ROW, replace(ROW, control="noise", run_key="c")])
    assert "dp-wgan, control: noise" in shown
    assert "dp-wgan  " in shown


def test_an_fid_is_named_with_its_numbers() -> None:
    assert "FID (n=512, 64-d)" in text([replace(ROW, fid=3.0, fid_n=512, fid_dims=64)])


def test_seeds_are_a_mean_with_an_interval_over_seeds_and_patients() -> None:
    told = {"seeds": 2, "dice_mean": 0.75, "dice_mean_low": 0.65, "dice_mean_high": 0.85}
    one = replace(ROW, **told)
    other = replace(ROW, seed=1, dice=0.8, run_key="b", epsilon_patch=2.0, **told)
    shown = text([one, other])
    assert "0.750 [0.650–0.850]" in shown
    assert "mean of 2 seeds [95 % interval over seeds and patients]" in shown
    assert shown.count("dp-wgan") == 1


def test_one_seed_is_one_draw_without_brackets() -> None:
    shown = text([ROW])
    assert "one draw, which has no interval" in shown
    assert "0.700 " in shown
    assert "0.700 [" not in shown
    sure = {"dice_mean_low": 0.65, "dice_mean_high": 0.75}
    assert "0.700 [0.650–0.750]" in text([replace(ROW, generator="threshold", **sure)])


def test_a_failed_cell_is_shown_and_missing_seeds_are_counted() -> None:
    assert "failed" in text([FAILED])
    assert "dp-wgan (1 of 2 seeds)" in text([ROW, FAILED])


@pytest.mark.parametrize("fid", [None, 3.0])
@pytest.mark.parametrize("rows", [[ROW], [REAL], [ROW, REAL, FAILED, replace(ROW, epsilon=7.4)]])
def test_the_trade_off_is_drawn_for_any_sweep(
    rows: list[SummaryRow], fid: float, tmp_path: Path
) -> None:
    file = tmp_path / "trade-off.png"
    numbers = {"fid": fid, "fid_n": 512, "fid_dims": 64}
    draw_trade_off([replace(row, **numbers) for row in rows], file)
    picture = np.asarray(Image.open(file).convert("L"))
    assert picture.std() > 10


def test_a_row_of_a_thousand_seeds_is_drawn_as_one_line_and_the_dots_that_can_be_seen() -> None:
    seeds = [replace(ROW, seed=seed, dice=0.7 + seed / 500_000) for seed in range(1000)]
    drawn = trade_off([*seeds, replace(REAL, seed=0)])
    assert drawn is not None
    points = [point for one in drawn.to_dict()["datasets"].values() for point in one]
    assert len(points) < 60
    assert fmean(row.dice for row in seeds) in [point.get("value") for point in points]


def test_a_sweep_that_wholly_failed_draws_nothing(tmp_path: Path) -> None:
    draw_trade_off([FAILED], tmp_path / "a.png")
    draw_patches([("x", tmp_path / "absent.png")], tmp_path / "b.png")
    assert not list(tmp_path.iterdir())


def test_the_matrix_shows_every_epsilon_in_a_map_and_in_lines_of_its_own(tmp_path: Path) -> None:
    squares = [
        Square(
            generator="dp-wgan",
            segmenter="unet",
            epsilon=epsilon,
            trained=trained,
            tested=tested,
            dice=dice,
            patients=3,
        )
        for epsilon, dice in ((math.inf, 1.0), (2.0, 0.0))
        for trained in ("a", "b", "all patients, pooled")
        for tested in ("a", "b")
    ]
    draw_matrix(squares, tmp_path / "matrix.png")
    picture = np.asarray(Image.open(tmp_path / "matrix.png").convert("L"), float)
    left, right = np.array_split(picture[picture.shape[0] // 4 : picture.shape[0] // 2], 2, axis=1)
    assert np.median(left) < 100 < 200 < np.median(right), "1 is dark, 0 is bright"
    console = rich.console.Console(width=200, file=io.StringIO())
    with console.capture() as shown:
        console.print(matrix_table(squares))
    lines = [line.split() for line in shown.get().splitlines() if "pooled" in line]
    assert lines == [
        ["dp-wgan", "∞", "all", "patients,", "pooled", "1.000", "1.000"],
        ["dp-wgan", "2", "all", "patients,", "pooled", "0.000", "0.000"],
    ]


def test_a_site_without_held_out_patients_keeps_its_column(tmp_path: Path) -> None:
    tested = (("a", 0.5, 3), ("b", None, 0))
    squares = [
        Square(
            generator="dp-wgan",
            segmenter="unet",
            epsilon=2.0,
            trained="a",
            tested=site,
            dice=dice,
            patients=patients,
        )
        for site, dice, patients in tested
    ]
    draw_matrix(squares, tmp_path / "matrix.png")
    assert (tmp_path / "matrix.png").exists()
    console = rich.console.Console(width=200, file=io.StringIO())
    with console.capture() as shown:
        console.print(matrix_table(squares))
    assert ["dp-wgan", "2", "a", "0.500", "–"] in [
        line.split() for line in shown.get().splitlines()
    ]
    assert "No held-out patients at: b." in shown.get()
    write_matrix(tmp_path / "matrix.csv", squares)
    assert (tmp_path / "matrix.csv").read_text().splitlines()[2] == "dp-wgan,unet,2.0,a,b,,0"


def test_a_strip_shows_images_above_their_masks(tmp_path: Path) -> None:
    masks = np.zeros((3, 1, 32, 32), np.uint8)
    masks[1, :, 8:24, 8:24] = 1
    images = (masks * 2.0 - 1).astype(np.float32)
    save_picture(tmp_path / "strip.png", strip(Patches(images=images, masks=masks)))
    picture = np.asarray(Image.open(tmp_path / "strip.png"))
    above, below = np.split(picture, 2)
    assert np.array_equal(above, below)
    assert above[:, : above.shape[1] // 3].max() == 255, "the one with vessels comes first"
    draw_patches([("one", tmp_path / "strip.png")], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height >= picture.shape[0]


DIRECT = replace(
    ROW, generator="dp-segmenter", segmenter="dp-segmenter", offline_distance=None, run_key="d"
)


def test_a_private_segmenter_is_said_to_be_one_and_renames_no_other_row() -> None:
    shown = text([REAL, ROW, DIRECT])
    assert "+ unet" not in shown
    lines = [line.split()[0] for line in shown.splitlines() if "0.700" in line]
    assert lines == ["real", "dp-wgan", "dp-segmenter"]
    assert "dp-segmenter: the segmenter itself is private; nothing synthetic." in sentences(
        [REAL, ROW, DIRECT]
    )
    several = text([REAL, ROW, replace(ROW, segmenter="frangi"), DIRECT])
    assert "dp-wgan + frangi" in several
    assert "dp-segmenter +" not in several


def test_the_trade_off_has_a_private_segmenter_and_no_distance_of_it(tmp_path: Path) -> None:
    wide = {}
    for name, rows in {"both": [ROW, DIRECT], "without": [ROW], "alone": [DIRECT]}.items():
        draw_trade_off(rows, tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as chart:
            wide[name] = chart.size[0]
    assert wide["alone"] < wide["without"], "alone it has no panel of distances"
    assert wide["both"] >= wide["without"]
