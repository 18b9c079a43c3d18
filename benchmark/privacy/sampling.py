"""Kept for plug-ins that were written before this moved; see the import below."""

from benchmark.privacy.dpsgd.sampling import PoissonSampler as PoissonSampler
