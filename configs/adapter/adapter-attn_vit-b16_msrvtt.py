# Adapters after attention alone, of r = 64: the size that the paper compares with on videos.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b16_msrvtt.py'
model = dict(neck=dict(_delete_=True, type='BottleneckAdapter', bottleneck_dim=64, kinds=['attn']))
