# STOP: DGL's prompts from a transformer, prompts of pixels and between frames, and a narrow branch in every layer.
# With one token a clip, MeanPool is the cosine; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b16_msrvtt.py'
model = dict(
    neck=dict(_delete_=True, type='STOP'),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
# The released command for MSR-VTT, on 4 GPUs of 32 videos each: AdamW, and a cosine over what follows the warm-up.
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
param_scheduler = [dict(type='WarmupCosineLR', warmup_ratio=0.1, by_epoch=False)]
