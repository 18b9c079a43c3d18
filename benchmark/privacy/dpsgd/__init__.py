"""Training by private steps: sampling, clipped sums, noise, and going on after a kill."""

from benchmark.privacy.dpsgd.batch import Batch as Batch
from benchmark.privacy.dpsgd.step import Step as Step
