# DiDeMo as video-paragraph retrieval: 8,395 videos to train, 1,065 to choose the checkpoint, 1,004 to test.
#
# Expected under data_root: train_data.json, val_data.json, test_data.json, train_list.txt, val_list.txt and
# test_list.txt if you have them, and the folder videos/.
#
# A paragraph is longer than a sentence: set model.data_preprocessor.max_words too (64 in configs/cma).
#
# A child config changes the clip or the size in one place, the pipeline:
#     pipeline = _base_.pipeline
#     pipeline[0].update(num_frames=32)
#     pipeline[1].update(size=336)
_base_ = '../videos.py'

data_root = 'data/didemo'
pipeline = _base_.pipeline
pipeline[0].update(num_frames=64)
source = dict(type='DiDeMo', data_root=data_root, data_prefix=_base_.data_prefix)
train_dataloader = dict(dataset=dict(split='train', **source))
val_dataloader = dict(dataset=dict(split='val', test_mode=True, **source))
test_dataloader = dict(dataset=dict(split='test', test_mode=True, **source))
