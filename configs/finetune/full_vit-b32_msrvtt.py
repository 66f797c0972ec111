# Full fine-tuning as CLIP4Clip's: all layers, what follows them, and the logit scale; what runs before them is frozen.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_msrvtt.py'
model = dict(
    neck=None,
    vision_backbone=dict(trainable='last_12_layers'),
    text_backbone=dict(trainable='last_12_layers'),
    head=dict(train_logit_scale=True))
# CLIP4Clip's rate of the backbone: --lr 1e-4 times --coef_lr 1e-3.
optim_wrapper = dict(optimizer=dict(lr=1e-7))
