"""Inception weights drawn at random, in the real file's format."""

from pathlib import Path

import pytest
import torch

from benchmark.metrics import inception


def write_random_weights(file: Path) -> Path:
    """Write weights that pytorch-fid's network can load."""
    inception.import_torchvision()
    from pytorch_fid import inception as theirs

    torch.manual_seed(0)
    file.parent.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        caught: list[torch.nn.Module] = []
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(
            torch.nn.Module,
            "load_state_dict",
            lambda module, *_, **__: caught.append(module),
        )
        theirs.fid_inception_v3()
    made = caught[0].state_dict()
    for name, value in made.items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
    torch.save(made, file)
    return file
