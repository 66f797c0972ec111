# Your own videos: train.csv, val.csv and test.csv (or .jsonl) under data_root, each
# with a path and a caption a line and optionally start, end (seconds) and id:
#
#     path,caption,start,end
#     kitchen/01.mp4,"a man cuts an onion, crying",0,7.5
#     kitchen/01.mp4,someone chops vegetables,0,7.5
#
#     {"path": "kitchen/01.mp4", "captions": ["a man cuts an onion", "…"], "start": 0, "end": 7.5}
#
# Lines of the same path and times are one item. Paths are relative to videos/.
#
# For images, or another number of frames, a child config edits the pipeline:
#     pipeline = _base_.pipeline
#     pipeline[0] = dict(type='LoadImage')
_base_ = '../videos.py'

data_root = 'data/own'
pipeline = _base_.pipeline
pipeline[0].update(sampling='uniform')  # by time, whatever the rate of the file
source = dict(type='CaptionedFiles', data_root=data_root, data_prefix=dict(visual='videos'))
train_dataloader = dict(dataset=dict(ann_file='train.csv', **source))
val_dataloader = dict(dataset=dict(ann_file='val.csv', test_mode=True, **source))
test_dataloader = dict(dataset=dict(ann_file='test.csv', test_mode=True, **source))
