# Prompt Switch: a cube of 4 x 4 prompts, transposed in every vision layer, in a CLIP that trains as a whole.
# Scores are those of the mean frame, as there; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(
    vision_backbone=dict(trainable=True),
    text_backbone=dict(trainable=True),
    neck=dict(_delete_=True, type='PromptSwitch', num_prompts=4),
    head=dict(train_logit_scale=True, similarity=dict(_delete_=True, type='MeanPool')))
# The towers at a hundredth of the prompts' rate, which is our choice.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.01)}))
