"""Base class of generators that are one network once they are fitted: sampling, saving, loading."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmark.core.errors import NotFittedError
from benchmark.core.generator import Generator
from benchmark.core.parsers import json_in
from benchmark.core.patches import Patches
from benchmark.core.seeds import stream
from benchmark.core.settings import Settings

CHUNK = 256
"""How many patches are drawn at a time."""

SETTINGS, WEIGHTS = "settings.json", "weights.safetensors"


class Drawer(nn.Module, ABC):
    """A network from which labelled patches ``(n, 2, H, W)`` in [-1, 1] are drawn.

    Attributes:
        size: Side of a patch.
    """

    size: int

    @abstractmethod
    def latents(self, n: int, rng: torch.Generator) -> tuple[Tensor, ...]:
        """Draw the inputs for ``n`` patches during training."""

    def inputs(self, n: int, seed: int, rng: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Yield the inputs for ``n`` samples, some at a time.

        Args:
            n: How many samples.
            seed: The seed of the samples.
            rng: A random generator that is seeded by it.
        """
        for start in range(0, n, CHUNK):
            yield self.latents(min(CHUNK, n - start), rng)


class DrawingGenerator(Generator):
    """Draws labelled patches from its network, which is ``None`` before it is fitted."""

    params: Settings
    _net: Drawer | None = None

    @abstractmethod
    def _network(self, size: int) -> Drawer:
        """The network for patches of a side, by the settings; its weights are yet to come."""

    @torch.no_grad()
    def sample(self, n: int, *, seed: int) -> Patches:
        """Draw ``n`` labelled patches. A pixel is in the mask if the mask channel is above 0."""
        net = self._fitted("sample")
        rng = torch.Generator(next(net.parameters()).device).manual_seed(stream(seed, "samples"))
        drawn = net.inputs(n, seed, rng)
        out = torch.cat([net(*some).cpu() for some in drawn]).numpy()
        return Patches(images=out[:, :1], masks=(out[:, 1:] > 0).astype(np.uint8))

    def save(self, folder: Path) -> None:
        """Write ``settings.json`` and ``weights.safetensors``."""
        net = self._fitted("be saved")
        settings = {"size": net.size, "params": self.params.as_dict()}
        (folder / SETTINGS).write_text(json.dumps(settings, indent=1))
        save_file(net.state_dict(), folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The generator that ``save`` wrote."""
        settings = json_in(folder / SETTINGS)
        made = cls(cls.Params(**settings["params"]))
        made._net = made._network(settings["size"])
        made._net.load_state_dict(load_file(folder / WEIGHTS))
        made._net.eval()
        return made

    def _fitted(self, to: str) -> Drawer:
        if self._net is None:
            raise NotFittedError(f"{self.name} must be fitted before it can {to}.")
        return self._net
