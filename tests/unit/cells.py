"""A cell, for whatever is asked of one."""

from benchmark.results.spec import RunSpec
from benchmark.results.spec_parts import PlugIn

SPEC = RunSpec(
    generator=PlugIn(name="dp-wgan", version=1, settings={"batch": 8, "clip_norm": 0.5}),
    segmenter=PlugIn(name="unet", version=1, settings={}),
    protocol={"patch_size": 32},
    epsilon=2.0,
    delta=1e-5,
    unit="patch",
    data="d",
    test_data={"test": "t"},
    fid_weights="",
    noise="seeded",
    seed=0,
)
