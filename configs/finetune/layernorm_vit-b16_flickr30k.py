# LayerNorm tuning: gains and biases of the normalisations of both towers.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b16_flickr30k.py'
model = dict(
    neck=None,
    vision_backbone=dict(trainable='norm'),
    text_backbone=dict(trainable='norm'))
# Our choice, as for BitFit, which trains as few numbers a channel.
optim_wrapper = dict(optimizer=dict(lr=1e-4))
