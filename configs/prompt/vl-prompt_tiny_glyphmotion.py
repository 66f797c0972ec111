# Independent V-L prompting: 2 learned tokens in every layer of each tower.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(neck=dict(_delete_=True, type='VLPrompt', num_prompts=2))
