# The paper's setting for DiDeMo: r = 8, d_s = 8, 64 frames, 64 words, 5 epochs, batch 128.
_base_ = [
    '../_base_/models/clip_vit-b32.py', '../_base_/datasets/didemo.py', '../_base_/schedules/cma_5e.py',
    '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(max_words=64),
    neck=dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=8))
