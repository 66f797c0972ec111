# ST-Adapter: bottlenecks of 384 channels, mixed along time, before every layer of the vision tower.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_didemo.py'
model = dict(neck=dict(_delete_=True, type='STAdapter', bottleneck_dim=384))
# The released code's rate with AdamW, 1e-3 for a batch of 256.
optim_wrapper = dict(optimizer=dict(lr=5e-4))
