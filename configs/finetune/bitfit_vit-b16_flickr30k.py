# BitFit: the biases of both towers; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b16_flickr30k.py'
model = dict(
    neck=None,
    vision_backbone=dict(trainable='bias'),
    text_backbone=dict(trainable='bias'))
# The smallest rate that BitFit tries.
optim_wrapper = dict(optimizer=dict(lr=1e-4))
