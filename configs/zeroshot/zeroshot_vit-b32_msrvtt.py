# CLIP as it is on MSR-VTT 1k-A; for tools/test.py, there is nothing to train.
_base_ = [
    '../_base_/models/clip_vit-b32.py', '../_base_/datasets/msrvtt.py', '../_base_/schedules/cma_5e.py',
    '../_base_/default_runtime.py'
]
