# TempMe's merging with the Cross-Modal Adapter in the place of its LoRA; all else as in the adapter's config.
_base_ = '../cma/cma_vit-b16_msrvtt.py'
model = dict(neck=dict(
    _delete_=True, type='CombinedNeck', necks=[
        dict(type='TempMe', num_frames=12, tokens_per_layer=16, lora_rank=0),
        dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16)]))
