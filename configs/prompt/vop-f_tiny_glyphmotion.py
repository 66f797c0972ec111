# VoP-F: the last layer sees a clip as one sequence with 8 learned tokens of its own.
# Scores are those of the mean frame, as in VoP; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(
    neck=dict(_delete_=True, type='VideoVoP', frame_prompts=None, clip_layers=1),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
