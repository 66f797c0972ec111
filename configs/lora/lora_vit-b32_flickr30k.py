# LoRA (r = 8) on the query and value projections of both towers; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_flickr30k.py'
model = dict(neck=dict(_delete_=True, type='LoRA', r=8, lora_alpha=8))
# The paper's rate for GPT-2, with AdamW.
optim_wrapper = dict(optimizer=dict(lr=2e-4))
