# CoOp: 4 learned context vectors before the words; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_coco.py'
model = dict(neck=dict(_delete_=True, type='CoOp', num_prompts=4))
# AdamW's rate is our choice: CoOp's 2e-3 is SGD's.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
