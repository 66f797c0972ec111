# Your own videos with their captions: see the data set's file for their layout. Settings of cma_vit-b32_msrvtt.py; tune
# the learning rate on them (docs/data.md).
_base_ = [
    '../_base_/models/clip_vit-b32.py', '../_base_/datasets/captioned_files.py', '../_base_/schedules/cma_5e.py',
    '../_base_/default_runtime.py'
]
model = dict(neck=dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16))
