import numpy as np
def dice(prediction, truth):
    p,t=np.asarray(prediction)>0,np.asarray(truth)>0
    return float(2*(p&t).sum()/max(1,p.sum()+t.sum()))
