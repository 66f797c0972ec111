# Houlsby's adapters (r = 8) after attention and feed-forward; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_flickr30k.py'
model = dict(neck=dict(_delete_=True, type='BottleneckAdapter', bottleneck_dim=8))
