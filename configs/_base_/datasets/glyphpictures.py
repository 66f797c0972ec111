# GlyphPictures: a million images to pretrain on, drawn on the fly; 500 with distinct captions to test.
_base_ = '../loaders.py'

dataset_type = 'GlyphPictures'
train_dataloader = dict(
    batch_size=256, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=False),
    dataset=dict(type=dataset_type, length=1024000))
val_dataloader = dict(
    batch_size=250, num_workers=0, dataset=dict(type=dataset_type, length=500, test_mode=True))
test_dataloader = val_dataloader
