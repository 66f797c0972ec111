# Uni-modal adapters: the same as cma_tiny_glyphmotion with nothing shared (d_s = 0).
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(neck=dict(shared_dim=0))
