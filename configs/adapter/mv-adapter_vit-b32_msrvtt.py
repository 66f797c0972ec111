# MV-Adapter: bottlenecks of 64 channels with a transformer layer in them.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_msrvtt.py'
model = dict(neck=dict(_delete_=True, type='MVAdapter', bottleneck_dim=64, max_frames=12))
# The released code's rate for MSR-VTT.
optim_wrapper = dict(optimizer=dict(lr=5e-6))
