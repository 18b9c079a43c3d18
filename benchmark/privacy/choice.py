"""Kept for plug-ins that were written before this moved; see the import below."""

from benchmark.privacy.mechanisms.choice import Election as Election
from benchmark.privacy.mechanisms.choice import plan_choices as plan_choices
