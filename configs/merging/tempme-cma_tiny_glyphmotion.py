# TempMe's merging with the Cross-Modal Adapter in the place of its LoRA; all else as in the adapter's config.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(neck=dict(
    _delete_=True, type='CombinedNeck', necks=[
        dict(type='TempMe', num_frames=8, merge_layers=(1, 2), merge_frames=(2, 4), tokens_per_layer=1, lora_rank=0),
        dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16)]))
