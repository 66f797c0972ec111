# Your own images with Chinese captions: see the data set's file for their layout. Settings of
# cma_vit-b16_flickr30k.py; our choice, not tuned.
_base_ = [
    '../_base_/models/chinese-clip_b16.py', '../_base_/datasets/captioned_files.py', '../_base_/schedules/cma_5e.py',
    '../_base_/default_runtime.py'
]
pipeline = _base_.pipeline
pipeline[0] = dict(type='LoadImage')
model = dict(
    neck=dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16),
    head=dict(similarity=dict(type='MeanPool', _delete_=True)))
