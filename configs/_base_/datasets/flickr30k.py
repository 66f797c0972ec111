# Flickr30K with Karpathy's splits: 29,000 photos to train, 1,014 to choose the
# checkpoint, 1,000 to test; a photo is a clip of one frame.
#
# Expected under data_root: dataset_flickr30k.json and the folder images/.
#
# A child config changes the size in one place, the pipeline:
#     pipeline = _base_.pipeline
#     pipeline[1].update(size=336)
_base_ = '../images.py'

data_root = 'data/flickr30k'
source = dict(type='Flickr30k', data_root=data_root, data_prefix=_base_.data_prefix)
train_dataloader = dict(dataset=dict(split='train', **source))
val_dataloader = dict(dataset=dict(split='val', test_mode=True, **source))
test_dataloader = dict(dataset=dict(split='test', test_mode=True, **source))
