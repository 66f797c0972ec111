# LSMDC 2016: 101,079 sentences to train, 7,408 clips to choose the checkpoint, 1,000 to test.
#
# Expected under data_root: LSMDC16_annos_training.csv, LSMDC16_annos_val.csv,
# LSMDC16_challenge_1000_publictect.csv and the folder videos/, in it one folder per movie.
#
# A child config changes the clip or the size by editing the shared pipeline:
#     _base_ = ['../_base_/datasets/lsmdc.py']
#     pipeline = _base_.pipeline
#     pipeline[0].update(num_frames=32)
#     pipeline[1].update(size=336)
#     train_dataloader = dict(dataset=dict(pipeline=pipeline))
#     val_dataloader = dict(dataset=dict(pipeline=pipeline))
#     test_dataloader = dict(dataset=dict(pipeline=pipeline))
_base_ = '../loaders.py'

dataset_type = 'LSMDC'
data_root = 'data/lsmdc'
data_prefix = dict(ann='', visual='videos')
num_frames = 12
image_size = 224

pipeline = [
    dict(type='LoadVideoFrames', num_frames=num_frames, fps=1.0),
    dict(type='ResizeCrop', size=image_size),
    dict(type='PackRetrievalInputs'),
]

source = dict(type=dataset_type, data_root=data_root, data_prefix=data_prefix, pipeline=pipeline)
train_dataloader = dict(dataset=dict(split='train', **source))
val_dataloader = dict(dataset=dict(split='val', test_mode=True, **source))
test_dataloader = dict(dataset=dict(split='test', test_mode=True, **source))
