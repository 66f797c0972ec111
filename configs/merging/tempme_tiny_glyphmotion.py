# TempMe on 8 frames: of 4 layers two join frames, 2 and then 4; all else as in the Cross-Modal Adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(neck=dict(
    _delete_=True, type='TempMe', num_frames=8, merge_layers=(1, 2), merge_frames=(2, 4), tokens_per_layer=1))
