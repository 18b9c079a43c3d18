"""How many patients each site would have, before there is a cohort."""

from __future__ import annotations

from benchmark.core.bounds import SITES, shortened, within
from benchmark.core.errors import UsageError
from federation.partition import Partition

PARTITIONS = ("equal", "size-skew", "dirichlet")
"""The partitions that say how many patients a site has before there is a cohort."""


def site_sizes(patients: int, sites: int | None, partition: str | None) -> list[int]:
    """Return the public number of patients of each site.

    Args:
        patients: How many there are together.
        sites: How many sites, 2 or more; ``None`` for none.
        partition: ``equal``, ``size-skew:A,B[,…]`` or ``dirichlet:ALPHA``; ``None`` for equal.

    Returns:
        The numbers; none without sites.

    Raises:
        UsageError: For a partition without sites or of another kind, or too many sites.
    """
    if sites is None:
        if partition is not None:
            raise UsageError(f"--partition {partition} needs --sites.")
        return []
    within("--sites", sites, (2, SITES[1]))
    if partition is not None and partition.partition(":")[0] not in PARTITIONS:
        raise UsageError(
            "Expected --partition to be equal, size-skew:A,B[,…] or dirichlet:ALPHA, as there is "
            f"no cohort yet; got {shortened(repr(partition))}."
        )
    equal = partition in (None, "equal")
    text = f"size-skew:{','.join(sites * '1')}" if equal else partition or ""
    return Partition(text=text, sites=sites).sizes(patients)
