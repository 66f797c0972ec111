# The paper's setting for ActivityNet Captions: r = 16, d_s = 512, 64 frames, 64 words, 20 epochs, batch 128.
_base_ = [
    '../_base_/models/clip_vit-b16.py', '../_base_/datasets/activitynet.py', '../_base_/schedules/cma_5e.py',
    '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(max_words=64),
    neck=dict(type='CrossModalAdapter', bottleneck_dim=16, shared_dim=512))
train_cfg = dict(max_epochs=20)
