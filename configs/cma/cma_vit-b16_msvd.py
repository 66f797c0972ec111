# The paper's setting for MSVD: r = 16, d_s = 16, 12 frames, 32 words, 5 epochs, batch 128.
_base_ = [
    '../_base_/models/clip_vit-b16.py', '../_base_/datasets/msvd.py', '../_base_/schedules/cma_5e.py',
    '../_base_/default_runtime.py'
]
model = dict(neck=dict(type='CrossModalAdapter', bottleneck_dim=16, shared_dim=16))
