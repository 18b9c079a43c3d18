"""Published figures about people that several packages use.

None of them comes from the benchmark's data.
"""

VESSEL_SHARE = 0.011
"""The share of a brain's volume that is artery, in public masks with voxels of 0.3 to 0.5 mm."""
