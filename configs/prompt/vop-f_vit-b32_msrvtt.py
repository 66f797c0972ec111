# VoP-F: the last 4 vision layers see a clip as one sequence with 8 learned tokens of its own.
# Scores are those of the mean frame, as in VoP; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b32_msrvtt.py'
model = dict(
    neck=dict(_delete_=True, type='VideoVoP', frame_prompts=None, clip_layers=4),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
# The rate is our choice.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
