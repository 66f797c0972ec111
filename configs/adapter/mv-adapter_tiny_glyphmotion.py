# MV-Adapter: bottlenecks of 8 channels with a transformer layer in them.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(neck=dict(_delete_=True, type='MVAdapter', bottleneck_dim=8, max_frames=8))
