"""From a run to the statement of its release: what is measured, and what is said of it."""

from __future__ import annotations

import math
import platform
import zlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from benchmark.core.budget import Guarantee
from benchmark.core.errors import UsageError
from benchmark.core.patches import Patches
from benchmark.core.protocol import spacing_of
from benchmark.release.agreement import Given, site_records
from benchmark.release.checks.remaking import DRAWING
from benchmark.release.cohort import Cohort
from benchmark.release.consent import today
from benchmark.release.findings import audit_record, audited, nearest_record, replayed
from benchmark.release.records import LedgerRecord
from benchmark.release.refusals import of_the_evidence, refuse
from benchmark.release.request import ReleaseRequest
from benchmark.release.source import Source
from benchmark.release.statement import Samples, Statement
from benchmark.release.utility import utility_of
from benchmark.results.provenance import suite
from benchmark.results.result import Result
from benchmark.sweep.inputs import Progress

FORMAT = 1
LIBRARIES = (
    *("angiobench", "numpy", "torch", "dp-accounting", "opacus"),
    *DRAWING,
)
"""The libraries that decide the bits of patches, guarantees and pages."""


def statement_of(
    source: Source,
    cohort: Cohort | None,
    patches: Patches,
    asked: ReleaseRequest,
    *,
    voxels: str | None,
    reasons: Sequence[str],
    consents: Mapping[str, Given],
    ledger: LedgerRecord | None,
    progress: Progress,
) -> Statement:
    """Measure what a release needs, and state it.

    Args:
        source: The run.
        cohort: Its patients; ``None`` where no patient was looked at, or only sites can.
        patches: The patches to be released.
        asked: What the owner asks for.
        voxels: SHA-256 over the voxels that the sites of a deployment examined.
        reasons: Why no ε can be claimed; none where one can.
        consents: What each site gave.
        ledger: What the ledger says.
        progress: Called for every stage.

    Raises:
        UsageError: If what is measured speaks against the release.
    """
    claims = {
        "reasons": tuple(reasons),
        "claim": "not private" if reasons else "private",
        "sites": site_records(source, consents),
        "ledger": ledger,
        **_measured(source, cohort, patches, asked, private=not reasons, progress=progress),
    }
    return _stated(source, patches, asked, voxels, claims)


def _measured(
    source: Source,
    cohort: Cohort | None,
    patches: Patches,
    asked: ReleaseRequest,
    *,
    private: bool,
    progress: Progress,
) -> dict[str, Any]:
    """What is measured for the release, and stops it if it must."""
    if source.is_deployed:
        replay = replayed(source)
        refuse([*of_the_evidence(None, None, replay)])
        return {"replay": replay}
    if cohort is None:
        return {}
    shown = asked.disclose or not source.result.private_data
    progress("Searching for copies", 0, 1)
    nearest = nearest_record(cohort, source.generator, patches, disclose=shown)
    if not private:
        refuse([*of_the_evidence(None, nearest, None)])
        return {"nearest_real": nearest}
    progress("Replaying the fit", 0, 1)
    replay = replayed(source)
    progress("Attacking the fit", 0, 1)
    guarantee = source.result.guarantee
    audit = audit_record(audited(source, cohort), guarantee, disclose=shown)
    refuse([*of_the_evidence(audit, nearest, replay)])
    return {"audit": audit, "nearest_real": nearest, "replay": replay}


def _stated(
    source: Source,
    patches: Patches,
    asked: ReleaseRequest,
    voxels: str | None,
    claims: dict[str, Any],
) -> Statement:
    result = source.result
    examined = {} if voxels is None else {"voxels": voxels}
    said = {
        "format": FORMAT,
        "phantoms": not result.private_data,
        "run": result.run_key,
        "spec": result.spec,
        "guarantee": result.guarantee,
        "mechanism": mechanism_of(result.guarantee),
        "samples": Samples(
            n=len(patches),
            seed=asked.seed,
            size=patches.size,
            spacing_mm=spacing_of(result.spec.protocol),
            per_volume=asked.per_volume,
            volumes=math.ceil(len(patches) / asked.per_volume),
            generator=source.generator_sum,
            **examined,
        ),
        "utility": utility_of(result, asked.store) if isinstance(result, Result) else (),
        "cost_of_skipping": result.cost_of_skipping,
        "suite": suite(),
        "versions": {
            "python": platform.python_version(),
            "zlib": zlib.ZLIB_RUNTIME_VERSION,
            **{name: version(name) for name in LIBRARIES},
        },
        "licence": asked.licence,
        "created": today(),
        **claims,
    }
    given = {name: value for name, value in said.items() if value not in (None, ())}
    try:
        return Statement.read(given)
    except ValueError as error:
        raise UsageError(f"Nothing is released. Its statement cannot be made {error}.") from error


def mechanism_of(guarantee: Guarantee) -> str:
    """Name the mechanism of a guarantee.

    Args:
        guarantee: The guarantee.
    """
    if guarantee.epsilon == 0:
        return "none: no patient was looked at"
    if math.isinf(guarantee.epsilon):
        return "none: nothing is noised"
    if guarantee.is_pure:
        return "permute-and-flip choice among public candidates"
    if guarantee.sampling_rate == 1:
        return "discrete Gaussian noise on sums over all units"
    return "discrete Gaussian noise on sums of clipped gradients of Poisson-drawn units"
