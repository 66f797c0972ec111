# DiscoVLA with its losses of captions of frames: what is to be seen in each, which this data set knows.
_base_ = 'discovla_tiny_glyphmotion.py'
model = dict(neck=dict(frame_captions=True, caption_layers=1))
train_dataloader = dict(dataset=dict(pipeline=[
    *_base_.pipeline[:-1], dict(type='DescribeGlyphFrames'), _base_.pipeline[-1]]))
