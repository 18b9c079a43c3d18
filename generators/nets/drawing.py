"""A generator that is one network once it is fitted: it draws from it, writes and reads it."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmark.core.errors import NotFittedError
from benchmark.core.generator import Generator
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.settings import Settings
from generators.nets.convolutional import PatchGenerator

CHUNK = 256
SETTINGS, WEIGHTS = "settings.json", "weights.safetensors"


class DrawingGenerator(Generator):
    """Draws labelled patches from its network, ``None`` before it is fitted."""

    params: Settings
    _net: PatchGenerator | None = None

    @abstractmethod
    def _network(self, size: int) -> PatchGenerator:
        """The network for patches of a side, by the settings; its weights are yet to come."""

    @torch.no_grad()
    def sample(self, n: int, *, seed: int) -> Patches:
        """Draws ``n`` labelled patches; masks are where the mask channel is above 0."""
        net = self._fitted("sample")
        rng = torch.Generator(next(net.parameters()).device).manual_seed(stream(seed, "samples"))
        sizes = [min(CHUNK, n - start) for start in range(0, n, CHUNK)]
        out = torch.cat([net(*net.latents(size, rng)).cpu() for size in sizes]).numpy()
        return Patches(images=out[:, :1], masks=(out[:, 1:] > 0).astype(np.uint8))

    def save(self, folder: Path) -> None:
        """Writes ``settings.json`` and ``weights.safetensors``."""
        net = self._fitted("be saved")
        settings = {"size": net.size, "params": self.params.as_dict()}
        (folder / SETTINGS).write_text(json.dumps(settings, indent=1))
        save_file(net.state_dict(), folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The generator that ``save`` wrote."""
        settings = json.loads((folder / SETTINGS).read_text())
        made = cls(cls.Params(**settings["params"]))
        made._net = made._network(settings["size"])
        made._net.load_state_dict(load_file(folder / WEIGHTS))
        made._net.eval()
        return made

    def _fitted(self, to: str) -> PatchGenerator:
        if self._net is None:
            raise NotFittedError(f"{self.name} must be fitted before it can {to}.")
        return self._net
