# TempMe: patches merged within frames, then across neighbouring ones; LoRA of rank 8 in both towers; mean frame.
_base_ = '../cma/cma_vit-b16_msrvtt.py'
# 16 of 196 patches a layer halve the operations, as the paper says of it; for ViT-B/16 nothing is released.
model = dict(
    neck=dict(_delete_=True, type='TempMe', num_frames=12, tokens_per_layer=16),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
# The released code's optimizer and schedule for MSR-VTT.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=6e-4, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.2))
param_scheduler = [dict(type='WarmupCosineLR', warmup_ratio=0.1, by_epoch=False)]
