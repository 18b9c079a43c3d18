"""The MLflow run under which the cells of a sweep, or the trials of a study, are logged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.results.spec import RunSpec

DESCRIPTION = (
    "One sweep: each child run is a generator at one privacy level and seed. Choose the children "
    "and press Compare; `dice_test` against `epsilon` is the trade-off. `real` (patients' own "
    "patches) is the upper bookend; `simulator`, `threshold` and `frangi` look at no patient, and "
    "`over_free_test` is Dice less that of the best of them, chosen on validation patients. "
    "`dp-segmenter` is a segmenter that was itself fitted under the same ε; a run called a control "
    "never reached a patient. An ε for a patch is none for a patient: `tags.unit = 'patient'` "
    "keeps to one of them."
)


@dataclass(frozen=True)
class Parent:
    """The run under which cells are logged.

    Attributes:
        key: The same for the same command.
        name: The name in MLflow's lists.
        note: The text on its page.
        params: What decided all its cells.
    """

    key: str
    name: str
    note: str
    params: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_sweep(cls, specs: Sequence[RunSpec]) -> Parent:
        """Return the parent run of a sweep, by its cells."""
        key = hashlib.sha256(",".join(sorted(s.key for s in specs)).encode()).hexdigest()[:12]
        names = list(dict.fromkeys(s.generator.name for s in specs))
        return cls(key, f"sweep of {', '.join(names)}", DESCRIPTION)
