# Partial fine-tuning: the last two layers of both towers and what follows them.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(
    neck=None,
    vision_backbone=dict(trainable='last_2_layers'),
    text_backbone=dict(trainable='last_2_layers'))
# At the adapter's 1e-2 all embeddings fall together within 15 steps.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
