# Flickr8k: 6,000 photos to train, 1,000 (dev) to choose the checkpoint, 1,000 to
# test; a photo is a clip of one frame.
#
# Expected under data_root: Flickr8k.token.txt, Flickr_8k.trainImages.txt,
# Flickr_8k.devImages.txt, Flickr_8k.testImages.txt and the folder images/.
#
# A child config changes the size in one place, the pipeline:
#     pipeline = _base_.pipeline
#     pipeline[1].update(size=336)
_base_ = '../images.py'

data_root = 'data/flickr8k'
source = dict(type='Flickr8k', data_root=data_root, data_prefix=_base_.data_prefix)
train_dataloader = dict(dataset=dict(split='train', **source))
val_dataloader = dict(dataset=dict(split='dev', test_mode=True, **source))
test_dataloader = dict(dataset=dict(split='test', test_mode=True, **source))
