# Adapters in the last two of four layers alone, twice as wide.
_base_ = 'cma_tiny_glyphmotion.py'
model = dict(neck=dict(bottleneck_dim=16, layers=[-2, -1]))
