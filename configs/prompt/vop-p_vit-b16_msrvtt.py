# VoP-P: of 8 learned tokens in a vision layer, 4 are those of the frame's position.
# Scores are those of the mean frame, as in VoP; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b16_msrvtt.py'
model = dict(
    neck=dict(_delete_=True, type='VideoVoP', frame_prompts='position', max_frames=12),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
# The rate is our choice.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
