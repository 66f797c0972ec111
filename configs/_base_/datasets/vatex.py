# VATEX, English captions: 25,991 clips to train, 1,500 to choose the checkpoint, 1,500 to test; every caption of a
# test clip is a query.
#
# Expected under data_root: vatex_training_v1.0.json, vatex_validation_v1.0.json (its clips are val and test),
# train_list.txt, val_list.txt, test_list.txt and the folder videos/.
#
# A child config changes the clip or the size in one place, the pipeline:
#     pipeline = _base_.pipeline
#     pipeline[0].update(num_frames=32)
#     pipeline[1].update(size=336)
_base_ = '../videos.py'

data_root = 'data/vatex'
source = dict(type='VATEX', data_root=data_root, data_prefix=_base_.data_prefix)
train_dataloader = dict(dataset=dict(split='train', **source))
val_dataloader = dict(dataset=dict(split='val', test_mode=True, **source))
test_dataloader = dict(dataset=dict(split='test', test_mode=True, **source))
