# VPT-deep: 5 learned tokens among the patches, fresh ones in every layer.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_msrvtt.py'
model = dict(neck=dict(_delete_=True, type='VPT', num_prompts=5))
# AdamW's rate is our choice: VPT's rates are SGD's.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
