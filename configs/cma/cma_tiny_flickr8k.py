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

num_workers = 2
pipeline = _base_.pipeline
pipeline[1].update(size=64)
val_dataloader = dict(dataset=dict(split='dev'))
test_dataloader = val_dataloader
