default_scope = 'mmcma'

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    logger=dict(type='LoggerHook', interval=10),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # mmengine removes old checkpoints before it writes the new one: with two kept and atomic writes, one is
    # always whole. Do not lower max_keep_ckpts to 1.
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        save_best='t2v/R@1',
        rule='greater',
        max_keep_ckpts=2,
        backend_args=dict(backend='atomic')))

custom_hooks = [
    dict(type='FrozenParameterHook'),
    dict(type='ActivationCheckpointHook'),
    dict(type='BestCheckpointHook'),
    dict(type='ResumeHook'),
    dict(type='CollapseHook'),
    dict(type='RetrievalReportHook'),
]

# NCCL on GPUs; on a machine without, tools/*.py start gloo themselves.
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
model_wrapper_cfg = dict(type='mmcma.RetrieverDataParallel')

visualizer = dict(
    type='Visualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
log_processor = dict(type='LogProcessor', window_size=10, by_epoch=True)
log_level = 'INFO'

randomness = dict(seed=42)
load_from = None
resume = False
