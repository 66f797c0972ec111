# Clips as the paper's short-video sets are read: 12 frames, one a second of CLIP4Clip, for a 224-px CLIP.
_base_ = 'loaders.py'

data_prefix = dict(ann='', visual='videos')
pipeline = [
    dict(type='LoadVideoFrames', num_frames=12, fps=1.0, sampling='clip4clip'),
    dict(type='ResizeCrop', size=224),
    dict(type='PackRetrievalInputs'),
]
