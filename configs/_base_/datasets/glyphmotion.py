# GlyphMotion: 2,000 clips to train, 200 to choose the checkpoint, 400 to test,
# five captions each. Rendered into data_root on first use.
#
# Of a clip's 22 frames every third is taken, from the first to the last: the
# sample of a reversed clip is the reversed sample. A child config takes another
# one by editing the shared pipeline:
#     _base_ = ['../_base_/datasets/glyphmotion.py']
#     pipeline = _base_.pipeline
#     pipeline[0].update(num_frames=22)
#     train_dataloader = dict(dataset=dict(pipeline=pipeline))
#     val_dataloader = dict(dataset=dict(pipeline=pipeline))
#     test_dataloader = dict(dataset=dict(pipeline=pipeline))
_base_ = '../loaders.py'

dataset_type = 'GlyphMotion'
data_root = 'data/glyphmotion'
num_frames = 8
image_size = 64

pipeline = [
    dict(type='LoadVideoFrames', num_frames=num_frames, fps=None),
    dict(type='ResizeCrop', size=image_size),
    dict(type='PackRetrievalInputs'),
]

source = dict(type=dataset_type, data_root=data_root, pipeline=pipeline)
train_dataloader = dict(
    batch_size=64, num_workers=1, persistent_workers=True, dataset=dict(split='train', **source))
val_dataloader = dict(batch_size=50, num_workers=1, dataset=dict(split='val', test_mode=True, **source))
test_dataloader = dict(batch_size=50, num_workers=1, dataset=dict(split='test', test_mode=True, **source))
