# DGL: prompts of frames and captions from one transformer, 4 prompts of the clip, the first of which is its embedding.
# With one token a clip, MeanPool is the cosine; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_msrvtt.py'
model = dict(
    neck=dict(_delete_=True, type='DGL', space='transformer'),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
# The released command for MSR-VTT: AdamW, and a cosine over what follows the warm-up.
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=2e-3))
param_scheduler = [dict(type='WarmupCosineLR', warmup_ratio=0.1, by_epoch=False)]
