# Flickr30K. The paper's released material gives no settings for images; these are our choice: those of
# MSR-VTT (r = 8, d_s = 16, 32 words, 5 epochs, batch 128) with one frame, which needs no weighting.
_base_ = [
    '../_base_/models/clip_vit-b32.py', '../_base_/datasets/flickr30k.py', '../_base_/schedules/cma_5e.py',
    '../_base_/default_runtime.py'
]
model = dict(
    neck=dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16),
    head=dict(similarity=dict(type='MeanPool', _delete_=True)))
