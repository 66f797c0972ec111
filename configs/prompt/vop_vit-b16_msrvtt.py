# VoP, basic: 8 learned tokens in every vision layer, 4 + 4 in every text layer, as in its public code.
# Scores are those of the mean frame, as there; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_vit-b16_msrvtt.py'
model = dict(
    neck=dict(_delete_=True, type='VoP'),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
# The rate is our choice; the public code does not train.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
