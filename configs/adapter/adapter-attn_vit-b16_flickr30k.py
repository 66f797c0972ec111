# Adapters after attention alone, of r = 16: the size that the paper compares with on images.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b16_flickr30k.py'
model = dict(neck=dict(_delete_=True, type='BottleneckAdapter', bottleneck_dim=16, kinds=['attn']))
