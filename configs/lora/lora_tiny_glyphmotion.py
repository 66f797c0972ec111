# LoRA (r = 8) on the query and value projections of both towers; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(neck=dict(_delete_=True, type='LoRA', r=8, lora_alpha=8))
