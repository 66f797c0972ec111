# DiscoVLA as its public code trains it: each training pair brings a caption of each of its 12 frames, which another
# model wrote. Expected under data_root: frame_captions.json, the pseudo image captions that the code's README links to.
_base_ = 'discovla_vit-b16_msrvtt.py'
model = dict(neck=dict(frame_captions=True))
train_dataloader = dict(dataset=dict(pipeline=[
    *_base_.pipeline[:-1],
    dict(type='LoadFrameCaptions', ann_file='data/msrvtt/frame_captions.json'),
    _base_.pipeline[-1]]))
