# MaPLe: 5 learned tokens in all 12 layers of each tower, those of vision made from those of text.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b16_flickr30k.py'
model = dict(neck=dict(_delete_=True, type='MaPLe', num_prompts=5, depth=12))
# AdamW's rate is our choice: MaPLe's 3.5e-3 is SGD's.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
