# The paper's schedule for MSR-VTT, MSVD, VATEX and DiDeMo: 5 epochs, batch 128 over all processes.

# As the released code has them: an Adam whose moments are not corrected, and one cosine over all of training, which the
# warm-up of a tenth enters at 0.976 of the rate. Biases do not decay: see TrainedOptimWrapperConstructor.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainedOptimWrapperConstructor',
    optimizer=dict(type='BertAdam', lr=1e-5, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2),
    clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(type='WarmupCosineLR', warmup_ratio=0.1, cosine_over='all', by_epoch=False)]

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=1)
val_cfg = dict(type='RetrievalValLoop')
test_cfg = dict(type='RetrievalTestLoop')

# lr belongs to this batch size; `auto_scale_lr.enable=True` scales it with another one.
auto_scale_lr = dict(enable=False, base_batch_size=128)
