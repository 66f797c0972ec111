# The paper's schedule for MSR-VTT, MSVD, VATEX and DiDeMo: 5 epochs, batch 128 over all processes.

# The released code's optimizer ("BertAdam") decays weights apart from the gradient, as AdamW does; unlike
# AdamW it does not correct the bias of its moments. Biases do not decay: see TrainedOptimWrapperConstructor.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainedOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-5, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2),
    clip_grad=dict(max_norm=1.0))

# Linear warm-up over a tenth of training, then a cosine to zero, both stepped every iteration. The cosine has
# no `end`: it ends with training, whatever max_epochs is.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=0.5, by_epoch=True, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=0, begin=0.5, by_epoch=True, convert_to_iter_based=True),
]

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=1)
val_cfg = dict(type='RetrievalValLoop')
test_cfg = dict(type='RetrievalTestLoop')

# lr belongs to this batch size; `auto_scale_lr.enable=True` scales it with another one.
auto_scale_lr = dict(enable=False, base_batch_size=128)
