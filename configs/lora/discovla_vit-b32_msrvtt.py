# DiscoVLA: one low-rank update of queries, keys and values, class tokens over the clip in the last 4 vision layers.
# Scores are those of the mean frame, as there; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_msrvtt.py'
model = dict(
    neck=dict(_delete_=True, type='DiscoVLA'),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
# The released command for MSR-VTT: AdamW, and a cosine over what follows the warm-up.
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=6e-4, betas=(0.9, 0.999)))
param_scheduler = [dict(type='WarmupCosineLR', warmup_ratio=0.1, by_epoch=False)]
