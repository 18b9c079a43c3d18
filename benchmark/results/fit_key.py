"""The key of a fit: all that decides the fitted generator, and nothing that decides its judging.

Cells with the same key share one fit, and so one entry of the ledger. A field of a spec is part of
the key unless it is named here. So a field that is forgotten keeps cells apart, which costs a fit
and never shares a wrong one.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from benchmark.results.spec import KEY_LENGTH, VALIDATION, RunSpec, canonical

JUDGING_FIELDS = ("segmenter", "test_data", "fid_weights", "validation", "tuned", "own")
"""The fields of a spec that decide only how a generator is judged, or what is said of it. The
patients that ``own`` withholds change ``data``, and those of ``test_data`` the purpose."""

JUDGING_RULES = ("samples", "fid_n", "fid_dims")
"""The values of a protocol that decide only how a generator is judged."""

Purpose = Literal["fit", "tuning"]


def purpose_of(spec: RunSpec) -> Purpose:
    """Return what a cell's fit is for, as the ledger has it: validation patients judge tuning."""
    return "tuning" if VALIDATION in spec.test_data else "fit"


def fit_key(spec: RunSpec) -> str:
    """Return the first 12 hex digits of the SHA-256 of all that decides a cell's fit."""
    said = {name: value for name, value in spec.as_dict().items() if name not in JUDGING_FIELDS}
    rules = {name: value for name, value in spec.protocol.items() if name not in JUDGING_RULES}
    decides = {**said, "protocol": rules, "purpose": purpose_of(spec)}
    return hashlib.sha256(canonical(decides).encode()).hexdigest()[:KEY_LENGTH]
