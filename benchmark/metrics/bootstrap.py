from typing import NamedTuple
import numpy as np
class Interval(NamedTuple):
    mean: float; low: float; high: float
def interval(values, *, seed=0, resamples=2000, level=.95):
    v=np.asarray(values,float); m=np.random.default_rng(seed).choice(v,(resamples,len(v))).mean(1)
    return Interval(float(v.mean()),*map(float,np.percentile(m,[2.5,97.5])))
