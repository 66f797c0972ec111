# For the small CLIP: narrow towers take a larger step than the paper's 1e-5, and a smaller batch.
_base_ = 'cma_5e.py'
optim_wrapper = dict(optimizer=dict(lr=3e-3))
