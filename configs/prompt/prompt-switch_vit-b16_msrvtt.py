# Prompt Switch: a cube of 6 x 6 prompts, transposed in every vision layer, in a CLIP that trains as a whole.
# Scores are those of the mean frame, as there; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b16_msrvtt.py'
model = dict(
    vision_backbone=dict(trainable=True),
    text_backbone=dict(trainable=True),
    neck=dict(_delete_=True, type='PromptSwitch', num_prompts=6),
    head=dict(train_logit_scale=True, similarity=dict(_delete_=True, type='MeanPool')))
# As released: AdamW, the towers at a tenth of the prompts' rate, a cosine over what follows the warm-up.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-5, betas=(0.9, 0.999)),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}))
param_scheduler = [dict(type='WarmupCosineLR', warmup_ratio=0.1, by_epoch=False)]
