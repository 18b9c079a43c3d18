"""Kept for plug-ins that were written before this moved; see the import below."""

from benchmark.privacy.mechanisms.poisson_gaussian import (
    plan_poisson_gaussian as plan_poisson_gaussian,
)
