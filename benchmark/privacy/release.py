"""Kept for plug-ins that were written before this moved; see the import below."""

from benchmark.privacy.mechanisms.release import Release as Release
from benchmark.privacy.mechanisms.release import plan_releases as plan_releases
