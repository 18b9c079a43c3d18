def offline_distance(a,b): return 0.0
def fid(*a,**k): raise RuntimeError
