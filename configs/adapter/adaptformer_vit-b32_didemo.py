# AdaptFormer: a branch of 64 channels beside every feed-forward network.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_didemo.py'
model = dict(neck=dict(_delete_=True, type='AdaptFormer', bottleneck_dim=64))
# The paper trains with SGD; 1e-4 is our choice, ten times CMA's rate, for a branch that is scaled by 0.1.
optim_wrapper = dict(optimizer=dict(lr=1e-4))
