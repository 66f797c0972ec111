# The small CLIP on Flickr8k's real photos, from the official text files; tested on the development list.
#     python tools/train.py configs/cma/cma_tiny_flickr8k.py --cfg-options data_root=DIR
# DIR holds Flickr8k.token.txt, Flickr_8k.trainImages.txt, Flickr_8k.devImages.txt and images/.
_base_ = [
    '../_base_/models/clip_tiny.py', '../_base_/datasets/flickr8k.py', '../_base_/schedules/cma_tiny.py',
    '../_base_/default_runtime.py'
]
model = dict(
    neck=dict(type='CrossModalAdapter', bottleneck_dim=16, shared_dim=16),
    head=dict(similarity=dict(type='MeanPool', _delete_=True)))
# Far from what the backbone knows, the first steps at a larger rate drive all embeddings together.
optim_wrapper = dict(optimizer=dict(lr=3e-3))
train_cfg = dict(max_epochs=3)
# What is tested here is the validation list, so it must not choose the checkpoint: the last one is reported.
default_hooks = dict(checkpoint=dict(save_best=None))

data_root = 'data/flickr8k'
pipeline = [dict(type='LoadImage'), dict(type='ResizeCrop', size=64), dict(type='PackRetrievalInputs')]
source = dict(data_root=data_root, pipeline=pipeline)
train_dataloader = dict(num_workers=2, dataset=source)
val_dataloader = dict(num_workers=2, dataset=dict(split='dev', **source))
test_dataloader = val_dataloader
