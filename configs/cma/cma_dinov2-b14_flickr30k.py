# As cma_vit-b16_flickr30k.py, with images seen by a backbone that never saw captions. The projection starts at
# random, so the learning rate is ten times as high. Our choice, not tuned.
_base_ = [
    '../_base_/models/dinov2_b14.py', '../_base_/datasets/flickr30k.py', '../_base_/schedules/cma_5e.py',
    '../_base_/default_runtime.py'
]
model = dict(
    neck=dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16),
    head=dict(similarity=dict(type='MeanPool', _delete_=True)))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
