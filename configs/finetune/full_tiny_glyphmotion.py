# Full fine-tuning: both towers and the logit scale; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(
    neck=None,
    vision_backbone=dict(trainable=True),
    text_backbone=dict(trainable=True),
    head=dict(train_logit_scale=True))
