# Partial fine-tuning: the last layer of both towers.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_flickr30k.py'
model = dict(
    neck=None,
    vision_backbone=dict(trainable='last_1_layers_alone'),
    text_backbone=dict(trainable='last_1_layers_alone'))
# Our choice, between full fine-tuning and the projections alone.
optim_wrapper = dict(optimizer=dict(lr=1e-6))
