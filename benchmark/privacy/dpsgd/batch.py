"""The input of one private step: labelled patches of the drawn units, with fakes beside them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.core.patches import Patches
from benchmark.core.workings import UnitSampler
from benchmark.privacy.dpsgd.sampling import BLANK


class Batch(NamedTuple):
    """The samples of one critic step.

    Attributes:
        real: ``(n, channels, H, W)``; may be empty.
        owner: int64 ``(n,)``, the unit that each real sample belongs to.
        fake: ``(f, channels, H, W)``, with ``f`` public and at least 1; ``None`` for no fakes.
        present: bool ``(n,)``, the real samples that are not blank; ``None`` for all. A blank
            sample keeps the slot of a drawn unit, or of a part of one, that has no patch.
    """

    real: Tensor
    owner: Tensor
    fake: Tensor | None = None
    present: Tensor | None = None

    @property
    def samples(self) -> Tensor:
        """All samples: the real ones, with zeros for blank ones, and then the fakes."""
        real = self.real.masked_fill(~self.there.view(-1, 1, 1, 1), 0.0)
        return real if self.fake is None else torch.cat([real, self.fake])

    @property
    def there(self) -> Tensor:
        """``present`` as a tensor: all true if it is ``None``."""
        return (
            torch.ones_like(self.owner, dtype=torch.bool) if self.present is None else self.present
        )

    def on(self, device: str | torch.device) -> Batch:
        """Return the batch on a device."""
        fake, present = (t if t is None else t.to(device) for t in (self.fake, self.present))
        return Batch(self.real.to(device), self.owner.to(device), fake, present)

    def beside(self, fake: Tensor) -> Batch:
        """Return the batch with these fakes, on their device."""
        return self.on(fake.device)._replace(fake=fake)

    def arranged(self) -> tuple[Batch, int]:
        """Pad and sort the batch so that each unit has equally many samples, one after the other.

        Returns:
            The arranged batch, and the number of samples of each unit.
        """
        if bool((self.owner[1:] > self.owner[:-1]).all()):
            return self, 1  # each sample is a unit of its own, which needs no sorting
        counts = torch.unique(self.owner, return_counts=True)[1]
        most = int(counts.max()) if len(counts) else 1
        units = self.owner[::most]
        whole = len(self.owner) % most == 0
        if whole and torch.equal(self.owner, units.repeat_interleave(most)):
            return self, most
        order = torch.argsort(self.owner, stable=True)
        rank = torch.arange(len(order), device=order.device)
        starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        place = torch.repeat_interleave(torch.arange(len(counts), device=order.device), counts)
        place = place * most + rank - starts
        real = self.real.new_zeros(len(counts) * most, *self.real.shape[1:])
        present = torch.zeros(len(real), dtype=torch.bool, device=order.device)
        real[place] = self.real[order]
        present[place] = self.there[order]
        owner = torch.unique(self.owner).repeat_interleave(most)
        return Batch(real, owner, self.fake, present), most


def drawn_by(sampler: UnitSampler, patches: Patches) -> Batch:
    """Draw a fresh batch of labelled patches, without fakes.

    Args:
        sampler: Draws from ``patches``.
        patches: Patients' patches.

    Returns:
        On the CPU; its samples are ``(n, 2, H, W)``.
    """
    indices, owners = sampler.draw()
    present = torch.from_numpy(indices != BLANK)
    return Batch(labelled(patches, indices), torch.from_numpy(owners), present=present)


def labelled(patches: Patches, indices: NDArray[np.int64]) -> Tensor:
    """Select labelled patches ``(n, 2, H, W)``: the image, then the mask as ±1.

    A blank one is zero. A patch is read for it all the same, so that it takes as long.

    Args:
        patches: The patches to select from.
        indices: Their indices; ``BLANK`` for none.
    """
    size = patches.images.shape[2:]
    if len(patches.images) == 0:
        return torch.zeros(len(indices), 2, *size)
    read = np.where(indices == BLANK, np.arange(len(indices)) % len(patches.images), indices)
    images, masks = (torch.from_numpy(a[read]) for a in (patches.images, patches.masks))
    found = torch.cat([images, masks.float() * 2 - 1], dim=1)
    return found.masked_fill_(torch.from_numpy(indices == BLANK).view(-1, 1, 1, 1), 0.0)
