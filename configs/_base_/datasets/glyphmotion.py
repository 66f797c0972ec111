# GlyphMotion: 2,000 clips to train, 200 to choose the checkpoint, 400 to test,
# five captions each. Rendered into data_root on first use.
#
# Of a clip's 22 frames every third is taken, from the first to the last: the
# sample of a reversed clip is the reversed sample. A child config takes another
# one in one place, the pipeline:
#     pipeline = _base_.pipeline
#     pipeline[0].update(num_frames=22)
_base_ = '../loaders.py'

data_root = 'data/glyphmotion'
num_workers = 1
pipeline = [
    dict(type='LoadVideoFrames', num_frames=8, fps=None),
    dict(type='ResizeCrop', size=64),
    dict(type='PackRetrievalInputs'),
]

source = dict(type='GlyphMotion', data_root=data_root)
train_dataloader = dict(batch_size=64, persistent_workers=True, dataset=dict(split='train', **source))
val_dataloader = dict(batch_size=50, dataset=dict(split='val', test_mode=True, **source))
test_dataloader = dict(batch_size=50, dataset=dict(split='test', test_mode=True, **source))
