"""Private band: learns three noised statistics of the patients, and draws bright bands by them."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from optuna.distributions import FloatDistribution
from safetensors.numpy import load_file, save_file

from benchmark.core.errors import NotFittedError
from benchmark.core.generator import Generator
from benchmark.core.patches import Patches
from benchmark.core.settings import Settings
from benchmark.privacy.mechanisms.release import Release, plan_releases


@dataclass(frozen=True, kw_only=True)
class PrivateBandParams(Settings):
    clip_norm: Annotated[float, FloatDistribution(0.1, 10.0, log=True)] = 1.5


def statistics(patches):  # (n, 3): a row for each patch, from that patch alone
    masks, images = 10.0 * patches.masks, patches.images
    return np.stack([a.mean((1, 2, 3)) for a in (masks, masks * images, images)], axis=1)


class PrivateBand(Generator):
    name, version, citation = "private-band", 1, "AngioBench's guide to plug-ins"
    is_private, Params, smoke = True, PrivateBandParams, PrivateBandParams()
    presets = {"quick": PrivateBandParams()}

    def __init__(self, params):
        self.params, self.learnt = params, None

    def plan(self, public, budget):  # calibrates the noise from public numbers alone
        return plan_releases(public, budget, clip_norm=self.params.clip_norm)

    def fit(self, patches, guarantee, context):
        spent = replace(guarantee, seeded=context.noise.seeded)
        context.charge(spent)  # the ledger knows before the first patch is read
        release = Release(spent)
        context.inspect(release)  # an audit may look, and put canaries in
        mean = release.mean(patches, statistics, context.noise)  # all that is learnt of patients
        self.learnt = {"mean": mean, "size": np.array(patches.size)}
        return spent

    def sample(self, n, *, seed):
        if self.learnt is None:
            raise NotFittedError("private-band must be fitted before it can sample.")
        (share, bright, mean), size = self.learnt["mean"], int(self.learnt["size"])
        share = np.clip(share / 10, 0.05, 0.5)  # noise may have moved it anywhere
        band = np.clip(bright / 10 / share, -0.2, 1.0)
        ground = np.clip((mean - share * band) / (1 - share), -0.9, band - 0.5)
        rng = np.random.default_rng(seed)
        angle, place = rng.uniform(0, np.pi, (n, 1, 1)), rng.uniform(-0.25, 0.25, (n, 1, 1))
        y, x = np.mgrid[:size, :size] / size - 0.5
        masks = abs(x * np.cos(angle) + y * np.sin(angle) - place) < share / 2
        images = np.where(masks, band, ground) + rng.normal(0, 0.15, masks.shape)
        images = np.clip(images, -1, 1).astype(np.float32)
        return Patches(images=images[:, None], masks=masks[:, None].astype(np.uint8))

    def save(self, folder):
        if self.learnt is None:
            raise NotFittedError("private-band must be fitted before it can be saved.")
        save_file(self.learnt, folder / "weights.safetensors")

    @classmethod
    def load(cls, folder):
        made = cls(PrivateBandParams())  # only a fit needs the settings
        made.learnt = load_file(folder / "weights.safetensors")
        return made
