# The small CLIP as it is; for tools/test.py, there is nothing to train.
_base_ = [
    '../_base_/models/clip_tiny.py', '../_base_/datasets/glyphmotion.py', '../_base_/schedules/cma_tiny.py',
    '../_base_/default_runtime.py'
]
