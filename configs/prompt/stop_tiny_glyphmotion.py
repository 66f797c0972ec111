# STOP: DGL's prompts from a transformer, prompts of pixels and between frames, and a narrow branch in every layer.
# With one token a clip, MeanPool is the cosine; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(
    neck=dict(_delete_=True, type='STOP', max_frames=8, branch_dim=8),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
