# CLIP as it is on Flickr30K; for tools/test.py, there is nothing to train. An image is one frame: no weighting.
_base_ = [
    '../_base_/models/clip_vit-b16.py', '../_base_/datasets/flickr30k.py', '../_base_/schedules/cma_5e.py',
    '../_base_/default_runtime.py'
]
model = dict(head=dict(similarity=dict(type='MeanPool', _delete_=True)))
