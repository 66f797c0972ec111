# The small CLIP on 500 fresh images of the kind it was pretrained on; for tools/test.py, there is nothing to train.
_base_ = [
    '../_base_/models/clip_tiny.py', '../_base_/datasets/glyphpictures.py', '../_base_/schedules/cma_tiny.py',
    '../_base_/default_runtime.py'
]
