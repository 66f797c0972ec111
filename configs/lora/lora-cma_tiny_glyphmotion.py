# LoRA inside the attention and the Cross-Modal Adapter after the branches, with half of each one's parameters.
_base_ = '../cma/cma_tiny_glyphmotion.py'
model = dict(neck=dict(
    _delete_=True, type='CombinedNeck', necks=[
        dict(type='LoRA', r=4, lora_alpha=4),
        dict(type='CrossModalAdapter', bottleneck_dim=4, shared_dim=16)]))
