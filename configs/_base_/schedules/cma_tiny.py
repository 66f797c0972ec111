# For the small CLIP: its narrow towers take a larger step than the paper's 1e-5. Of 1e-3, 3e-3, 6e-3 and 1e-2 the last
# had the best validation T2V R@1 on GlyphMotion (cma_tiny_glyphmotion, one run each). AdamW and the
# cosine of what follows the warm-up are what all runs of docs/results.md were made with.
_base_ = 'cma_5e.py'
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-2))
param_scheduler = [dict(type='WarmupCosineLR', warmup_ratio=0.1, by_epoch=False)]
