# DiscoVLA: one low-rank update of queries, keys and values, class tokens over the clip in the last layer.
# Scores are those of the mean frame, as there; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(
    neck=dict(_delete_=True, type='DiscoVLA', lora_rank=8, clip_layers=1),
    head=dict(similarity=dict(_delete_=True, type='MeanPool')))
