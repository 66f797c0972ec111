# Independent V-L prompting: 5 learned tokens in every layer of each tower.
# All else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b16_msrvtt.py'
model = dict(neck=dict(_delete_=True, type='VLPrompt', num_prompts=5))
# AdamW's rate is our choice: the released 3.5e-3 is SGD's.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
