# DGL: prompts of frames and captions from one linear space, 4 prompts of the clip, the first of which is its embedding.
# With one token a clip, MeanPool is the cosine; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(
    neck=dict(_delete_=True, type='DGL', space='linear', max_frames=8),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
