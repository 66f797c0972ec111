# The small CLIP on MSVD's real clips and sentences, official annotation files; tested on the validation list.
#     python tools/train.py configs/cma/cma_tiny_msvd.py --cfg-options data_root=DIR
# DIR/annotations/MSVD holds raw-captions.pkl and the lists, DIR/clips/MSVD the .avi files; where only some clips
# are there, the run goes on with these and every result says how many (`missing='skip'`).
_base_ = [
    '../_base_/models/clip_tiny.py', '../_base_/datasets/msvd.py', '../_base_/schedules/cma_tiny.py',
    '../_base_/default_runtime.py'
]
model = dict(neck=dict(type='CrossModalAdapter', bottleneck_dim=16, shared_dim=16))
# Far from what the backbone knows, the first steps at a larger rate drive all embeddings together.
optim_wrapper = dict(optimizer=dict(lr=3e-3))
train_cfg = dict(max_epochs=1)
# What is tested here is the validation list, so it must not choose the checkpoint: the last one is reported.
default_hooks = dict(checkpoint=dict(save_best=None))

num_workers = 2
pipeline = _base_.pipeline
pipeline[1].update(size=64)
source = dict(data_prefix=dict(ann='annotations/MSVD', visual='clips/MSVD'), missing='skip')
train_dataloader = dict(batch_size=32, dataset=source)
val_dataloader = dict(dataset=dict(split='val', **source))
test_dataloader = val_dataloader
