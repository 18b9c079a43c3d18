"""FID against the ``pytorch-fid`` command: the same PNGs, and weights in the real file's format."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from random_weights import write_random_weights

from benchmark.core.errors import BenchError, UsageError
from benchmark.metrics import inception, weights
from benchmark.metrics.distances import fid

COMMAND = """
import sys
from benchmark.metrics.torchvision_shim import import_torchvision
import_torchvision()
from pytorch_fid.fid_score import main
sys.argv = ["pytorch-fid", *sys.argv[1:]]
main()
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Torch hub's home, with randomly drawn weights under the real name and in the real format."""
    home = tmp_path_factory.mktemp("torch")
    write_random_weights(home / "hub" / "checkpoints" / weights.WEIGHTS_NAME)
    return home


def pictures(seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (n, 1, 32, 32)).astype(np.float32) * rng.uniform(0.2, 1)


@pytest.mark.parametrize("dims", [64, 192])
def test_fid_is_the_commands(hub: Path, tmp_path: Path, dims: int) -> None:
    sides = {"real": pictures(0, 12), "synthetic": pictures(1, 12)}
    for name, images in sides.items():
        (tmp_path / name).mkdir()
        for i, image in enumerate(inception.to_8_bit(images)):
            Image.fromarray(image[0]).save(tmp_path / name / f"{i}.png")
    command = [sys.executable, "-W", "ignore", "-c", COMMAND, "real", "synthetic"]
    options = ["--dims", str(dims), "--device", "cpu", "--num-workers", "0"]
    out = subprocess.run(
        [*command, *options],
        cwd=tmp_path,
        env={"TORCH_HOME": str(hub), "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = float(out.stdout.split("FID:")[1])
    found = weights.find(None, tmp_path) or hub / "hub" / "checkpoints" / weights.WEIGHTS_NAME
    ours = fid(**sides, dims=dims, weights=found, cache=tmp_path / "cache", real_key="a")
    assert ours.value == pytest.approx(theirs, rel=1e-3)
    assert (ours.n, ours.dims) == (12, dims)


@pytest.mark.parametrize("dims", [768, 2048])
def test_folding_changes_features_by_rounding_alone(hub: Path, dims: int) -> None:
    from pytorch_fid.inception import InceptionV3

    file = hub / "hub" / "checkpoints" / weights.WEIGHTS_NAME
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(hub))
        plain = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[dims]]).eval()
    images = pictures(0, 2)
    rgb = torch.from_numpy(inception.to_8_bit(images)).float().expand(-1, 3, -1, -1) / 255
    with torch.no_grad():
        theirs = plain(rgb)[0].mean((2, 3)).numpy()
    ours = inception.features(inception.load_network(file, dims), images)
    assert np.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


def test_the_real_side_is_computed_once_and_a_damaged_file_again(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = hub / "hub" / "checkpoints" / weights.WEIGHTS_NAME
    real, fake = pictures(0, 4), pictures(1, 4)
    asked = {"dims": 64, "weights": file, "cache": tmp_path, "real_key": "a"}
    first = fid(real, fake, **asked)
    seen: list[int] = []
    features = inception.features
    monkeypatch.setattr(
        inception,
        "features",
        lambda net, x, **on: (seen.append(len(x)), features(net, x, **on))[1],
    )
    assert fid(real, fake, **asked) == first
    assert len(seen) == 1
    next(tmp_path.glob("*.npy")).write_bytes(b"half a fi")
    assert fid(real, fake, **asked) == first
    assert len(seen) == 3


def test_a_file_that_holds_no_weights_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"no weights")
    with pytest.raises(UsageError, match=r"weights\.pth"):
        inception.load_network(file, 64)
    torch.save({"a": torch.zeros(1)}, file)
    with pytest.raises(UsageError, match=r"weights\.pth"):
        inception.load_network(file, 64)


def test_weights_are_looked_for_where_torch_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert weights.find(None, tmp_path) is None
    assert "bench weights fetch" in weights.missing_reason()
    ours = tmp_path / weights.WEIGHTS_NAME
    ours.touch()
    assert weights.find(None, tmp_path) == ours
    with pytest.raises(UsageError, match="no such file"):
        weights.find(tmp_path / "absent.pth", tmp_path)


def test_a_fetch_that_fails_leaves_nothing_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(b"something else")
    monkeypatch.setattr(weights, "WEIGHTS_URL", wrong.as_uri())
    with pytest.raises(BenchError, match="checksum"):
        weights.fetch(tmp_path / "cache")
    monkeypatch.setattr(weights, "WEIGHTS_URL", (tmp_path / "absent").as_uri())
    with pytest.raises(BenchError, match="--fid-weights FILE"):
        weights.fetch(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
