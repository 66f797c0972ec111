# MSCOCO with Karpathy's splits: 113,287 photos to train, 5,000 to choose the
# checkpoint, 5,000 to test; a photo is a clip of one frame. The test is reported
# on all 5,000 and, as t2v/1k/... and v2t/1k/..., as the mean over five folds of 1,000.
#
# Expected under data_root: dataset_coco.json (or BLIP's coco_karpathy_train.json,
# coco_karpathy_val.json and coco_karpathy_test.json) and the folders
# images/train2014/ and images/val2014/.
#
# A child config changes the size in one place, the pipeline:
#     pipeline = _base_.pipeline
#     pipeline[1].update(size=336)
_base_ = '../images.py'

data_root = 'data/coco'
source = dict(type='COCO', data_root=data_root, data_prefix=_base_.data_prefix)
train_dataloader = dict(dataset=dict(split='train', **source))
val_dataloader = dict(dataset=dict(split='val', test_mode=True, **source))
test_dataloader = dict(dataset=dict(split='test', test_mode=True, **source))
test_evaluator = dict(folds=5)
