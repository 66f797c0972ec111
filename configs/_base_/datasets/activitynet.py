# ActivityNet Captions as video-paragraph retrieval: trained on train (10,009 videos), tested on val_1 (4,917).
#
# Expected under data_root: train.json, val_1.json and the folder videos/.
#
# Validation: this protocol has no validation split (val_2 has other sentences for the videos of val_1). As in the
# paper, the test videos are evaluated after every epoch, and a checkpoint chosen by them is slightly optimistic;
# the last epoch is not.
#
# A paragraph is longer than a sentence: set model.data_preprocessor.max_words too (64 in configs/cma).
#
# A child config changes the clip or the size in one place, the pipeline:
#     pipeline = _base_.pipeline
#     pipeline[0].update(num_frames=32)
#     pipeline[1].update(size=336)
_base_ = '../videos.py'

data_root = 'data/activitynet'
pipeline = _base_.pipeline
pipeline[0].update(num_frames=64)
source = dict(type='ActivityNetCaptions', data_root=data_root, data_prefix=_base_.data_prefix)
train_dataloader = dict(dataset=dict(split='train', **source))
val_dataloader = dict(dataset=dict(split='val_1', test_mode=True, **source))
test_dataloader = dict(dataset=dict(split='val_1', test_mode=True, **source))
