# Every output channel of the narrower tower's adapters is shared: d_s = 128, the text tower's width.
_base_ = 'cma_tiny_glyphmotion.py'
model = dict(neck=dict(shared_dim=128))
