# The embedded default: adapts the small CLIP to moving glyphs in a few minutes on two cores.
_base_ = [
    '../_base_/models/clip_tiny.py', '../_base_/datasets/glyphmotion.py', '../_base_/schedules/cma_tiny.py',
    '../_base_/default_runtime.py'
]
model = dict(neck=dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16))
train_cfg = dict(max_epochs=1)  # of 10,000 pairs of clip and caption
