# VoP, basic: 8 learned tokens in every vision layer, 4 + 4 in every text layer, as in its public code.
# Scores are those of the mean frame, as there; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(
    neck=dict(_delete_=True, type='VoP'),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
