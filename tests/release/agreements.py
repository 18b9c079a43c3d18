"""What a deployment leaves and its sites' consents, without a fit: from the plan alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deployments import ASKED, DEFAULTS, NAMES
from releases import put, text_of
from statements import statement

from benchmark.core.files import plain
from benchmark.core.sums import sum_of_folder
from benchmark.release.checks.evidence import claim_of
from benchmark.release.consent import LIBRARIES
from benchmark.release.records import AuditRecord
from benchmark.release.source import Source
from benchmark.sweep import site_plans
from federation.configuration import job_of
from federation.finished import RESULT, Finished, SiteFinished
from federation.job import Job

PATIENTS, VOXELS = 17, "ef" * 32
PATCHES = (200, 0, VOXELS)


def finished() -> Finished:
    """Of three sites with as many patients each."""
    job: Job = job_of({**DEFAULTS, **ASKED}, patients=PATIENTS * len(NAMES))
    site = job.made().at_site(1 / len(NAMES))
    planned = site.plan_at_site(job.public(PATIENTS), job.budget(), job.schedule)
    sites = [SiteFinished(site=name, patients=PATIENTS, guarantee=planned) for name in NAMES]
    return Finished.of(job, sites, [{"number": 1, "seconds": 1.0, "sent": 10, "received": 10}])


def left_by_a_server(folder: Path) -> Source:
    """Its folder, with something in the place of weights."""
    said = finished()
    put(folder, RESULT, text_of(said.as_dict()))
    put(folder, "generator/settings.json", b"{}")
    return Source(folder=folder, result=said)


def consent_to(source: Source, site: str) -> dict[str, Any]:
    """A site's consent, as its file has it."""
    from importlib.metadata import version

    held, said = source.result.guarantees[site], statement()
    assert said.audit
    assert said.ledger
    assert said.nearest_real
    audit = said.audit.as_dict()
    record = AuditRecord.model_validate(audit)
    for test, one in zip((audit, *audit["further"]), (record, *record.further), strict=True):
        test["claim"] = claim_of(held, record, one).epsilon
    n, seed, voxels = PATCHES
    made = {
        "format": 1,
        "run": source.result.run_key,
        "site": site,
        "guarantee": held.as_dict(),
        "generator": sum_of_folder(source.folder / "generator"),
        "approved_by": "Dr Ada Meyer",
        "created": "2026-11-30",
        "examined": {
            "n": n,
            "seed": seed,
            "voxels": voxels,
            "job": site_plans.job_of(source.result.spec).digest,
            "evidence": {
                "ledger": {**said.ledger.as_dict(), "after": held.epsilon_patient},
                "audit": audit,
                "nearest_real": said.nearest_real.as_dict(),
            },
            "versions": {name: version(name) for name in LIBRARIES},
        },
    }
    found: dict[str, Any] = json.loads(json.dumps(plain(made)))
    return found
