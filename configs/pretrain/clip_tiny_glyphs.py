# Pretrains the small CLIP that the package carries, from scratch, on a million clean images of glyphs:
#     python tools/train.py configs/pretrain/clip_tiny_glyphs.py
# The model folder it writes (work_dirs/clip_tiny_glyphs/hf) is mmcma/pretrained/clip-tiny-glyphs.
_base_ = [
    '../_base_/models/clip_tiny_scratch.py', '../_base_/datasets/glyphpictures.py', '../_base_/default_runtime.py'
]

model = dict(precision='bf16')

max_iters = 4000  # of 256 images
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=500)
val_cfg = dict(type='RetrievalValLoop')
test_cfg = dict(type='RetrievalTestLoop')

optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1),
    paramwise_cfg=dict(bias_decay_mult=0, norm_decay_mult=0),
    clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=300),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=300, end=max_iters, T_max=max_iters - 300, eta_min=0),
]

default_hooks = dict(checkpoint=dict(interval=500, by_epoch=False), logger=dict(interval=50))
log_processor = dict(by_epoch=False)
custom_hooks = [
    dict(type='FrozenParameterHook'),
    dict(type='BestCheckpointHook'),
    dict(type='ResumeHook'),
    dict(type='CollapseHook'),
    dict(type='RetrievalReportHook', zero_shot=False),
    dict(type='ExportBackboneHook', folder='hf'),
]
