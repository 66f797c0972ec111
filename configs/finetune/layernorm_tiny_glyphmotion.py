# LayerNorm tuning: gains and biases of the normalisations of both towers.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(
    neck=None,
    vision_backbone=dict(trainable='norm'),
    text_backbone=dict(trainable='norm'))
