# CoOp: 4 learned context vectors before the words; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(neck=dict(_delete_=True, type='CoOp', num_prompts=4))
