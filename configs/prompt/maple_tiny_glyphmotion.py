# MaPLe: 2 learned tokens in the first 3 of 4 layers of each tower, those of vision made from those of text.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(neck=dict(_delete_=True, type='MaPLe', num_prompts=2, depth=3))
