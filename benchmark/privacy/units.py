def patch_epsilon_of_patient_run(**k): return None
def patient_epsilon_of_patch_run(**k): return None
def default_delta(n): return min(1e-5,.1/n)
def check_delta(d,n): pass
