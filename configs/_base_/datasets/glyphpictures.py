# GlyphPictures: a million images to pretrain on, drawn on the fly; 500 with distinct captions to test.
_base_ = '../loaders.py'

num_workers = 0
train_dataloader = dict(
    batch_size=256, sampler=dict(type='InfiniteSampler', shuffle=False),
    dataset=dict(type='GlyphPictures', length=1024000))
val_dataloader = dict(batch_size=250, dataset=dict(type='GlyphPictures', length=500, test_mode=True))
test_dataloader = val_dataloader
