# As cma_vit-b16_flickr30k.py, on another backbone. Our choice, not tuned.
_base_ = [
    '../_base_/models/metaclip2_b16.py', '../_base_/datasets/flickr30k.py', '../_base_/schedules/cma_5e.py',
    '../_base_/default_runtime.py'
]
model = dict(
    neck=dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16),
    head=dict(similarity=dict(type='MeanPool', _delete_=True)))
