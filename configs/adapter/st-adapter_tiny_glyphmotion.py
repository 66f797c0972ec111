# ST-Adapter: bottlenecks of 24 channels, mixed along time, before every layer of the vision tower.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(neck=dict(_delete_=True, type='STAdapter', bottleneck_dim=24))
