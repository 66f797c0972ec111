# A config that uses all three: the modules of custom_imports are imported before anything is built.
_base_ = [
    '../../configs/_base_/models/clip_tiny.py', '../../configs/_base_/loaders.py',
    '../../configs/_base_/schedules/cma_tiny.py', '../../configs/_base_/default_runtime.py'
]
custom_imports = dict(imports=['scale_shift', 'soft_best_frame', 'named_folders'])

model = dict(
    neck=dict(type='ScaleShift', kinds=['attn', 'ffn']),
    head=dict(similarity=dict(_delete_=True, type='SoftBestFrame', temperature=0.1)))

data_root = 'data/named'
pipeline = [dict(type='LoadImage'), dict(type='ResizeCrop', size=64), dict(type='PackRetrievalInputs')]
source = dict(type='NamedFolders', data_root=data_root, pipeline=pipeline)
train_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(split='train', **source))
val_dataloader = dict(num_workers=0, dataset=dict(split='val', test_mode=True, **source))
test_dataloader = dict(num_workers=0, dataset=dict(split='val', test_mode=True, **source))
