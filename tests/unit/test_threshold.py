"""The brightest share: exactly that, of the brain alone, and nothing learnt."""

import numpy as np
import pytest

from benchmark.core.patches import Patches
from benchmark.core.segmenter import TrainContext
from segmenters.threshold import Threshold, ThresholdParams

SPACING = (0.5, 0.5, 0.8)


def marked(volume: np.ndarray, share: float = 0.011) -> np.ndarray:
    one = Threshold(ThresholdParams(share=share))
    nothing = np.zeros((2, 1, 16, 16))
    one.fit(
        Patches(images=nothing.astype(np.float32), masks=nothing.astype(np.uint8)),
        TrainContext(seed=0),
    )
    return one.predict(volume.astype(np.float32), SPACING)


@pytest.mark.parametrize("share", [0.002, 0.011, 0.1])
def test_the_share_of_the_brain_is_marked_and_it_is_the_brightest(share: float) -> None:
    rng = np.random.default_rng(0)
    volume = np.full((40, 50, 20), -1.0)
    volume[5:35, 5:45] = rng.uniform(-0.9, 0.9, (30, 40, 20))
    found = marked(volume, share)
    assert found.sum() == pytest.approx(share * (volume > -1).sum(), abs=1)
    assert volume[found].min() > volume[~found].max()


def test_what_is_cut_off_at_the_top_is_marked_whole() -> None:
    volume = np.zeros((10, 10, 10))
    volume[:2] = 1.0
    assert np.array_equal(marked(volume), volume == 1)


def test_of_no_brain_nothing_is_marked() -> None:
    assert not marked(np.full((5, 6, 7), -1.0)).any()
