"""Published figures that several layers rest on; numbers about people, and from no data here."""

VESSEL_SHARE = 0.011
"""Of a brain, the share that is artery, in public whole-brain masks of 0.3 to 0.5 mm voxels."""
