# The two projections into the joint space; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_didemo.py'
model = dict(
    neck=None,
    vision_backbone=dict(trainable='projection'),
    text_backbone=dict(trainable='projection'))
