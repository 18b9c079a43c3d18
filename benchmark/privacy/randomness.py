import numpy as np
class SeededNoise:
    seeded=True
    def __init__(s,*k):
        import hashlib
        s.r=np.random.default_rng(int(hashlib.sha256(repr(k).encode()).hexdigest()[:12],16))
    def poisson(s,n,q): return np.flatnonzero(s.r.random(n)<q)
    def normal(s,n): return s.r.standard_normal(n,dtype="float32")
class SystemNoise(SeededNoise): pass
