"""The embedded phantom cohort: simulated TOF-MRA with known vessels, as real NIfTI files.

With it, every command can be tried, tested and benchmarked without a patient. Importing this
package is cheap; the simulator is imported when a cohort is written.
"""

from benchmark.data.phantom.cache import embedded
from benchmark.data.phantom.cohort import (
    DEFAULT_SEED,
    VERSION,
    PhantomCohort,
    write_cohort,
    write_embedded,
)

__all__ = ["DEFAULT_SEED", "VERSION", "PhantomCohort", "embedded", "write_cohort", "write_embedded"]
