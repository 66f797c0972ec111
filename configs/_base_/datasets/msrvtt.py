# MSR-VTT with the 1k-A protocol: trained on train-9k, tested on test-1kA.
#
# Expected under data_root: MSRVTT_data.json (or .json.gz), MSRVTT_train.9k.csv,
# MSRVTT_JSFUSION_test.csv and the folder videos/.
#
# Validation: this protocol has no validation split. The 497 official validation
# videos are part of train-9k (and of train-7k), so a figure on them says nothing.
# As in the paper, the test videos are evaluated after every epoch, and a checkpoint
# chosen by them is slightly optimistic; the last epoch is not. To choose on videos
# that are neither trained on nor tested on, set split='train' in train_dataloader
# and split='val' in val_dataloader (6,513 and 497 videos).
#
# A child config changes the clip or the size in one place, the pipeline:
#     pipeline = _base_.pipeline
#     pipeline[0].update(num_frames=64)
#     pipeline[1].update(size=336)
_base_ = '../videos.py'

data_root = 'data/msrvtt'
source = dict(type='MSRVTT', data_root=data_root, data_prefix=_base_.data_prefix)
train_dataloader = dict(dataset=dict(split='train-9k', **source))
val_dataloader = dict(dataset=dict(split='test-1kA', test_mode=True, **source))
test_dataloader = dict(dataset=dict(split='test-1kA', test_mode=True, **source))
