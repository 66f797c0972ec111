# How samples are loaded, whatever the data set; batch_size is per process, num_workers per loader.
# A data set takes the `pipeline` of the config, a loader its `num_workers`, unless it has its own.
num_workers = 8

train_dataloader = dict(
    batch_size=128,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'))
val_dataloader = dict(
    batch_size=32,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'))
test_dataloader = val_dataloader

val_evaluator = dict(type='RetrievalMetric')
test_evaluator = val_evaluator
