# VoP-C: of 8 tokens in a vision layer, 4 are made of the class tokens of all frames.
# Scores are those of the mean frame, as in VoP; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(
    neck=dict(_delete_=True, type='VideoVoP', frame_prompts='context'),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
