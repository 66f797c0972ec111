# AdaptFormer: a branch of 16 channels beside every feed-forward network.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(neck=dict(_delete_=True, type='AdaptFormer', bottleneck_dim=16))
